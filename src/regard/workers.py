"""Several processes that translate side by side, one thread each, which does more than one process with as many."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any

import torch

from regard.errors import DecodingError
from regard.translator import Constraints, Translation, Translator

CHUNK = 512  # lines that a worker is given at a time
AHEAD = 2  # chunks that wait for each worker, so that none is idle

Load = Callable[[], Translator]
Found = list[list[Translation]]

_translator: Translator | None = None  # of a worker's process


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stream(
    load: Load,
    lines: Iterable[str],
    workers: int,
    constraints: Iterable[Constraints] | None = None,
    **options: Any,
) -> Iterator[list[Translation]]:
    """As Translator.stream, by `workers` processes that each `load` a translator; in order, in bounded memory.

    load: a function that a new process can import, as functools.partial(Translator.load, folder). Raises
    DecodingError where a worker is lost, and whatever the translator raises.
    """
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(load,)) as pool:
        waiting: deque[Future[Found]] = deque()
        chunks = _chunks(iter(lines), None if constraints is None else iter(constraints))
        try:
            for number, (chunk, wishes) in enumerate(chunks):
                waiting.append(pool.submit(_translate, number * CHUNK, chunk, wishes, options))
                if len(waiting) >= AHEAD * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool:
            raise DecodingError(
                "a worker's process has ended before its work did",
                where="--workers",
                fix="it may have run out of memory: take fewer workers, or a smaller --batch-size",
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _chunks(
    lines: Iterator[str], constraints: Iterator[Constraints] | None
) -> Iterator[tuple[list[str], list[Constraints] | None]]:
    while chunk := list(islice(lines, CHUNK)):
        yield chunk, None if constraints is None else list(islice(constraints, len(chunk)))


def _start(load: Load) -> None:
    global _translator
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one that gives out the work
    torch.set_num_threads(1)
    _translator = load()


def _translate(
    first: int, lines: Sequence[str], constraints: Sequence[Constraints] | None, options: dict[str, Any]
) -> Found:
    assert _translator is not None
    return _translator.translate(lines, first_line=first, constraints=constraints, **options)
