"""Data-parallel training: process groups, collectives, and models wrapped in DDP or FSDP2.

torchrun starts the processes and sets the environment variables that identify them. A single process needs none of
this: its collectives return their arguments, its model is not wrapped, and torch.distributed is never initialized.

Checkpoints and validation need full tensors. `full_tensor` gathers a sharded tensor, and `shard_like` shards a full
one again.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from regard.errors import ConfigError, PeerFailed, RegardError, TrainingError
from regard.runtime import choose_device

if TYPE_CHECKING:  # slow to import, and few need them
    from torch._C._distributed_c10d import Store
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

T = TypeVar("T")

# How long a collective waits for all processes. A process that dies is noticed at once.
STEP_TIMEOUT, SETUP_TIMEOUT = timedelta(minutes=30), timedelta(days=7)
STORE_INTERVAL = 0.02  # seconds between two reads of a store
CONNECTION_WORDS = ("gloo", "connection", "nccl", "socket", "peer")  # found in errors of lost connections


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one model, as seen from this process.

    Attributes:
        rank: The number of this process, from 0.
        size: The number of processes.
        local_rank: The number of this process on its machine, from 0.
        job: Identifies the torchrun job and stays the same after a restart; empty without torchrun.
        restarts: How often torchrun has restarted the job. torchrun counts on each machine; this is the largest count.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    job: str = ""
    restarts: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the main process (rank 0), the only one that prints, prepares data and writes files."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Return the device for this process: as `choose_device`, with a separate GPU for each process.

        Raises:
            ConfigError: If the machine has no such device for this process.
        """
        device = choose_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda" or self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"there is no {device.type} device for process {self.local_rank} on this machine",
                fix="start at most one process per GPU with torchrun, or set train.device=cpu",
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def sum(self, *numbers: float) -> list[float]:
        """Return the sum of each number over all processes."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(total, group=_torch_group())
        return total.tolist()

    def any(self, flag: bool) -> bool:
        """Return whether the flag is true in any process."""
        return self.sum(float(flag))[0] > 0

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank, in every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=_torch_group())
        return values

    def broadcast(self, value: T) -> T:
        """Return the main process's value in every process."""
        if self.size == 1:
            return value
        return self._broadcast(value, _torch_group())

    def _broadcast(self, value: T, group: Any) -> T:
        values: list[Any] = [value if self.is_main else None]
        dist.broadcast_object_list(values, src=0, group=group)
        received: T = values[0]
        return received

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
        self.any(False)

    def main_process_first(self, work: Callable[[], T]) -> T:
        """Call `work` in the main process, and when it has returned, in all others.

        The others wait as long as it takes.

        Raises:
            PeerFailed: In the other processes, if `work` raised a RegardError in the main process.
        """
        if self.size == 1:
            return work()
        if not self.is_main:
            failure: str | None = self._broadcast(None, _torch_group(patient=True))
            if failure is not None:
                raise PeerFailed(failure)
            return work()
        try:
            result = work()
        except RegardError as error:
            self._broadcast(error.message, _torch_group(patient=True))
            raise
        self._broadcast(None, _torch_group(patient=True))
        return result

    def report_once(self, error: RegardError) -> RegardError:
        """Return the error to raise if every process detects `error`: PeerFailed except in the main process."""
        return error if self.is_main else PeerFailed(error.message)


SINGLE_PROCESS = ProcessGroup()

_initialized: list[tuple[ProcessGroup, Any, Any]] = []  # with its torch groups: for steps, and for the setup


def _torch_group(*, patient: bool = False) -> Any:
    return _initialized[0][2 if patient else 1]


@contextmanager
def init_distributed() -> Iterator[ProcessGroup]:
    """Connect to the other processes that torchrun has started, and yield the group; may be nested.

    Raises:
        TrainingError: If the connection to another process is lost.
    """
    processes = _initialized[0][0] if _initialized else from_environment(os.environ)
    if processes.size == 1 or _initialized:
        yield processes
        return
    with _connection_errors():
        processes = _connect(processes)
        groups = [dist.new_group(backend="gloo", timeout=timeout) for timeout in (STEP_TIMEOUT, SETUP_TIMEOUT)]
        _initialized.append((processes, *groups))
        try:
            yield processes
            processes.wait()  # a process that exits early with an error makes torchrun stop the others
        finally:
            _initialized.clear()
        dist.destroy_process_group()


def _connect(processes: ProcessGroup) -> ProcessGroup:
    """Initialize torch.distributed. Return the group with the restarts that all processes know of."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    store, *_ = next(rendezvous("env://"))
    prefix, restarts = agree_on_prefix(PrefixStore("regard", store), processes)
    prefixed = PrefixStore(f"regard/{prefix}", store)
    dist.init_process_group(backend, store=prefixed, rank=processes.rank, world_size=processes.size)
    return replace(processes, restarts=restarts)


def agree_on_prefix(store: Store, processes: ProcessGroup) -> tuple[str, int]:
    """Return a prefix for the keys of one connection, and the largest restart count, equal in all processes.

    torchrun may use one store for all connections of a job, and a new prefix hides the addresses of processes that may
    be gone. The restart count cannot be that prefix: a machine that replaces a lost one counts from 0. The main process
    chooses the prefix, collects a random name from each other process, and publishes the names; a process that does
    not find its own name has read the prefix of an earlier connection, and reads it again.
    """
    name = uuid.uuid4().hex
    if processes.is_main:
        store.set("prefix", name)
        replies = [json.loads(store.get(f"{name}/{rank}")) for rank in range(1, processes.size)]
        restarts = max(processes.restarts, *(count for _, count in replies))
        store.set(f"{name}/members", json.dumps([[member for member, _ in replies], restarts]))
        return name, restarts
    deadline = time.monotonic() + STEP_TIMEOUT.total_seconds()
    while time.monotonic() < deadline:
        prefix = store.get("prefix").decode()
        store.set(f"{prefix}/{processes.rank}", json.dumps([name, processes.restarts]))
        if store.check([f"{prefix}/members"]):
            members, restarts = json.loads(store.get(f"{prefix}/members"))
            if name in members:
                return prefix, restarts
        time.sleep(STORE_INTERVAL)
    raise dist.DistStoreError("the main process does not answer")


def from_environment(environment: Mapping[str, str]) -> ProcessGroup:
    """Return the process group that torchrun's environment variables describe; SINGLE_PROCESS without them."""
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} <= environment.keys():
        return SINGLE_PROCESS
    job = environment.get("TORCHELASTIC_RUN_ID", "none")
    return ProcessGroup(
        rank=int(environment["RANK"]),
        size=int(environment["WORLD_SIZE"]),
        local_rank=int(environment["LOCAL_RANK"]),
        job=f"{socket.gethostname()}:{os.getppid()}" if job == "none" else job,
        restarts=int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")),
    )


@contextmanager
def _connection_errors() -> Iterator[None]:
    """Turn the errors of a lost connection into a TrainingError."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not any(word in str(error).lower() for word in CONNECTION_WORDS):
            raise
        lines = re.sub(r"^\[\S+\] ", "", str(error).strip()).partition(". ")[0].splitlines()
        raise TrainingError(
            f"the connection to another process of this job was lost: {lines[0] if lines else repr(error)}",
            fix="find out why that process ended; `regard train --resume RUN` continues from the last checkpoint, "
            "and `torchrun --max-restarts 1` does so automatically",
        ) from None


def wrap_parallel(module: nn.Module, kind: str, processes: ProcessGroup) -> nn.Module:
    """Wrap a module so that backward averages its gradients over all processes; return it as it is for one process.

    Args:
        module: With "fsdp", its parameters are sharded in place. They are gathered when its forward begins, and
            sharded again after backward.
        kind: "ddp" (a copy in each process) or "fsdp" (FSDP2, a shard in each process).
        processes: The processes that train it.
    """
    if processes.size == 1:
        return module
    if kind == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        device = next(module.parameters()).device.type
        fully_shard(module, mesh=init_device_mesh(device, (processes.size,)))
        return module
    replicated = DistributedDataParallel(module, gradient_as_bucket_view=True)
    replicated.broadcast_buffers = False  # position tables grow in each process independently
    return replicated


@contextmanager
def grad_sync(module: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Run forward and backward of one microbatch; gradients are exchanged between processes only if enabled."""
    if isinstance(module, DistributedDataParallel) and not enabled:
        with module.no_sync():
            yield
        return
    if _is_fsdp(module):
        module.set_requires_gradient_sync(enabled)
    yield


def full_tensor(tensor: Tensor) -> Tensor:
    """Return the full tensor of one that may be sharded; if it is, all processes must call this."""
    return tensor.full_tensor() if _is_sharded(tensor) else tensor


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's shard of a full tensor that every process has, placed as `like`; all of it if unsharded."""
    if not _is_sharded(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _is_sharded(tensor: Tensor) -> TypeGuard[DTensor]:
    return hasattr(tensor, "full_tensor")


def _is_fsdp(module: nn.Module) -> TypeGuard[FSDPModule]:
    return hasattr(module, "set_requires_gradient_sync")
