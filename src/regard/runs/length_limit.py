"""Whether search can write targets as long as those of the training pairs."""

from __future__ import annotations

import math

import numpy as np

from regard.config.schema import SearchConfig
from regard.data.store import PairStore
from regard.runs.corpus_scan import REACHED


def round_addend(tokens: int) -> int:
    """Return a `search.max_length_addend` that allows this number of tokens, rounded up to tens."""
    return 10 * math.ceil(tokens / 10)


def length_limit_warning(search: SearchConfig, store: PairStore) -> str | None:
    """Return a warning if more than 0.1 % of the training targets are longer than search allows.

    Args:
        search: The [search] section of the recipe.
        store: P training pairs.
    """
    eos = 1
    lengths = store.target_lengths.astype(np.int64) + eos  # (P,)
    excess = lengths - np.floor(search.max_length_factor * store.source_lengths).astype(np.int64)  # (P,)
    share = float(np.mean(excess > search.max_length_addend))
    if share <= 1 - REACHED:
        return None
    needed = round_addend(int(np.quantile(excess, REACHED, method="higher")))
    return (
        f"warning: {share:.1%} of the training targets are longer than a translation may be, "
        f"{search.max_length_factor:g} S + {search.max_length_addend} tokens for S source tokens; to allow more: "
        f"--set search.max_length_addend={needed}"
    )
