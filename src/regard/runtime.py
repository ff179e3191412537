"""The machine that regard runs on: devices, threads, the allocator, denormal numbers, and signals.

PyTorch is imported by the functions that need it: `wait_briefly` is of use only before that.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from regard.errors import ConfigError

if TYPE_CHECKING:
    import torch

SPINS = "10000"  # turns of an idle loop: a fraction of a millisecond
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # <malloc.h>
_MOST = 2**31 - 1
Handler = Callable[[int, FrameType | None], object]


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one, else the CPU. Raises ConfigError for one that is not there."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    if (name == "cuda" and not cuda) or (name == "mps" and not mps) or name not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"there is no device {name!r} on this machine", fix="say auto or cpu")
    return torch.device(name)


def shorten_idle_spins() -> None:
    """Let idle threads of PyTorch sleep soon: the kernels of regard.nn have threads of their own, which want the cores.

    Of use before PyTorch is imported. What the environment says already stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def keep_freed_memory() -> None:
    """Let freed memory be used again at the next step rather than go back to the system.

    By default glibc takes each large tensor fresh from the kernel and gives it back at once; the page faults cost
    a quarter of a CPU's time in training and a tenth in search. Other C libraries are left alone.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, _MOST)
        library.mallopt(_TRIM_THRESHOLD, _MOST)


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Let numbers below 1.2e-38 be 0, on a CPU.

    A model that has become sure of itself has many in its gradients: a g2p run of two thousand steps then learns at
    less than half the speed that it began with (benchmarks/RESULTS.md). Threads of PyTorch's take this over from
    the one that starts them, so it has to come before its first work that is divided among several; those threads
    keep it afterwards. Other processors than x86 and ARM are left alone.
    """
    import torch

    before = _flushed()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushed() -> bool:
    import torch

    return bool(torch.tensor(1e-30) * 1e-9 == 0)


def termination_signals() -> list[signal.Signals]:
    """Return SIGTERM, and those of SIGHUP and SIGQUIT that the system has and nobody ignores; nohup ignores SIGHUP."""
    others = [getattr(signal, name) for name in ("SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    return [signal.SIGTERM, *(number for number in others if signal.getsignal(number) != signal.SIG_IGN)]


@contextmanager
def handle_signals(
    numbers: Sequence[int], handler: Handler, *, restore: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Call `handler` for these signals inside; afterwards put back the old handlers where `restore` says so.

    Outside the main thread, which alone receives signals, nothing changes.
    """
    before = {}
    try:
        for number in numbers:
            before[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        if restore():
            for number, old in before.items():
                signal.signal(number, old)


@contextmanager
def raise_on_termination() -> Iterator[list[signal.Signals]]:
    """Let `ending_signals` raise KeyboardInterrupt inside, as Ctrl-C does; yield a list of those that came."""
    received: list[signal.Signals] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    with handle_signals(termination_signals(), interrupt):
        yield received
