"""Weights in several processes: a copy in each (DDP), or a part in each (FSDP2); one process has them plainly.

What is kept and judged is always whole: `whole` puts the parts of a tensor together, and `parted` takes them of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from regard.training.processes import Processes

if TYPE_CHECKING:  # slow to import, and few need them
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def spread(module: nn.Module, kind: str, processes: Processes) -> nn.Module:
    """A module whose backward gives every process the gradient's mean over all; "fsdp" parts its parameters in place.

    Parts are of the module as a whole: weights are put together when its forward begins, and parted after backward.
    """
    if processes.size == 1:
        return module
    if kind == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        device = next(module.parameters()).device.type
        fully_shard(module, mesh=init_device_mesh(device, (processes.size,)))
        return module
    copies = DistributedDataParallel(module, gradient_as_bucket_view=True)
    copies.broadcast_buffers = False  # tables of positions grow in each process by itself
    return copies


@contextmanager
def summing(module: nn.Module, *, last: bool) -> Iterator[None]:
    """Forward and backward of one of several batches: gradients go between processes with the last alone."""
    if isinstance(module, DistributedDataParallel) and not last:
        with module.no_sync():
            yield
        return
    if _is_parted_module(module):
        module.set_requires_gradient_sync(last)
    yield


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be in parts; all processes have to ask for it."""
    return tensor.full_tensor() if _is_parted(tensor) else tensor


def parted(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, which every process has, as `like` is: its part of it, or all."""
    if not _is_parted(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _is_parted(tensor: Tensor) -> TypeGuard[DTensor]:
    return hasattr(tensor, "full_tensor")


def _is_parted_module(module: nn.Module) -> TypeGuard[FSDPModule]:
    return hasattr(module, "set_requires_gradient_sync")
