"""The limit on this process's address space (`ulimit -v`), compared with what PyTorch needs before it is imported.

Where memory runs out while a library is loaded, C and C++ code may abort the process: no exception reaches Python.
Imports nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from regard.errors import RegardError

# Measured with PyTorch 2.13 and NumPy 2.4 on x86-64: the smallest model trains with 320 MB in addition to torch/lib.
BESIDE_LIBRARIES = 336 << 20  # bytes
OPENMP_THREAD = 9 << 20  # its stack
OPENBLAS_THREAD = 41 << 20  # its stack and its buffer
_ARENA_MAX = -8  # <malloc.h>


def require_address_space() -> None:
    """Raise RegardError if the limit on address space is too low to load PyTorch and run the smallest model.

    Where it is only just enough, let the threads share one malloc arena: each arena reserves 64 MiB of addresses.
    """
    limit = address_space_limit()
    if limit is None:
        return
    cores = len(os.sched_getaffinity(0))
    threads = _openmp_threads(cores)
    further = (threads - 1) * OPENMP_THREAD + (min(threads, cores) - 1) * OPENBLAS_THREAD
    needed = _library_bytes() + BESIDE_LIBRARIES + further
    if limit < needed:
        fewer = ", or set OMP_NUM_THREADS=1 to start fewer threads" if threads > 1 else ""
        raise RegardError(
            f"out of memory while loading PyTorch: the address space of this process is limited to "
            f"{limit // 10**6:,} MB, and {'1 thread needs' if threads == 1 else f'{threads} threads need'} at least "
            f"{needed // 10**6:,} MB",
            fix=f"raise the limit (`ulimit -v unlimited`){fewer}",
        )
    if limit < 2 * needed:
        _share_arena()


def address_space_limit() -> int | None:
    """Return the soft limit in bytes; None where there is none, and on systems that do not enforce it."""
    if not sys.platform.startswith("linux"):
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _library_bytes() -> int:
    """Return the size of PyTorch's shared libraries, which are mapped whole."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return 0
    return sum(path.stat().st_size for path in Path(torch.origin).with_name("lib").glob("*.so*"))


def _openmp_threads(cores: int) -> int:
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, int(threads)) if threads.isdecimal() else cores


def _share_arena() -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_ARENA_MAX, 1)
