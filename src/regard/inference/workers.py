"""Several processes that translate side by side, one thread each, which does more than one process with as many."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Unpack

import torch

from regard.errors import DecodingError
from regard.inference.translator import Constraints, TranslateOptions, Translation, Translator

CHUNK = 512  # lines that a worker is given at a time
PROBE = 64  # lines that are translated to see what is fastest
GAIN = 0.9  # of the time, at most, that several processes must take to be worth their start
AHEAD = 2  # chunks that wait for each worker, so that none is idle

Load = Callable[[], Translator]
Found = list[Translation]

_translator: Translator | None = None  # of a worker's process


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def probe(translate: Callable[[Sequence[str]], object], lines: Sequence[str], most: int) -> int:
    """How many processes would translate such lines fastest: `most`, of one thread each, or this one with as many.

    Translates some of the lines both ways, a second's work or so. No more processes than there is memory for.
    """
    some = lines[:: max(1, len(lines) // PROBE)][:PROBE]
    seconds: dict[int, float] = {}
    before = torch.get_num_threads()
    for threads in 2 * (before, 1) if before > 1 else (1,):
        torch.set_num_threads(threads)
        began = time.perf_counter()
        translate(some)
        seconds[threads] = min(time.perf_counter() - began, seconds.get(threads, math.inf))
    torch.set_num_threads(before)
    fit = min(most, _room())
    return fit if fit > 1 and seconds[1] / fit < seconds[before] * GAIN else 1


def _room() -> int:
    """How many processes as large as this one the free memory has room for."""
    try:
        free = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        return free["MemAvailable"] // int(status["VmHWM"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):  # not Linux
        return processors()


def stream(
    load: Load,
    lines: Iterable[str],
    workers: int,
    **options: Unpack[TranslateOptions],
) -> Iterator[Translation]:
    """As Translator.stream, by `workers` processes that each `load` a translator; in order, in bounded memory.

    load: a function that a new process can import, as functools.partial(Translator.load, folder). Raises
    DecodingError where a worker is lost, and whatever the translator raises.
    """
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(load,)) as pool:
        constraints = options.pop("constraints", None)
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
                where="workers",
                fix="it may have run out of memory: use fewer workers, or a smaller batch_size",
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
    _end_with_parent()
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):  # from the terminal, which sends them to the parent too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
    _translator = load()


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended, even by SIGKILL: the pool would wait for work forever."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="watch the parent", daemon=True).start()


def _translate(
    first: int, lines: Sequence[str], constraints: Sequence[Constraints] | None, options: TranslateOptions
) -> Found:
    assert _translator is not None
    numbered: TranslateOptions = {**options, "first_line": first, "constraints": constraints}
    return _translator.translate(lines, **numbered)
