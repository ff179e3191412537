"""The token sequences that the laws use, and functions that make batches of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regard.special_tokens import BOS, EOS, PAD


def as_batch(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return token sequences of any lengths as a padded batch (B, S)."""
    rows = [torch.tensor(sequence, dtype=torch.long) for sequence in sequences]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def start_with_bos(targets: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return targets without EOS as decoder input and output, both (B, T)."""
    return as_batch([[BOS, *target] for target in targets]), as_batch([[*target, EOS] for target in targets])


SOURCE_VOCABULARY = 9
"""The number of source tokens of every case."""

TARGET_VOCABULARY = 8
"""The number of target tokens of a case, unless a law needs another."""

SOURCES = as_batch([[4, 5, 2], [8, 7, 3, 3, 6, 2], [2], [6, 4, 4, 5, 2]])
"""Sources (4, 6) of mixed lengths; the longest is neither first nor last."""

TARGETS = torch.tensor([[1, 4, 5, 3, 7], [1, 3, 3, 6, 4], [1, 7, 4, 5, 5], [1, 6, 6, 3, 4]])
"""Decoder inputs (4, 5) for SOURCES."""
