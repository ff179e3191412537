from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from regard.config.schema import SearchConfig
from regard.errors import DecodingError
from regard.inference.translator import Translation, Translator
from regard.serving.batcher import Batcher, Order, Sentence, Ticket
from regard.serving.limits import Limits, Refused
from regard.serving.models import Models


class Stub:
    """Says texts backwards, and keeps which came together; waits until it may."""

    def __init__(self, search: SearchConfig | None = None) -> None:
        self.search = search or SearchConfig()
        self.batches: list[list[str]] = []
        self.options: list[dict[str, Any]] = []
        self.may = threading.Event()
        self.began = threading.Event()

    def interruptible(self, check: Callable[[], None]) -> Stub:
        return self

    def translate(self, lines: Sequence[str], **options: Any) -> list[Translation]:
        self.began.set()
        self.may.wait(120)
        self.batches.append(list(lines))
        self.options.append(options)
        if "bad" in lines:
            raise DecodingError("bad")
        return [Translation(line[::-1], 0.0, 0.0) for line in lines]


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def make() -> Iterator[Callable[..., Batcher]]:
    made: list[Batcher] = []

    def one(**limits: Any) -> Batcher:
        made.append(Batcher(Limits(**{"gather": 0.0, **limits})))
        return made[-1]

    yield one
    for batcher in made:
        batcher.stop(120)


def order(stub: Stub, **options: Any) -> Order:
    return Order(cast(Translator, stub), **options)


def of(*texts: str) -> list[Sentence]:
    return [Sentence(text, len(text)) for text in texts]


def held(batcher: Batcher, stub: Stub) -> None:
    """A first sentence is being searched, and what comes now has to wait."""
    batcher.begin(order(stub), of("first"), Ticket(120))
    assert stub.began.wait(120)


def test_those_of_like_length_go_together_oldest_first(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(batch=3)
    held(batcher, stub)
    ticket = Ticket(120)
    texts = ["a" * 50, "b", "c" * 52, "dd", "e" * 49, "f" * 60]
    futures = [batcher.begin(order(stub), of(text), ticket)[0] for text in texts]
    assert batcher.waiting == 6
    stub.may.set()
    assert [one[0].text for one in batcher.results(futures, ticket)] == [text[::-1] for text in texts]
    lengths = [sorted(map(len, batch)) for batch in stub.batches]
    assert lengths == [[5], [49, 50, 52], [1, 2], [60]]


def test_a_batch_of_one_is_one_sentence(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(batch=1)
    begun = batcher.begin(order(stub), of("a", "b", "c"), Ticket(120))
    stub.may.set()
    batcher.results(begun, Ticket(120))
    assert stub.batches == [["a"], ["b"], ["c"]]


def test_other_orders_do_not_share_a_batch(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    held(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.begin(order(stub), of("a"), ticket) + batcher.begin(order(stub, beam_size=2), of("b"), ticket)
    stub.may.set()
    batcher.results(futures, ticket)
    assert stub.batches == [["first"], ["a"], ["b"]]
    assert stub.options[2]["beam_size"] == 2


def test_a_batch_that_is_not_full_waits_a_moment(stub: Stub, make: Callable[..., Batcher]) -> None:
    stub.may.set()
    ticket = Ticket(120)
    batcher = make(gather=3600.0, batch=2)
    batcher.results([batcher.begin(order(stub), of(text), ticket)[0] for text in ("a", "b")], ticket)  # it is full
    assert stub.batches == [["a", "b"]]
    (alone,) = batcher.begin(order(stub), of("c"), ticket)
    assert batcher.waiting == 1
    batcher.stop(120)
    assert alone.done()
    make(gather=0.01, batch=2).search(order(stub), of("d"), ticket)
    assert stub.batches == [["a", "b"], ["c"], ["d"]]


def test_draws_are_made_alone(make: Callable[..., Batcher]) -> None:
    stub = Stub(SearchConfig(strategy="sample"))
    batcher = make()
    held(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.begin(order(stub), of("a", "b"), ticket)
    stub.may.set()
    batcher.results(futures, ticket)
    assert stub.batches == [["first"], ["a"], ["b"]]


def test_what_fails_fails_alone(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    held(batcher, stub)
    tickets = [Ticket(120) for _ in range(3)]
    futures = [
        batcher.begin(order(stub), of(text), ticket) for text, ticket in zip(("ab", "bad", "cd"), tickets, strict=True)
    ]
    stub.may.set()
    assert batcher.results(futures[0], tickets[0])[0][0].text == "ba"
    assert batcher.results(futures[2], tickets[2])[0][0].text == "dc"
    with pytest.raises(DecodingError):
        batcher.results(futures[1], tickets[1])
    assert batcher.search(order(stub), of("go on"), Ticket(120))[0][0].text == "no og"


@pytest.mark.parametrize("somebody", [False, True])
def test_a_search_that_nobody_waits_for_is_broken_off(
    somebody: bool, models: Models, make: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = models.served[0].translator
    tickets = [Ticket(120), Ticket(120)]
    steps = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal steps
        steps += 1
        for ticket in tickets[somebody:]:
            ticket.given_up = ticket.given_up or steps == 2
        return advance(*arguments, **options)

    advance = translator.model.decoder.advance
    monkeypatch.setattr(translator.model.decoder, "advance", counted)
    batcher = make(gather=3600.0, batch=2)
    futures = [batcher.begin(Order(translator), of("one two three four"), ticket)[0] for ticket in tickets]
    if somebody:
        assert [future.result(120)[0].text for future in futures] == ["eins zwei drei vier"] * 2
        assert steps == 5
        return
    for future in futures:
        with pytest.raises(Refused, match="too long"):
            future.result(120)
    assert steps == 2


def test_the_queue_has_an_end(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(queue=2)
    held(batcher, stub)
    batcher.begin(order(stub), of("a", "b"), Ticket(120))
    with pytest.raises(Refused) as refused:
        batcher.begin(order(stub), of("c"), Ticket(120))
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    stub.may.set()


def test_what_is_given_up_is_not_searched(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    held(batcher, stub)
    gone, late = Ticket(120), Ticket(0.05)
    futures = [batcher.begin(order(stub), of(text), ticket) for text, ticket in (("a", gone), ("b", late))]
    gone.given_up = True
    with pytest.raises(Refused):
        batcher.results(futures[1], late)
    stub.may.set()
    with pytest.raises(Refused):
        batcher.results(futures[0], gone)
    assert stub.batches == [["first"]]


def test_stopping_finishes_what_waits(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    held(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.begin(order(stub), of("ab", "cd"), ticket)
    threading.Timer(0.1, stub.may.set).start()
    batcher.stop(120)
    assert [one[0].text for one in batcher.results(futures, ticket)] == ["ba", "dc"]
    with pytest.raises(Refused):
        batcher.begin(order(stub), of("e"), ticket)


def test_stopping_does_not_wait_for_ever(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    held(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.begin(order(stub), of("ab"), ticket)
    batcher.stop(0.05)
    with pytest.raises(Refused):
        batcher.results(futures, ticket)
    stub.may.set()


def test_calls_take_their_turn(stub: Stub, make: Callable[..., Batcher]) -> None:
    stub.may.set()
    batcher = make()
    assert batcher.call(lambda: threading.current_thread().name, Ticket(120)) == "batcher"
