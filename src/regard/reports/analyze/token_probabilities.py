"""The probability of each token of a given target, and whether it is the model's first choice."""

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
BATCH_TOKENS = 4096  # target tokens of a batch, with padding


@dataclass(frozen=True)
class TokenProbabilities:
    """Probabilities at T target tokens, EOS last, each given the source and the tokens before it.

    Attributes:
        target: (T,) the probability of the target token.
        highest: (T,) the probability of the most probable token.
        is_highest: (T,) whether the target token is the most probable one.
    """

    target: NDArray[np.float32]
    highest: NDArray[np.float32]
    is_highest: NDArray[np.bool_]


def compute_token_probabilities(
    translator: Translator, pairs: Sequence[Pair]
) -> Iterator[tuple[int, TokenProbabilities]]:
    """Yield the index of each pair and its probabilities. Pairs of similar length come together.

    Args:
        translator: The model.
        pairs: (source ids, target ids), without BOS and EOS.
    """
    lengths = [max(len(source), len(target)) + 1 for source, target in pairs]
    longest_first = sorted(range(len(pairs)), key=lambda index: -lengths[index])
    for indices in length_batches(longest_first, lengths.__getitem__, max_tokens=BATCH_TOKENS):
        table = _force(translator, [pairs[index] for index in indices])  # (3, R)
        start = 0
        for index in indices:
            end = start + len(pairs[index][1]) + 1
            yield index, TokenProbabilities(table[0, start:end], table[1, start:end], table[2, start:end] > 0)
            start = end


@torch.inference_mode()
def _force(translator: Translator, pairs: Sequence[Pair]) -> NDArray[Any]:
    """Return (3, R) for the R target tokens of all pairs, pair by pair: target, highest, and is_highest as 0 or 1."""
    model = translator.model
    batch = make_batch(pairs).to(translator.device)
    is_token = batch.target_out.ne(PAD)  # (B, T)
    features = model.features(batch.source, batch.target_in).features[is_token]  # (R, F)
    targets = batch.target_out[is_token]  # (R,)
    rows = max(1, CHUNK // model.decoder.vocabulary_size)
    parts = []
    for chunk, tokens in zip(torch.split(features, rows), torch.split(targets, rows), strict=True):
        logits = model.decoder.readout(chunk)  # (rows, V)
        probabilities = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1)
        highest, best_token = probabilities.max(1)
        target = probabilities.gather(1, tokens[:, None]).squeeze(1)
        parts.append(torch.stack((target, highest, best_token.eq(tokens).to(target.dtype))))
    table: NDArray[Any] = torch.cat(parts, 1).float().cpu().numpy()
    return table
