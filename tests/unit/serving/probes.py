"""Functions that the tests call in worker processes. The first argument is the worker's translator."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from regard.errors import DecodingError
from regard.inference.translator import Translator

PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT, EXCLUSIVE = 1 << 63, 1 << 56  # bits of an entry of /proc/PID/pagemap


def weight_pages(translator: Translator) -> list[bool]:
    """Return for each page in memory that holds nothing but weights whether other processes have it too."""
    with Path("/proc/self/pagemap").open("rb") as pagemap:
        entries = []
        for page in _pages(translator):
            pagemap.seek(8 * page)
            entries.append(int.from_bytes(pagemap.read(8), "little"))
    return [not entry & EXCLUSIVE for entry in entries if entry & PRESENT]


def _pages(translator: Translator) -> Iterator[int]:
    for weights in translator.model.parameters():
        start = weights.data_ptr()
        yield from range(-(-start // PAGE), (start + weights.numel() * weights.element_size()) // PAGE)


def process_id(translator: Translator) -> int:
    """Return the id of the worker."""
    return os.getpid()


def kill(translator: Translator) -> None:
    """Kill the worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(translator: Translator) -> None:
    """Do not return for a long time."""
    time.sleep(600)


def search_forever(translator: Translator) -> None:
    """Take steps until the search is interrupted."""
    while True:
        translator.model.decoder.check()  # type: ignore[operator]
        time.sleep(0.001)


def fail(translator: Translator) -> None:
    """Raise a RegardError."""
    raise DecodingError("no", where="line 1", fix="another line")


class UnportableError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def fail_unportably(translator: Translator) -> None:
    """Raise an exception that cannot be sent as it is."""
    raise UnportableError(1, 2)
