"""Pairs of text to pairs of ids, by all processors: each worker encodes chunks that come back in their order.

`python -m regard.data.encoding FOLDER` is a worker. It reads chunks of text from standard input and writes chunks of
ids to standard output until the input ends, and so ends with whoever started it. (multiprocessing would run the main
module of that one again in each worker, which a plain script does not survive.)
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from regard.corpus.corpus import Pair
from regard.corpus.tagged import split_tags
from regard.data.store_writer import CHUNK_PAIRS, Chunk
from regard.errors import DataError
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer

FEW = 5 * CHUNK_PAIRS  # pairs for which no other process is worth its start

Texts = tuple[list[str], list[str], list[int]]  # sources, targets, lines


def encode_in_process(pairs: Sequence[Pair], tokenizers: Tokenizers) -> Chunk:
    """A chunk of all these pairs."""
    return _encode(tokenizers, _text(pairs))


def encode(pairs: Iterable[Pair], folder: Path) -> Iterator[Chunk]:
    """Chunks of CHUNK_PAIRS pairs, the last one smaller, by the tokenizers saved in `folder` and by all processors.

    The ids are the same however many processors there are; memory does not grow with the pairs. Raises DataError where
    a worker is lost.
    """
    texts = _texts(iter(pairs))
    tokenizers = Tokenizers.load(folder)
    yield from (_encode(tokenizers, some) for some in islice(texts, FEW // CHUNK_PAIRS))
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers == 1:
        yield from (_encode(tokenizers, some) for some in texts)
    elif (some := next(texts, None)) is not None:
        yield from _by_workers(some, texts, folder, workers)


def _texts(pairs: Iterator[Pair]) -> Iterator[Texts]:
    while some := list(islice(pairs, CHUNK_PAIRS)):
        yield _text(some)


def _text(pairs: Sequence[Pair]) -> Texts:
    return [pair.source for pair in pairs], [pair.target for pair in pairs], [pair.line for pair in pairs]


def _encode(tokenizers: Tokenizers, texts: Texts) -> Chunk:
    sources, targets, lines = texts
    return Chunk.of(_all(tokenizers.source, sources), _all(tokenizers.target, targets), lines)


def _all(tokenizer: Tokenizer, texts: Sequence[str]) -> Sequence[Sequence[int]]:
    if isinstance(tokenizer, TaggedTokenizer):
        found = _all(tokenizer.inner, [split_tags(text)[1] for text in texts])
        return [[*tokenizer.tag_ids(text), *ids] for text, ids in zip(texts, found, strict=True)]
    if isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.encode_all(texts)
    return [tokenizer.encode(text) for text in texts]


def _by_workers(first: Texts, others: Iterator[Texts], folder: Path, count: int) -> Iterator[Chunk]:
    """Each worker has one chunk at a time, and the next one is ready before it is done."""
    idle = [_Worker(folder) for _ in range(count)]
    everyone, busy = tuple(idle), deque[_Worker]()
    ready: Texts | None = first
    try:
        while ready is not None:
            worker = idle.pop() if idle else busy.popleft()
            if worker.works:
                yield worker.result()
            worker.give(ready)
            busy.append(worker)
            ready = next(others, None)
        yield from (worker.result() for worker in busy)
    finally:
        for worker in everyone:
            worker.end()


class _Worker:
    """Another process that encodes chunks, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.works = False
        self._folder = folder
        command = [sys.executable, "-m", "regard.data.encoding", str(folder)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )

    def give(self, texts: Texts) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(texts, self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            raise self._lost() from None
        self.works = True

    def result(self) -> Chunk:
        assert self._process.stdout is not None
        try:
            chunk = cast(Chunk, pickle.load(self._process.stdout))  # of our own making
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self._lost() from None
        self.works = False
        return chunk

    def _lost(self) -> DataError:
        return DataError(
            f"a process that encodes text has ended before its work did (code {self._process.wait()})",
            where=self._folder,
            fix="it may have run out of memory: free some and go on with `regard train --resume`",
        )

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def _work(folder: Path, given: BinaryIO, found: BinaryIO) -> None:
    tokenizers = Tokenizers.load(folder)
    while True:
        try:
            texts: Texts = pickle.load(given)  # of our own making
        except EOFError:
            return
        pickle.dump(_encode(tokenizers, texts), found)
        found.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one that gives out the work
    try:
        _work(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, pickle.UnpicklingError):  # that one was killed
        os._exit(1)  # without another try to write what is left
