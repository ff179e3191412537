"""Devices, threads, memory allocation, garbage collection, denormal numbers, and signals.

PyTorch is imported only inside functions, since `shorten_idle_spins` must be called before it is imported.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from regard.errors import ConfigError

if TYPE_CHECKING:
    import torch

SPINS = "10000"  # iterations of an idle loop: a fraction of a millisecond
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # <malloc.h>
_MAX_INT = 2**31 - 1
Handler = Callable[[int, FrameType | None], object]


def choose_device(name: str) -> torch.device:
    """Return the device of a name: "cpu", "cuda", "mps", or "auto", which is a CUDA GPU if there is one, else the CPU.

    Raises:
        ConfigError: If the machine has no such device.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    if (name == "cuda" and not cuda) or (name == "mps" and not mps) or name not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"there is no device {name!r} on this machine", fix="use auto or cpu")
    return torch.device(name)


def processor_name() -> str:
    """Return the name that Linux gives the processor; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or of the processor with the number of its threads that PyTorch uses."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    name = f"{processor_name()}, {threads} {'thread' if threads == 1 else 'threads'}"
    return name if device.type == "cpu" else f"{device.type} ({name})"


def shorten_idle_spins() -> None:
    """Let idle threads of PyTorch sleep early, to free the cores for the threads of regard's kernels.

    Must be called before PyTorch is imported. An existing environment variable is not changed.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def modules_exempt_from_collection() -> Iterator[None]:
    """Import modules in the block. The garbage collector runs neither during the imports nor over what they create.

    PyTorch creates hundreds of thousands of objects, which live as long as the process. To visit them again and again
    takes a tenth of a second at the start of a command. Only for commands: it freezes all objects of the process.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def keep_freed_memory() -> None:
    """Reuse freed memory instead of returning it to the operating system.

    By default, glibc maps the memory of each large tensor and unmaps it at once. The page faults take a quarter of the
    CPU time of training and a tenth of decoding. With other C libraries this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, _MAX_INT)
        library.mallopt(_TRIM_THRESHOLD, _MAX_INT)


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Flush denormals to zero: they slow float32 arithmetic down, tenfold on x86.

    The gradients of a confident model contain many of them: a g2p run of two thousand steps ends at less than half of
    its initial speed (benchmarks/RESULTS.md). Threads of PyTorch inherit the setting when they are started, and keep
    it: enter this before the first parallel operation. On processors other than x86 and ARM this does nothing.
    """
    import torch

    before = _is_flushing()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _is_flushing() -> bool:
    import torch

    return bool(torch.tensor(1e-30) * 1e-9 == 0)


def termination_signals() -> list[signal.Signals]:
    """Return SIGTERM, and SIGHUP and SIGQUIT if they exist and are not ignored, as nohup ignores SIGHUP."""
    optional = [getattr(signal, name) for name in ("SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    return [signal.SIGTERM, *(number for number in optional if signal.getsignal(number) != signal.SIG_IGN)]


@contextmanager
def handle_signals(
    numbers: Sequence[int], handler: Handler, *, restore: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Call `handler` for signals inside the block. Does nothing outside the main thread, which receives no signals.

    Args:
        numbers: The signals.
        handler: Called with the signal and the stack frame.
        restore: Called at the end of the block; if it returns false, the old handlers are not restored.
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
    """Let termination signals raise KeyboardInterrupt, as Ctrl-C does; yield a list that receives the signals."""
    received: list[signal.Signals] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    with handle_signals(termination_signals(), interrupt):
        yield received
