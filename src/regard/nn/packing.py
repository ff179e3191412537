"""Sequences without their padding: the real positions of a batch as rows, those of one sequence behind another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.nn.kernels import native


@dataclass(frozen=True)
class Packing:
    """Where the R real positions of B sequences are.

    mask: (B, T), of which they are.
    places: (R,) among all B x T, in order.
    starts: (B + 1,) the row with which each sequence begins, and R.
    """

    mask: Tensor
    places: Tensor
    starts: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Packing:
        """By a mask (B, T), True at real positions."""
        lengths = mask.sum(1)
        starts = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
        return cls(mask, mask.flatten().nonzero().squeeze(1), starts)

    @property
    def positions(self) -> Tensor:
        """Each row's position in its sequence, (R,)."""
        return self.places % self.mask.size(1)

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, D) to its rows, (1, R, D)."""
        rows: Tensor = _Rows.apply(x, self)  # type: ignore[no-untyped-call]
        return rows

    def unpack(self, rows: Tensor) -> Tensor:
        """(1, R, D) to (B, T, D), with 0 in the padding."""
        x: Tensor = _Padded.apply(rows, self)  # type: ignore[no-untyped-call]
        return x

    def take(self, x: Tensor) -> Tensor:
        """As pack, without a gradient."""
        return x.flatten(0, 1).index_select(0, self.places).unsqueeze(0)

    def put(self, rows: Tensor) -> Tensor:
        """As unpack, without a gradient."""
        x = rows.new_zeros(self.mask.numel(), rows.size(2)).index_copy_(0, self.places, rows.squeeze(0))
        return x.view(*self.mask.shape, -1)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return packing.take(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, None]:
        return ctx.packing.put(change), None


class _Padded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return packing.put(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, change: Tensor) -> tuple[Tensor, None]:
        return ctx.packing.take(change), None


@dataclass(frozen=True)
class Between:
    """In the place of a mask, where queries and keys are packed: each row sees the keys of its own sequence."""

    queries: Packing
    keys: Packing


def packings(like: Tensor, width: int, *masks: Tensor) -> list[Packing] | None:
    """Of masks (B, T), where training with heads of that width, on tensors like that one, gains by it; else None."""
    suited = torch.is_grad_enabled() and native.supports(like) and width % native.UNIT == 0
    if not suited or any(mask.size(1) > native.MOST_COLUMNS for mask in masks):
        return None
    return [Packing.of(mask) for mask in masks]


def without_padding(
    layers: Callable[[Tensor, Tensor | Between], Tensor], x: Tensor, mask: Tensor, width: int
) -> Tensor:
    """layers(x, mask) for x (B, T, D) and its mask (B, T), where training gains by it of the real positions alone.

    layers: of self-attention with heads of that width, and of what goes position by position.
    """
    packed = packings(x, width, mask)
    if packed is None:
        return layers(x, mask)
    (rows,) = packed
    return rows.unpack(layers(rows.pack(x), Between(rows, rows)))
