"""Sentences of many requests, searched together: those of like length that wait at the same time share a batch.

One thread works on the models, so that a request never competes with another for the processor in the middle of a
search. What waits longest is next; with it go those of its kind that are nearest to it in length. A batch that is not
full waits a moment for others. Rows of a batch do not see each other (tests/laws), so what a sentence gets is what it
would get alone, but for the rounding of sums.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from regard.inference.translator import Constraints, SearchOptions, Translation, Translator
from regard.serving.limits import Limits, Refused, busy

T = TypeVar("T")
TOKENS = 8192  # of padded source in a batch
SLACK = 16  # tokens by which the longest of a batch may exceed twice the shortest
STOPPING = "the server is stopping"


@dataclass(frozen=True)
class Order:
    """How a sentence is searched; only those of one order share a batch."""

    translator: Translator
    top_beams: int = 1
    beam_size: int | None = None  # None: the recipe's
    with_attention: bool = False

    @property
    def options(self) -> SearchOptions:
        """What is other than in the recipe. A shortlist is that of a batch, so none is used."""
        options: SearchOptions = {"shortlist": False}
        if self.beam_size is not None:
            options["beam_size"] = self.beam_size
        if self.top_beams > 1:
            options["strategy"] = "beam"
        return options

    @property
    def draws(self) -> bool:
        """Whether what is found depends on a line's number: such a sentence is searched alone, as the first line."""
        search = self.translator.search
        drawn = search.strategy == "sample" or (search.strategy == "mbr" and search.candidates == "samples")
        return drawn and self.top_beams == 1


@dataclass(frozen=True)
class Sentence:
    """What is translated in one go, how many source tokens it has, and what must be in its translation."""

    text: str
    tokens: int
    require: tuple[str, ...] = ()


class Ticket:
    """A request's claim on the batcher: until when it holds, and whether it was given up."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.given_up = False

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.given_up or time.monotonic() > self.ends


@dataclass(eq=False)
class _Item:
    ticket: Ticket
    order: Order | None = None
    sentence: Sentence = Sentence("", 0)
    call: Callable[[], Any] | None = None  # in the place of a search
    came: float = field(default_factory=time.monotonic)
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Takes sentences from any thread, and searches them in its own."""

    def __init__(self, limits: Limits, seen: Callable[[int], None] = lambda size: None) -> None:
        """seen: is told the size of each batch."""
        self._limits = limits
        self._seen = seen
        self._waiting: list[_Item] = []
        self._searched: Sequence[_Item] = ()  # now
        self._changed = threading.Condition()
        self._stopping = False
        self._ended = 0.0  # the last batch: who had its answers may ask again
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many sentences wait."""
        return len(self._waiting)

    def search(self, order: Order, sentences: Sequence[Sentence], ticket: Ticket) -> list[list[Translation]]:
        """For each sentence its translations, best first. Raises Refused, and what the search raises."""
        return self.results(self.begin(order, sentences, ticket), ticket)

    def begin(self, order: Order, sentences: Sequence[Sentence], ticket: Ticket) -> list[Future[list[Translation]]]:
        """Let them wait for their turn. Raises Refused where there is no room for all of them."""
        items = [_Item(ticket, order, sentence) for sentence in sentences]
        self._add(items)
        return [item.future for item in items]

    def call(self, function: Callable[[], T], ticket: Ticket) -> T:
        """Whatever else has to do with a model, in its turn."""
        item = _Item(ticket, call=function)
        self._add([item])
        results: list[T] = self.results([item.future], ticket)
        return results[0]

    def results(self, futures: Sequence[Future[T]], ticket: Ticket) -> list[T]:
        """Those of `begin`. Raises Refused where they are not there in time, or nobody wants them any more."""
        wait(futures, timeout=max(0.0, ticket.ends - time.monotonic()) + 0.05)
        if not all(future.done() for future in futures):
            ticket.given_up = True
            raise _late()
        return [future.result() for future in futures]

    def stop(self, seconds: float) -> None:
        """Finish what waits, but for no longer than this; refuse the rest, and break off the search under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(seconds)
        with self._changed:
            left, self._waiting = [*self._searched, *self._waiting], []
        for item in left:
            item.ticket.given_up = True
            _fail(item, busy(STOPPING))

    def _add(self, items: Sequence[_Item]) -> None:
        with self._changed:
            if self._stopping:
                raise busy(STOPPING)
            if len(self._waiting) + len(items) > self._limits.queue:
                raise busy(f"{len(self._waiting):,} sentences wait already")
            self._waiting += items
            self._changed.notify_all()

    def _work(self) -> None:
        # One processor is left to the connections: a product that waits for a thread which is kept from it loses more.
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))
        while batch := self._next():
            self._do(batch)
            self._searched = ()
            self._ended = time.monotonic()

    def _next(self) -> list[_Item]:
        """What is to be done together; nothing, once there is nothing and will be nothing."""
        with self._changed:
            while True:
                self._drop()
                if not self._waiting:
                    if self._stopping:
                        return []
                    self._changed.wait()
                    continue
                oldest = self._waiting[0]
                batch, full = self._company(oldest)
                left = max(oldest.came, self._ended) + self._limits.gather - time.monotonic()
                if full or left <= 0 or self._stopping:
                    taken = set(map(id, batch))
                    self._waiting = [item for item in self._waiting if id(item) not in taken]
                    self._searched = batch
                    return batch
                self._changed.wait(left)

    def _drop(self) -> None:
        """Those that nobody waits for."""
        kept = []
        for item in self._waiting:
            if item.ticket.over:
                _fail(item, _late())
            else:
                kept.append(item)
        self._waiting = kept

    def _company(self, oldest: _Item) -> tuple[list[_Item], bool]:
        """The oldest, those that go with it, and whether no more would."""
        if oldest.order is None or oldest.order.draws:
            return [oldest], True
        alike = [item for item in self._waiting[1:] if item.order == oldest.order]
        alike.sort(key=lambda item: abs(item.sentence.tokens - oldest.sentence.tokens))
        batch = [oldest]
        shortest = longest = oldest.sentence.tokens
        for item in alike:
            if len(batch) == self._limits.batch:
                break
            shortest, longest = min(shortest, item.sentence.tokens), max(longest, item.sentence.tokens)
            if longest > 2 * shortest + SLACK or (longest + 1) * (len(batch) + 1) > TOKENS:
                break
            batch.append(item)
        return batch, len(batch) == self._limits.batch

    def _do(self, batch: Sequence[_Item]) -> None:
        """Search them together; if that fails, each alone, so that none suffers for another."""
        self._seen(len(batch))
        try:
            results = [batch[0].call()] if batch[0].call else _search(batch)
        except BaseException as error:
            if len(batch) == 1 or isinstance(error, Refused):
                for item in batch:
                    _fail(item, error)
                return
            for item in batch:
                self._do([item])
            return
        for item, result in zip(batch, results, strict=True):
            with suppress(InvalidStateError):  # it was refused meanwhile
                item.future.set_result(result)


def _search(batch: Sequence[_Item]) -> list[list[Translation]]:
    """Raises Refused when nobody waits for any of them any more, and what the search raises."""
    order = batch[0].order
    assert order is not None
    constraints = None
    if any(item.sentence.require for item in batch):
        constraints = [Constraints(require=item.sentence.require) for item in batch]

    def check() -> None:
        if all(item.ticket.over for item in batch):
            raise _late()

    found = order.translator.interruptible(check).translate(
        [item.sentence.text for item in batch],
        top_beams=order.top_beams,
        batch_size=len(batch),
        with_attention=order.with_attention,
        constraints=constraints,
        split_sentences=False,
        **order.options,
    )
    return [list(translation.n_best) for translation in found]


def _fail(item: _Item, error: BaseException) -> None:
    with suppress(InvalidStateError):  # it was refused meanwhile
        item.future.set_exception(error)


def _late() -> Refused:
    return busy("it takes too long just now")
