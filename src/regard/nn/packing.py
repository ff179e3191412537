"""Batches without padding: the real positions of all sequences as rows, one sequence after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.nn.kernels import native

STATIC_DEVICES = ("cpu", "cuda")  # for which all supported versions of PyTorch have nonzero_static


@dataclass(frozen=True)
class Packing:
    """Where the R real positions of B sequences are.

    Attributes:
        mask: (B, T), True at real positions.
        indices: (R,) the real positions among all B x T, in order.
        starts: (B + 1,) the first row of each sequence, and R.
    """

    mask: Tensor
    indices: Tensor
    starts: Tensor

    @classmethod
    def of(cls, mask: Tensor, count: int | None = None) -> Packing:
        """Return the packing of sequences whose mask (B, T) is True at real positions.

        Args:
            mask: The mask.
            count: The number of real positions, if it is known; a CUDA GPU then need not be waited for.
        """
        lengths = mask.sum(1)
        starts = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
        flat = mask.flatten()
        if count is None or mask.device.type not in STATIC_DEVICES:
            indices = flat.nonzero()
        else:
            indices = torch.nonzero_static(flat, size=count)
        return cls(mask, indices.squeeze(1), starts)

    @property
    def positions(self) -> Tensor:
        """The position of each row in its sequence, (R,)."""
        return self.indices % self.mask.size(1)

    def pack(self, x: Tensor) -> Tensor:
        """Pack (B, T, D) as rows (1, R, D)."""
        rows: Tensor = _Pack.apply(x, self)  # type: ignore[no-untyped-call]
        return rows

    def unpack(self, rows: Tensor) -> Tensor:
        """Unpack rows (1, R, D) to (B, T, D), with 0 in the padding."""
        x: Tensor = _Unpack.apply(rows, self)  # type: ignore[no-untyped-call]
        return x

    def gather(self, x: Tensor) -> Tensor:
        """Pack without a gradient."""
        return x.flatten(0, 1).index_select(0, self.indices).unsqueeze(0)

    def scatter(self, rows: Tensor) -> Tensor:
        """Unpack without a gradient."""
        x = rows.new_zeros(self.mask.numel(), rows.size(2)).index_copy_(0, self.indices, rows.squeeze(0))
        return x.view(*self.mask.shape, -1)


class _Pack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return packing.gather(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.packing.scatter(gradient), None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return packing.scatter(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.packing.gather(gradient), None


def should_pack(x: Tensor, head_size: int, *masks: Tensor) -> bool:
    """Return whether to pack batches with these masks (B, T): in training, where `can_pack`."""
    return torch.is_grad_enabled() and can_pack(x, head_size, *masks)


def can_pack(x: Tensor, head_size: int, *masks: Tensor) -> bool:
    """Return whether the native kernels support packed batches with these masks (B, T).

    Args:
        x: A tensor of the dtype and on the device of the batch.
        head_size: The size of an attention head.
        masks: The masks of all sequences that are attended to.
    """
    is_supported = native.supports(x) and head_size % native.UNIT == 0
    return is_supported and all(mask.size(1) <= native.MAX_COLUMNS for mask in masks)
