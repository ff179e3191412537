"""Encode pairs of text as token ids with several worker processes.

`python -m regard.data.encoding FOLDER [PLUGIN ...]` is a worker: it reads pickled chunks of text from standard input
and writes pickled chunks of ids to standard output, until its input ends. This is not multiprocessing, because that
would run the main module of the parent again in each worker, which breaks plain scripts.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

from regard.corpus.corpus import Pair
from regard.corpus.tagged import split_tags
from regard.data.store_writer import CHUNK_PAIRS, Chunk
from regard.errors import DataError, WorkerLost
from regard.plugins.loading import load_plugin
from regard.plugins.registry import plugin_sources
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer

SERIAL_PAIRS = 5 * CHUNK_PAIRS  # encoded in this process, before starting workers is worth it

Texts = tuple[list[str], list[str], list[int]]  # sources, targets, lines
Encode = Callable[[Iterable[Pair], Path], Iterator[Chunk]]
"""Encodes pairs in chunks of CHUNK_PAIRS, in order; the second argument is the folder with the tokenizers."""


def encode_in_process(pairs: Sequence[Pair], tokenizers: Tokenizers) -> Chunk:
    """Encode pairs in this process."""
    return encode_texts(tokenizers, _texts(pairs))


def encode(pairs: Iterable[Pair], folder: Path) -> Iterator[Chunk]:
    """Encode pairs in chunks of CHUNK_PAIRS, with as many workers as there are CPUs.

    The ids do not depend on the number of workers; memory does not grow with the number of pairs.

    Args:
        pairs: The pairs.
        folder: The folder with the tokenizers.

    Raises:
        WorkerLost: A worker dies.
        DataError: The pattern of a tokenizer takes too long.
    """
    chunks = text_chunks(iter(pairs))
    tokenizers = Tokenizers.load(folder)
    yield from (encode_texts(tokenizers, texts) for texts in islice(chunks, SERIAL_PAIRS // CHUNK_PAIRS))
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers == 1:
        yield from (encode_texts(tokenizers, texts) for texts in chunks)
    elif (first := next(chunks, None)) is not None:
        yield from _encode_with_workers(first, chunks, folder, workers)


def text_chunks(pairs: Iterator[Pair]) -> Iterator[Texts]:
    """Yield the texts of CHUNK_PAIRS pairs at a time."""
    while chunk := list(islice(pairs, CHUNK_PAIRS)):
        yield _texts(chunk)


def _texts(pairs: Sequence[Pair]) -> Texts:
    return [pair.source for pair in pairs], [pair.target for pair in pairs], [pair.line for pair in pairs]


def encode_texts(tokenizers: Tokenizers, texts: Texts) -> Chunk:
    """Encode the texts of a chunk in this process."""
    sources, targets, lines = texts
    return Chunk.of(_encode_all(tokenizers.source, sources), _encode_all(tokenizers.target, targets), lines)


def _encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> Sequence[Sequence[int]]:
    if isinstance(tokenizer, TaggedTokenizer):
        encoded = _encode_all(tokenizer.inner, [split_tags(text)[1] for text in texts])
        return [[*tokenizer.tag_ids(text), *ids] for text, ids in zip(texts, encoded, strict=True)]
    if isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.encode_all(texts)
    return [tokenizer.encode(text) for text in texts]


def _encode_with_workers(first: Texts, rest: Iterator[Texts], folder: Path, count: int) -> Iterator[Chunk]:
    """Encode with one chunk at a time per worker; the next one is ready before a worker is done."""
    idle = [_Worker(folder) for _ in range(count)]
    workers, busy = tuple(idle), deque[_Worker]()
    texts: Texts | None = first
    try:
        while texts is not None:
            worker = idle.pop() if idle else busy.popleft()
            if worker.is_busy:
                yield worker.result()
            worker.submit(texts)
            busy.append(worker)
            texts = next(rest, None)
        yield from (worker.result() for worker in busy)
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that encodes one chunk at a time."""

    def __init__(self, folder: Path) -> None:
        self.is_busy = False
        self._folder = folder
        command = [sys.executable, "-m", "regard.data.encoding", str(folder), *plugin_sources()]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )

    def submit(self, texts: Texts) -> None:
        """Start encoding a chunk."""
        assert self._process.stdin is not None
        try:
            pickle.dump(texts, self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        self.is_busy = True

    def result(self) -> Chunk:
        """Wait for the encoded chunk."""
        assert self._process.stdout is not None
        try:
            reply = cast(Chunk | DataError, pickle.load(self._process.stdout))  # trusted: written by this module
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self._died() from None
        self.is_busy = False
        if isinstance(reply, DataError):
            raise reply
        return reply

    def _died(self) -> WorkerLost:
        return WorkerLost(
            f"a process that encodes text has died (exit code {self._process.wait()})",
            where=self._folder,
            fix="it may have run out of memory: free some, then run `regard train --resume`",
        )

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def _serve(folder: Path, requests: BinaryIO, results: BinaryIO) -> None:
    tokenizers = Tokenizers.load(folder)
    while True:
        try:
            texts: Texts = pickle.load(requests)  # trusted: written by this module
        except EOFError:
            return
        try:
            reply: Chunk | DataError = encode_texts(tokenizers, texts)
        except DataError as error:  # of a pattern that takes too long
            reply = error
        pickle.dump(reply, results)
        results.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends this process
    for source in sys.argv[2:]:
        load_plugin(source)
    try:
        _serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, pickle.UnpicklingError):  # the parent was killed
        os._exit(1)  # without flushing standard output, which would fail again
