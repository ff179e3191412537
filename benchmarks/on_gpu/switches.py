"""Ways to train that only a measurement on a GPU can choose between: compiled layers, a compiled loss, no padding.

They replace parts of regard while they are measured. What wins belongs in regard itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from on_gpu.task import Task
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.nn import attention_memory, transformer
from regard.nn.packing import Packing
from regard.special_tokens import PAD
from regard.training import loss


@dataclass(frozen=True)
class Switches:
    """How regard trains.

    Attributes:
        has_compiled_layers: torch.compile for each layer of encoder and decoder.
        has_compiled_loss: torch.compile for the loss and its gradient by the logits.
        is_packed: No padding: attention within packed sequences.
        chunk_rows: Positions whose logits exist at a time; None: as regard has it.
    """

    name: str
    has_compiled_layers: bool = False
    has_compiled_loss: bool = False
    is_packed: bool = False
    chunk_rows: int | None = None


SWITCHES = (
    Switches("as it is"),
    Switches("logits of 16,384 positions at a time", chunk_rows=16_384),
    Switches("no padding", is_packed=True),
    Switches("compiled loss", has_compiled_loss=True, chunk_rows=16_384),
    Switches("compiled layers", has_compiled_layers=True),
    Switches("all of these", has_compiled_layers=True, has_compiled_loss=True, is_packed=True, chunk_rows=16_384),
)


class Counts:
    """The numbers of real positions in the batch that is being trained on, by the shape of its masks.

    With them the indices of real positions are computed without waiting for the GPU.
    """

    def __init__(self) -> None:
        self._by_shape: dict[torch.Size, int] = {}

    def prepare(self, batch: Batch) -> Batch:
        """Take note of a batch, and return it with source and target of different shapes."""
        if batch.source.shape == batch.target_in.shape:
            batch = replace(batch, source=F.pad(batch.source, (0, 1), value=PAD))
        self._by_shape = {batch.source.shape: batch.source_tokens, batch.target_in.shape: batch.target_tokens}
        return batch

    def of(self, mask: Tensor) -> int | None:
        return self._by_shape.get(mask.shape)


@contextmanager
def applied(switches: Switches, model: Seq2Seq, task: Task) -> Iterator[Callable[[Batch], Batch]]:
    """Train as the switches say inside the context; yields a function that prepares batches."""
    backend = "eager" if task.is_smoke else "inductor"
    counts = Counts()
    with ExitStack() as stack:
        if switches.chunk_rows is not None:
            stack.enter_context(mock.patch.object(loss, "CHUNK_ROWS", switches.chunk_rows))
        if switches.has_compiled_loss:
            compiled = torch.compile(loss_and_logits_gradient, dynamic=True, backend=backend)
            stack.enter_context(mock.patch.object(loss, "_loss_and_gradients", _loss_with(compiled)))
        if switches.is_packed:
            stack.enter_context(packed(task, counts))
        if switches.has_compiled_layers:
            parts: tuple[Any, Any] = model.encoder, model.decoder
            for layer in (*parts[0].layers, *parts[1].layers):
                layer.compile(dynamic=True, backend=backend)
        yield counts.prepare if switches.is_packed else lambda batch: batch


def loss_and_logits_gradient(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the summed loss of logits (R, V) for targets (R,), and its gradient by the logits, in their dtype."""
    values = logits.float()
    log_normalizer = values.logsumexp(-1, keepdim=True)  # (R, 1)
    is_target = torch.arange(values.size(1), device=values.device) == targets.unsqueeze(1)  # (R, V)
    of_targets = torch.where(is_target, values, 0.0).sum(-1, keepdim=True)  # (R, 1)
    mean = values.mean(-1, keepdim=True)
    total = (log_normalizer - (1 - smoothing) * of_targets - smoothing * mean).sum()
    gradient = (values - log_normalizer).exp() - smoothing / values.size(1) - (1 - smoothing) * is_target
    return total, gradient.to(logits.dtype)


def _loss_with(loss_and_gradient: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., Any]:
    """Return a function with the signature of `regard.training.loss._loss_and_gradients`."""

    def loss_and_gradients(
        readout: Callable[[Tensor], Tensor],
        rows: Tensor,
        targets: Tensor,
        smoothing: float,
        parameters: Sequence[Tensor],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.enable_grad():
            rows = rows.requires_grad_()
            logits = readout(rows)  # (r, V)
            total, gradient = loss_and_gradient(logits.detach(), targets, smoothing)
            return total, torch.autograd.grad(logits, (rows, *parameters), gradient, allow_unused=True)

    return loss_and_gradients


@contextmanager
def packed(task: Task, counts: Counts) -> Iterator[None]:
    """Pack all training batches inside the context."""
    attend = varlen_attention(task.longest) if task.device.type == "cuda" else attend_sequence_by_sequence
    original = Packing.of

    def of(mask: Tensor, count: int | None = None) -> Packing:
        return original(mask, counts.of(mask) if count is None else count)

    def should_pack(*_: Any) -> bool:
        return torch.is_grad_enabled()

    with (
        mock.patch.object(transformer, "should_pack", should_pack),
        mock.patch.object(attention_memory, "attend_packed", attend),
        mock.patch.object(Packing, "of", of),
    ):
        yield


def varlen_attention(longest: int) -> Callable[..., Tensor]:
    """Return `attend_packed` by PyTorch's attention over sequences of different lengths.

    Args:
        longest: No sequence is longer.

    Raises:
        ImportError: This PyTorch does not have it; 2.10 is the first that does.
    """
    from torch.nn.attention.varlen import varlen_attn

    attend_varlen: Any = varlen_attn  # its signature depends on PyTorch's version
    has_flag = "is_causal" in inspect.signature(varlen_attn).parameters  # PyTorch 2.10; then it became a window

    def attend(
        queries: Tensor, keys: Tensor, values: Tensor, query_starts: Tensor, key_starts: Tensor, *, causal: bool
    ) -> Tensor:
        queries, keys, values = _heads_of_queries(queries, keys, values)
        options: dict[str, Any] = {"is_causal": causal} if has_flag else {"window_size": (-1, 0 if causal else -1)}
        rows = [x.to(torch.bfloat16).contiguous() for x in (queries, keys, values)]
        starts = query_starts.int(), key_starts.int()
        out: Tensor = attend_varlen(*rows, *starts, longest, longest, **options)  # (R, H, W)
        return out.flatten(1).unsqueeze(0)

    return attend


@torch.compiler.disable  # type: ignore[untyped-decorator]  # its loop over sequences would be traced for each batch
def attend_sequence_by_sequence(
    queries: Tensor, keys: Tensor, values: Tensor, query_starts: Tensor, key_starts: Tensor, *, causal: bool
) -> Tensor:
    """Return what `attend_packed` does, slowly and on any device."""
    queries, keys, values = _heads_of_queries(queries, keys, values)
    bounds = query_starts.tolist(), key_starts.tolist()
    parts = []
    for first, end, first_key, end_key in zip(bounds[0], bounds[0][1:], bounds[1], bounds[1][1:], strict=False):
        rows = queries[first:end], keys[first_key:end_key], values[first_key:end_key]
        query, key, value = (x.transpose(0, 1).unsqueeze(0) for x in rows)  # (1, H, T or S, W)
        out = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        parts.append(out.squeeze(0).transpose(0, 1).flatten(1))  # (T, H x W)
    return torch.cat(parts).unsqueeze(0)


def _heads_of_queries(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return packed rows (R, H, W) of each, with keys and values repeated for heads that share them."""
    repeats = queries.size(2) // keys.size(2)
    if repeats > 1:
        keys, values = (x.repeat_interleave(repeats, 2) for x in (keys, values))
    return queries.squeeze(0), keys.squeeze(0), values.squeeze(0)
