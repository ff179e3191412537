"""Translate in several processes of one thread each, which is faster than one process with as many threads."""

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
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Unpack

import torch

from regard.errors import DecodingError
from regard.inference.translator import Constraints, TranslateOptions, Translation, Translator
from regard.plugins.loading import load_plugin
from regard.plugins.registry import plugin_sources

CHUNK = 512  # lines that a worker receives at a time
PROBE = 64  # lines translated to measure what is fastest
GAIN = 0.9  # several processes must need at most this share of the time to be worth their start
AHEAD = 2  # chunks queued for each worker, so that none is idle
POLL_SECONDS = 1.0  # between two looks at whether the workers live

Load = Callable[[], Translator]

_translator: Translator | None = None  # in a worker process


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def probe(translate: Callable[[Sequence[str]], object], lines: Sequence[str], most: int) -> int:
    """Return the fastest number of processes for these lines: up to `most` of one thread each, or 1 with all threads.

    Translates a sample of the lines both ways, which takes about a second, and considers only as many processes as
    fit into memory.
    """
    sample = lines[:: max(1, len(lines) // PROBE)][:PROBE]
    seconds: dict[int, float] = {}
    before = torch.get_num_threads()
    for threads in 2 * (before, 1) if before > 1 else (1,):
        torch.set_num_threads(threads)
        start = time.perf_counter()
        translate(sample)
        seconds[threads] = min(time.perf_counter() - start, seconds.get(threads, math.inf))
    torch.set_num_threads(before)
    fit = min(most, _room())
    return fit if fit > 1 and seconds[1] / fit < seconds[before] * GAIN else 1


def _room() -> int:
    """Return how many processes as large as this one fit into the free memory."""
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
    """Yield translations as `Translator.stream` does, made by several processes; in order, in bounded memory.

    Args:
        load: Loads the translator of a process. A new process must be able to import it; for example
            `functools.partial(Translator.load, folder)`.
        lines: The lines to translate.
        workers: The number of processes.
        options: As for `Translator.stream`.

    Raises:
        DecodingError: If a worker process ends unexpectedly, or the search fails.
    """
    arguments = (load, plugin_sources())
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=arguments) as pool:
        constraints = options.pop("constraints", None)
        waiting: deque[Future[list[Translation]]] = deque()
        chunks = _chunks(iter(lines), None if constraints is None else iter(constraints))
        try:
            for number, (chunk, chunk_constraints) in enumerate(chunks):
                waiting.append(pool.submit(_translate, number * CHUNK, chunk, chunk_constraints, options))
                if len(waiting) >= AHEAD * workers:
                    yield from _result(pool, waiting.popleft())
            while waiting:
                yield from _result(pool, waiting.popleft())
        except BrokenProcessPool:
            raise DecodingError(
                "a worker process ended unexpectedly",
                where="workers",
                fix="it may be out of memory: use fewer workers, or a smaller batch_size",
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _result(pool: ProcessPoolExecutor, future: Future[list[Translation]]) -> list[Translation]:
    """Return the result of a chunk. Raise BrokenProcessPool if a worker has died."""
    was_stuck = False
    while True:
        try:
            return future.result(timeout=POLL_SECONDS)
        except TimeoutError:
            if future.done():
                raise  # it is the worker's
        is_stuck = any(process.exitcode is not None for process in _processes(pool))
        if is_stuck and was_stuck:
            _unblock(pool)
        was_stuck = is_stuck


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())


def _unblock(pool: ProcessPoolExecutor) -> None:
    """Let a pool see that a worker has died while it sent a result.

    The pool waits for the rest of that result as long as any process can write to its pipe, and this one can.
    """
    for process in _processes(pool):
        process.kill()
    pool._result_queue._writer.close()  # type: ignore[attr-defined]


def _chunks(
    lines: Iterator[str], constraints: Iterator[Constraints] | None
) -> Iterator[tuple[list[str], list[Constraints] | None]]:
    while chunk := list(islice(lines, CHUNK)):
        yield chunk, None if constraints is None else list(islice(constraints, len(chunk)))


def _start(load: Load, plugins: Sequence[str]) -> None:
    global _translator
    end_with_parent()
    for name in ("SIGINT", "SIGHUP", "SIGQUIT"):  # the terminal sends them to the parent too, which stops the workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
    for plugin in plugins:
        load_plugin(plugin)
    _translator = load()


def end_with_parent() -> None:
    """End this process when its parent ends, even by SIGKILL. It is a process of `multiprocessing`."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="watch the parent", daemon=True).start()


def _translate(
    first: int, lines: Sequence[str], constraints: Sequence[Constraints] | None, options: TranslateOptions
) -> list[Translation]:
    assert _translator is not None
    chunk_options: TranslateOptions = {**options, "first_line": first, "constraints": constraints}
    return _translator.translate(lines, **chunk_options)
