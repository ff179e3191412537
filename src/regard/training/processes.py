"""The processes that train one model together: who this one is, and what they agree on.

torchrun starts them and says in the environment who is who. One process alone is the plain case: then nothing here
sends anything, and torch.distributed is not begun.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from regard.errors import ConfigError, RegardError, ToldElsewhere, TrainingError
from regard.runtime import choose_device

T = TypeVar("T")

SOON, LATER = timedelta(minutes=30), timedelta(days=7)  # until all must have come; one that is gone is noticed at once
GONE = ("gloo", "connection", "nccl", "socket", "peer")  # words of errors that come from between processes


@dataclass(frozen=True)
class Processes:
    """One of several processes, or the only one.

    rank: its number among `size`; the first, 0, alone prints, prepares and writes.
    local_rank: its number on its machine.
    job: what tells this job of torchrun's from others, the same after a restart; empty without torchrun.
    restarts: how often torchrun has begun all of them anew.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    job: str = ""
    restarts: int = 0

    @property
    def first(self) -> bool:
        """Whether this one speaks for all."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """As regard.runtime.choose_device, with a GPU for each process. Raises ConfigError."""
        device = choose_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda" or self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"there is no {device.type} device for process {self.local_rank} of this machine",
                fix="let torchrun start as many processes as there are GPUs, or say --set train.device=cpu",
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def sum(self, *numbers: float) -> list[float]:
        """Numbers added up over all processes, the same in each."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(total, group=_group())
        return total.tolist()

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of them at least."""
        return self.sum(float(flag))[0] > 0

    def gather(self, value: T) -> list[T]:
        """What each process has, in all of them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=_group())
        return values

    def from_first(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        return self._from_first(value, _group())

    def _from_first(self, value: T, group: Any) -> T:
        values: list[Any] = [value if self.first else None]
        dist.broadcast_object_list(values, src=0, group=group)
        found: T = values[0]
        return found

    def wait(self) -> None:
        """Until all have come here."""
        self.any(False)

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do something in the first process, and then, however long that takes, in the others what depends on it.

        Raises what `work` does; where that is a RegardError of the first, ToldElsewhere in the others.
        """
        if self.size == 1:
            return work()
        if not self.first:
            wrong: str | None = self._from_first(None, _group(patient=True))
            if wrong is not None:
                raise ToldElsewhere(wrong)
            return work()
        try:
            found = work()
        except RegardError as error:
            self._from_first(error.what, _group(patient=True))
            raise
        self._from_first(None, _group(patient=True))
        return found

    def told_once(self, error: RegardError) -> RegardError:
        """An error that every process comes to by itself: as it is in the first, ToldElsewhere in the others."""
        return error if self.first else ToldElsewhere(error.what)


ALONE = Processes()

_joined: list[tuple[Processes, Any, Any]] = []  # this one's place, and two groups of all: for soon and for later

_meetings = count()


def _group(*, patient: bool = False) -> Any:
    return _joined[0][2 if patient else 1]


@contextmanager
def joined() -> Iterator[Processes]:
    """Be one of the processes that torchrun has started, or the only one; inside itself it changes nothing.

    Raises TrainingError where another process is lost.
    """
    here = _joined[0][0] if _joined else place(os.environ)
    if here.size == 1 or _joined:
        yield here
        return
    with _told_if_lost():
        _meet(here)
        groups = [dist.new_group(backend="gloo", timeout=timeout) for timeout in (SOON, LATER)]
        _joined.append((here, *groups))
        try:
            yield here
            here.wait()  # whoever leaves early with an error makes torchrun end the others
        finally:
            _joined.clear()
        dist.destroy_process_group()


def _meet(here: Processes) -> None:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    # The store is that of every meeting of this job, with the addresses of processes that may be gone by now.
    store, *_ = next(rendezvous("env://"))
    anew = PrefixStore(f"regard/{here.restarts}/{next(_meetings)}", store)
    dist.init_process_group(backend, store=anew, rank=here.rank, world_size=here.size)


def place(environment: Mapping[str, str]) -> Processes:
    """Who this process is by torchrun's variables."""
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} <= environment.keys():
        return ALONE
    job = environment.get("TORCHELASTIC_RUN_ID", "none")
    return Processes(
        rank=int(environment["RANK"]),
        size=int(environment["WORLD_SIZE"]),
        local_rank=int(environment["LOCAL_RANK"]),
        job=f"{socket.gethostname()}:{os.getppid()}" if job == "none" else job,
        restarts=int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")),
    )


@contextmanager
def _told_if_lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not any(word in str(error).lower() for word in GONE):
            raise
        told = re.sub(r"^\[\S+\] ", "", str(error).strip()).partition(". ")[0].splitlines()
        raise TrainingError(
            f"the connection to another process of this job is lost: {told[0] if told else repr(error)}",
            fix="see why it ended; `regard train --resume RUN` goes on from the last checkpoint, "
            "and `torchrun --max-restarts 1` does so by itself",
        ) from None
