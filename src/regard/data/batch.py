"""Pairs of id sequences padded into tensors: what training and teacher forcing eat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.data.store import PairStore
from regard.special_tokens import BOS, EOS, PAD

Ids = Sequence[int] | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Batch:
    """B pairs, int64, padded with PAD.

    source: (B, S) each ends with EOS.
    target_in: (B, T) each begins with BOS; what a decoder is fed.
    target_out: (B, T) each ends with EOS; what it has to say at the same positions.
    source_tokens, target_tokens: real positions, EOS among them, of source and target_out.
    together: target tokens of the batch whose rows these are, with what other processes have of it.
    lines: where in the corpus each pair stood, where that is known.
    """

    source: Tensor
    target_in: Tensor
    target_out: Tensor
    source_tokens: int
    target_tokens: int
    global_target_tokens: int
    lines: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.source.to(device),
            self.target_in.to(device),
            self.target_out.to(device),
            self.source_tokens,
            self.target_tokens,
            self.global_target_tokens,
            self.lines,
        )

    def halves(self) -> tuple[Batch, Batch]:
        """The first rows and the others, each no wider than it has to be; of a batch of two or more."""
        middle = len(self.source) // 2
        return self._rows(slice(middle)), self._rows(slice(middle, None))

    def _rows(self, rows: slice) -> Batch:
        source, target_out = self.source[rows], self.target_out[rows]
        sources, targets = source.ne(PAD).sum(1), target_out.ne(PAD).sum(1)
        width = int(targets.max())
        return Batch(
            source[:, : int(sources.max())],
            self.target_in[rows, :width],
            target_out[:, :width],
            int(sources.sum()),
            int(targets.sum()),
            self.global_target_tokens,
            self.lines[rows],
        )


def make_batch(pairs: Sequence[tuple[Ids, Ids]]) -> Batch:
    """Pairs (source ids, target ids), without BOS and EOS, to a batch."""
    sources = [source for source, _ in pairs]
    targets = [target for _, target in pairs]
    target_tokens = sum(len(ids) + 1 for ids in targets)
    return Batch(
        source=pad(sources, last=EOS),
        target_in=pad(targets, first=BOS),
        target_out=pad(targets, last=EOS),
        source_tokens=sum(len(ids) + 1 for ids in sources),
        target_tokens=target_tokens,
        global_target_tokens=target_tokens,
    )


def batch_from_store(store: PairStore, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
    """The pairs of a store with these indices, in that order."""
    return _batch_at(store, indices, read_pairs(store, indices))


def read_pairs(store: PairStore, indices: Sequence[int] | NDArray[np.int64]) -> list[tuple[Ids, Ids]]:
    """The ids of these pairs."""
    return [(store.source(int(index)), store.target(int(index))) for index in indices]


def _batch_at(store: PairStore, indices: Sequence[int] | NDArray[np.int64], pairs: Sequence[tuple[Ids, Ids]]) -> Batch:
    lines = tuple(line for index in indices if (line := store.line(int(index))) is not None)
    return replace(make_batch(pairs), lines=lines)


def make_rank_batch(
    store: PairStore,
    indices: NDArray[np.int64],
    rank: int,
    size: int,
    change: Callable[[Sequence[tuple[Ids, Ids]]], Sequence[tuple[Ids, Ids]]] | None = None,
) -> Batch:
    """What process `rank` of `size` has of a batch: every so manieth row.

    Where there are fewer rows than processes, some have a row of which no target position counts: they too have a
    gradient, of zeros. change: what is done to the pairs of the batch, all of them, in every process alike.
    """
    mine = indices[rank::size] if rank < len(indices) else indices[:1]
    if change is None:
        global_target_tokens = int(store.target_lengths[indices].sum()) + len(indices)
        pairs: Sequence[tuple[Ids, Ids]] = read_pairs(store, mine)
    else:
        every = change(read_pairs(store, indices))
        global_target_tokens = sum(len(target) + 1 for _, target in every)
        pairs = every[rank::size] if rank < len(indices) else every[:1]
    batch = replace(_batch_at(store, mine, pairs), global_target_tokens=global_target_tokens)
    if rank < len(indices):
        return batch
    return replace(batch, target_out=torch.full_like(batch.target_out, PAD), target_tokens=0)


def pad(rows: Sequence[Ids], *, first: int | None = None, last: int | None = None) -> Tensor:
    """Rows of ids to one int64 tensor (B, longest), filled with PAD.

    `first` and `last`, where given, are put before and after every row.
    """
    before, after = int(first is not None), int(last is not None)
    longest = max((len(row) for row in rows), default=0)
    table = np.full((len(rows), before + longest + after), PAD, dtype=np.int64)
    if first is not None:
        table[:, 0] = first
    for filled, row in zip(table, rows, strict=True):
        end = before + len(row)
        filled[before:end] = row
        if last is not None:
            filled[end] = last
    return torch.from_numpy(table)
