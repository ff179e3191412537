"""The pairs of a store as IBM Model 1 reads them; see regard.text.model1."""

from __future__ import annotations

import numpy as np

from regard.data.store import PairStore
from regard.text.model1 import NULL, Sentences, joined

MOST_CELLS = 1 << 26  # links of a target token to a source token that are looked at: some 300,000 sentences


def sentences_of(store: PairStore, most_cells: int = MOST_CELLS) -> Sentences:
    """All pairs of a store; or every second, third and so on, where all have more than so many cells."""
    cells = int(((store.source_lengths.astype(np.int64) + 1) * store.target_lengths).sum())
    chosen = range(0, len(store), max(1, -(-cells // most_cells)))
    null = np.array([NULL])
    source, source_offsets = joined([part for index in chosen for part in (null, store.source(index))], 2)
    return Sentences(source, source_offsets, *joined([store.target(index) for index in chosen], 1))
