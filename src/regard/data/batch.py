"""Batches: pairs of token sequences, padded into tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.corpus.corpus import LineOrigins
from regard.data.store import PairStore
from regard.special_tokens import BOS, EOS, PAD

Ids = Sequence[int] | NDArray[np.integer[Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """B pairs of int64 token ids, padded with PAD.

    Attributes:
        source: Source tokens (B, S), each row ending with EOS.
        target_in: Decoder input (B, T), each row beginning with BOS.
        target_out: Expected tokens at the same positions (B, T), each row ending with EOS.
        source_tokens: The number of source tokens, with EOS and without padding.
        target_tokens: The number of target tokens, with EOS and without padding.
        global_target_tokens: The number of target tokens of the full batch, before it was divided between processes or
            into microbatches.
        global_pairs: The number of pairs of the full batch.
        lines: The line that each pair is from; empty if not known.
        origins: The corpora that the lines are from.
    """

    source: Tensor
    target_in: Tensor
    target_out: Tensor
    source_tokens: int
    target_tokens: int
    global_target_tokens: int
    global_pairs: int
    lines: tuple[int, ...] = ()
    origins: LineOrigins = field(default_factory=LineOrigins)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on another device. Copies to a GPU are queued: this process does not wait for them."""
        is_queued = torch.device(device).type == "cuda" and self.source.is_cpu

        def move(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True) if is_queued else tensor.to(device)

        return replace(self, source=move(self.source), target_in=move(self.target_in), target_out=move(self.target_out))

    def halves(self) -> tuple[Batch, Batch]:
        """Split a batch of two or more rows into its first and its second half, with no more padding than needed."""
        middle = len(self.source) // 2
        return self._rows(slice(middle)), self._rows(slice(middle, None))

    def _rows(self, rows: slice) -> Batch:
        source, target_out = self.source[rows], self.target_out[rows]
        source_lengths, target_lengths = source.ne(PAD).sum(1), target_out.ne(PAD).sum(1)
        width = int(target_lengths.max())
        return replace(
            self,
            source=source[:, : int(source_lengths.max())],
            target_in=self.target_in[rows, :width],
            target_out=target_out[:, :width],
            source_tokens=int(source_lengths.sum()),
            target_tokens=int(target_lengths.sum()),
            lines=self.lines[rows],
        )


def make_batch(pairs: Sequence[tuple[Ids, Ids]]) -> Batch:
    """Return a batch of pairs (source ids, target ids) without BOS and EOS."""
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
        global_pairs=len(pairs),
    )


def batch_from_store(
    store: PairStore,
    indices: Sequence[int] | NDArray[np.int64],
    rank: int = 0,
    size: int = 1,
    resample: Callable[[Sequence[tuple[Ids, Ids]]], Sequence[tuple[Ids, Ids]]] | None = None,
) -> Batch:
    """Return this rank's share of the batch of the pairs with these indices: `indices[rank::size]`.

    A process for which no row is left gets the first one with all targets masked, so that it has a gradient of zeros.

    Args:
        store: The pairs.
        indices: The pairs of the batch, in order.
        rank: The number of this process.
        size: The number of processes.
        resample: Returns changed ids for the pairs of the full batch, the same in every process.
    """
    indices = np.asarray(indices)
    has_rows = rank < len(indices)
    share = slice(rank, None, size) if has_rows else slice(1)
    if resample is None:
        tokens = int(store.target_lengths[indices].sum()) + len(indices)
        pairs: Sequence[tuple[Ids, Ids]] = _read_pairs(store, indices[share])
    else:
        all_pairs = resample(_read_pairs(store, indices))
        tokens = sum(len(target) + 1 for _, target in all_pairs)
        pairs = all_pairs[share]
    lines = tuple(line for index in indices[share] if (line := store.line(int(index))) is not None)
    batch = replace(
        make_batch(pairs), global_target_tokens=tokens, global_pairs=len(indices), lines=lines, origins=store.origins
    )
    if has_rows:
        return batch
    return replace(batch, target_out=torch.full_like(batch.target_out, PAD), target_tokens=0)


def _read_pairs(store: PairStore, indices: NDArray[np.int64]) -> list[tuple[Ids, Ids]]:
    return [(store.source(int(index)), store.target(int(index))) for index in indices]


def length_batches(
    items: Iterable[T], length: Callable[[T], int], *, max_tokens: int, max_rows: int | None = None
) -> Iterator[list[T]]:
    """Cut items that are sorted by length, in either direction, into batches.

    Args:
        items: The items, such as sentences or their indices.
        length: Returns the length of an item in tokens.
        max_tokens: The largest number of tokens in a batch of several items, padding included.
        max_rows: The largest number of items in a batch; None for no limit.
    """
    batch: list[T] = []
    width = 0
    for item in items:
        width = max(width, length(item))
        if batch and (len(batch) == max_rows or (len(batch) + 1) * width > max_tokens):
            yield batch
            batch, width = [], length(item)
        batch.append(item)
    if batch:
        yield batch


def pad(rows: Sequence[Ids], *, first: int | None = None, last: int | None = None) -> Tensor:
    """Return rows of ids as an int64 tensor (B, longest), filled up with PAD.

    Args:
        rows: Ids of B sequences.
        first: A token to put before every row.
        last: A token to put after every row.
    """
    before, after = int(first is not None), int(last is not None)
    longest = max((len(row) for row in rows), default=0)
    table = np.full((len(rows), before + longest + after), PAD, dtype=np.int64)
    if first is not None:
        table[:, 0] = first
    for padded, row in zip(table, rows, strict=True):
        end = before + len(row)
        padded[before:end] = row
        if last is not None:
            padded[end] = last
    return torch.from_numpy(table)
