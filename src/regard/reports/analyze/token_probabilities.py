"""How sure a model is of each token of a target that is known, and whether it would have said that token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.data.batch import length_batches, make_batch
from regard.decoding.scoring import CHUNK
from regard.inference.translator import Translator
from regard.special_tokens import PAD

Pair = tuple[Sequence[int], Sequence[int]]
BATCH_TOKENS = 4096  # of padded target in one batch


@dataclass(frozen=True)
class Sureness:
    """Of T target tokens, EOS the last, each given those before it.

    said: (T,) the probability of each. most: (T,) that of the token which is most probable there.
    right: (T,) whether that one is it.
    """

    said: NDArray[np.float32]
    most: NDArray[np.float32]
    right: NDArray[np.bool_]


def sureness(translator: Translator, pairs: Sequence[Pair]) -> Iterator[tuple[int, Sureness]]:
    """For each (source, target), ids without BOS and EOS, its place among them and what the model thinks of it.

    In an order of their own: those of like length go together.
    """
    lengths = [max(len(source), len(target)) + 1 for source, target in pairs]
    longest_first = sorted(range(len(pairs)), key=lambda place: -lengths[place])
    for places in length_batches(longest_first, lengths.__getitem__, max_tokens=BATCH_TOKENS):
        table = _forced(translator, [pairs[place] for place in places])
        begin = 0
        for place in places:
            end = begin + len(pairs[place][1]) + 1
            yield place, Sureness(table[0, begin:end], table[1, begin:end], table[2, begin:end] > 0)
            begin = end


@torch.inference_mode()
def _forced(translator: Translator, pairs: Sequence[Pair]) -> NDArray[Any]:
    """(3, R) over the R target tokens of all pairs, one pair after another: `said`, `most`, and `right` as 0 or 1."""
    model = translator.model
    batch = make_batch(pairs).to(translator.device)
    real = batch.target_out.ne(PAD)
    features, wanted = model.features(batch.source, batch.target_in).features[real], batch.target_out[real]
    rows = max(1, CHUNK // model.decoder.vocabulary_size)
    found = []
    for some, tokens in zip(torch.split(features, rows), torch.split(wanted, rows), strict=True):
        logits = model.decoder.readout(some)
        probabilities = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1)
        most, which = probabilities.max(1)
        said = probabilities.gather(1, tokens[:, None]).squeeze(1)
        found.append(torch.stack((said, most, which.eq(tokens).to(said.dtype))))
    table: NDArray[Any] = torch.cat(found, 1).float().cpu().numpy()
    return table
