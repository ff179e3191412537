"""Dynamic batching: sentences of concurrent requests that have similar lengths are decoded in one batch.

One thread runs the models, so requests never compete for the processor during a search; with worker processes, one
thread waits for each of them. The sentence that has waited longest comes next, together with the compatible sentences
nearest to it in length. A batch that is not full waits briefly for more, and idle threads share what is waiting.

The rows of a batch are independent (see tests/laws), so a sentence gets the same translation as alone, apart from the
rounding of sums.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

import torch

from regard.inference.translator import Constraints, SearchOptions, Translation, Translator
from regard.serving.limits import Limits, RequestRejected, busy
from regard.terms.glossary import Term
from regard.terms.glossary_files import NO_GLOSSARY

T = TypeVar("T")
MAX_BATCH_TOKENS = 8192  # source tokens per batch, with padding
LENGTH_SLACK = 16  # in one batch, longest <= 2 * shortest + LENGTH_SLACK, in tokens
STOPPING = "the server is stopping"


@dataclass(frozen=True)
class SearchKey:
    """The model and the search options of a sentence. Only sentences with equal keys share a batch."""

    translator: Translator
    top_beams: int = 1
    beam_size: int | None = None  # None: as in the recipe
    with_attention: bool = False
    with_confidence: bool = False
    is_constrained: bool = False  # search with a beam, which supports constraints

    @property
    def options(self) -> SearchOptions:
        """Search options that differ from the recipe.

        Shortlists are off: a shortlist depends on the whole batch, so translations would too.
        """
        options: SearchOptions = {"shortlist": False}
        if self.beam_size is not None:
            options["beam_size"] = self.beam_size
        if self.top_beams > 1 or self.is_constrained:
            options["strategy"] = "beam"
        return options

    @property
    def is_random(self) -> bool:
        """Whether the search samples. Samples depend on the row, so such a sentence is decoded alone."""
        search = self.translator.search
        samples = search.strategy == "sample" or (search.strategy == "mbr" and search.candidates == "samples")
        return samples and self.top_beams == 1 and not self.is_constrained


@dataclass(frozen=True)
class Sentence:
    """One segment to translate.

    Attributes:
        text: The source text.
        tokens: Number of source tokens.
        require: Strings that the translation must contain.
        prefix: How the translation must begin.
        terms: Terms of each of which it must contain a form.
    """

    text: str
    tokens: int
    require: tuple[str, ...] = ()
    prefix: str = ""
    terms: tuple[Term, ...] = ()

    @property
    def is_constrained(self) -> bool:
        """Whether the translation must contain something."""
        return bool(self.require or self.prefix or self.terms)

    @property
    def constraints(self) -> Constraints:
        """What the translation must contain."""
        return Constraints(require=self.require, prefix=self.prefix, terms=self.terms)


class Ticket:
    """The deadline of a request, and whether its client has gone."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.is_abandoned = False

    @property
    def is_over(self) -> bool:
        """Whether the request is abandoned or past its deadline."""
        return self.is_abandoned or time.monotonic() > self.deadline


@dataclass(eq=False)
class _Item:
    ticket: Ticket
    key: SearchKey | None = None
    sentence: Sentence = Sentence("", 0)
    call: Callable[[], Any] | None = None  # called instead of a search
    arrival: float = field(default_factory=time.monotonic)
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Accept sentences from any thread and translate them in one thread, or in one thread per worker process."""

    def __init__(
        self, limits: Limits, on_batch: Callable[[int], None] = lambda size: None, *, threads: int = 1
    ) -> None:
        """Start the threads.

        Args:
            limits: The limits of the server.
            on_batch: Called with the size of each batch.
            threads: The number of batches that are translated at a time.
        """
        self._limits = limits
        self._on_batch = on_batch
        self._waiting: list[_Item] = []
        self._running: list[Sequence[_Item]] = [()] * threads  # the current batch of each thread
        self._idle = 0  # threads that wait for a batch
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name="batcher", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Number of waiting sentences."""
        return len(self._waiting)

    def search(self, key: SearchKey, sentences: Sequence[Sentence], ticket: Ticket) -> list[list[Translation]]:
        """Translate sentences and return the translations of each, best first; block until all are done.

        Raises:
            RequestRejected: The queue is full, or the results are not ready before the deadline.
            RegardError: The search failed.
        """
        return self.results(self.submit(key, sentences, ticket), ticket)

    def submit(self, key: SearchKey, sentences: Sequence[Sentence], ticket: Ticket) -> list[Future[list[Translation]]]:
        """Add sentences to the queue. Raise RequestRejected if it has no room for all of them."""
        items = [_Item(ticket, key, sentence) for sentence in sentences]
        self._add(items)
        return [item.future for item in items]

    def call(self, function: Callable[[], T], ticket: Ticket) -> T:
        """Call a function in the batcher's thread and return its result."""
        item = _Item(ticket, call=function)
        self._add([item])
        results: list[T] = self.results([item.future], ticket)
        return results[0]

    def results(self, futures: Sequence[Future[T]], ticket: Ticket) -> list[T]:
        """Wait for the results of `submit`.

        Raises:
            RequestRejected: They are not ready before the deadline, or the request was abandoned.
        """
        wait(futures, timeout=max(0.0, ticket.deadline - time.monotonic()) + 0.05)
        if not all(future.done() for future in futures):
            ticket.is_abandoned = True
            raise _timed_out()
        return [future.result() for future in futures]

    def stop(self, seconds: float) -> None:
        """Finish the waiting sentences within `seconds`; then reject the rest and interrupt the running search."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            unfinished, self._waiting = [*chain(*self._running), *self._waiting], []
        for item in unfinished:
            item.ticket.is_abandoned = True
            _fail(item, busy(STOPPING))

    def _add(self, items: Sequence[_Item]) -> None:
        with self._changed:
            if self._stopping:
                raise busy(STOPPING)
            if len(self._waiting) + len(items) > self._limits.queue:
                raise busy(f"{len(self._waiting):,} sentences are waiting already")
            self._waiting += items
            self._changed.notify_all()

    def _run(self, thread: int) -> None:
        # Leave one processor to the connections: a matrix product waits for its slowest thread.
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))
        last_end = 0.0  # when the last batch ended: its clients may send new requests at once
        while batch := self._next_batch(thread, last_end):
            self._run_batch(batch)
            self._running[thread] = ()
            del batch  # it refers to its model, which may have been replaced
            last_end = time.monotonic()

    def _next_batch(self, thread: int, last_end: float) -> list[_Item]:
        """Wait for the next batch and return it; return an empty list when the batcher stops and nothing waits."""
        with self._changed:
            self._idle += 1
            try:
                while True:
                    self._drop_abandoned()
                    if not self._waiting:
                        if self._stopping:
                            return []
                        self._changed.wait()
                        continue
                    oldest = self._waiting[0]
                    batch, is_full = self._compatible_items(oldest)
                    remaining = max(oldest.arrival, last_end) + self._limits.gather - time.monotonic()
                    if is_full or remaining <= 0 or self._stopping:
                        batch_ids = set(map(id, batch))
                        self._waiting = [item for item in self._waiting if id(item) not in batch_ids]
                        self._running[thread] = batch
                        return batch
                    del oldest, batch  # another thread may take them, and this one would keep their model meanwhile
                    self._changed.wait(remaining)
            finally:
                self._idle -= 1

    def _drop_abandoned(self) -> None:
        """Drop items whose request is over."""
        active = []
        for item in self._waiting:
            if item.ticket.is_over:
                _fail(item, _timed_out())
            else:
                active.append(item)
        self._waiting = active

    def _compatible_items(self, oldest: _Item) -> tuple[list[_Item], bool]:
        """Return a batch: the oldest item and those that can share its batch; and whether the batch is full."""
        if oldest.key is None or oldest.key.is_random:
            return [oldest], True
        candidates = [item for item in self._waiting[1:] if item.key == oldest.key]
        share = math.ceil(len(self._waiting) / self._idle)  # two threads search two small batches faster than one large
        size = min(share, self._limits.batch)
        candidates.sort(key=lambda item: abs(item.sentence.tokens - oldest.sentence.tokens))
        batch = [oldest]
        shortest = longest = oldest.sentence.tokens
        for item in candidates:
            if len(batch) == size:
                break
            shortest, longest = min(shortest, item.sentence.tokens), max(longest, item.sentence.tokens)
            if longest > 2 * shortest + LENGTH_SLACK or (longest + 1) * (len(batch) + 1) > MAX_BATCH_TOKENS:
                break
            batch.append(item)
        return batch, len(batch) == self._limits.batch

    def _run_batch(self, batch: Sequence[_Item]) -> None:
        """Run a batch. If it fails, run each sentence alone, so that an error affects only its own request."""
        self._on_batch(len(batch))
        try:
            results = [batch[0].call()] if batch[0].call else _search(batch)
        except BaseException as error:
            if len(batch) == 1 or isinstance(error, RequestRejected):
                for item in batch:
                    _fail(item, error)
                return
            for item in batch:
                self._run_batch([item])
            return
        for item, result in zip(batch, results, strict=True):
            with suppress(InvalidStateError):  # it was rejected in the meantime
                item.future.set_result(result)


def _search(batch: Sequence[_Item]) -> list[list[Translation]]:
    """Translate a batch. Raise RequestRejected once the requests of all its sentences are over."""
    key = batch[0].key
    assert key is not None
    constraints = None
    if any(item.sentence.is_constrained for item in batch):
        constraints = [item.sentence.constraints for item in batch]

    def check() -> None:
        if all(item.ticket.is_over for item in batch):
            raise _timed_out()

    translations = key.translator.interruptible(check).translate(
        [item.sentence.text for item in batch],
        top_beams=key.top_beams,
        batch_size=len(batch),
        with_attention=key.with_attention,
        with_confidence=key.with_confidence,
        constraints=constraints,
        split_sentences=False,
        glossary=NO_GLOSSARY,  # the terms are those of the sentences
        **key.options,
    )
    return [list(translation.n_best) for translation in translations]


def _fail(item: _Item, error: BaseException) -> None:
    with suppress(InvalidStateError):  # it was rejected in the meantime
        item.future.set_exception(error)


def _timed_out() -> RequestRejected:
    return busy("the request took too long")
