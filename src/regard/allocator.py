"""The C library's allocator, asked to keep what is freed."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # <malloc.h>
_MOST = 2**31 - 1


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
