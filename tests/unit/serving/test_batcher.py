from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from tests.doubles import watch_steps

from regard.config.schema import SearchConfig
from regard.errors import DecodingError
from regard.inference.translator import Translation, Translator
from regard.serving.batcher import Batcher, SearchKey, Sentence, Ticket
from regard.serving.limits import Limits, RequestRejected
from regard.serving.models import Models


class Stub:
    """A translator that reverses texts and records its batches, once it is released."""

    def __init__(self, search: SearchConfig | None = None) -> None:
        self.search = search or SearchConfig()
        self.batches: list[list[str]] = []
        self.options: list[dict[str, Any]] = []
        self.release = threading.Event()
        self.started = threading.Event()

    def interruptible(self, check: Callable[[], None]) -> Stub:
        return self

    def translate(self, lines: Sequence[str], **options: Any) -> list[Translation]:
        self.started.set()
        self.release.wait(120)
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
    batchers: list[Batcher] = []

    def make_one(threads: int = 1, **limits: Any) -> Batcher:
        batchers.append(Batcher(Limits(**{"gather": 0.0, **limits}), threads=threads))
        return batchers[-1]

    yield make_one
    for batcher in batchers:
        batcher.stop(120)


def key(stub: Stub, **options: Any) -> SearchKey:
    return SearchKey(cast(Translator, stub), **options)


def make_sentences(*texts: str) -> list[Sentence]:
    return [Sentence(text, len(text)) for text in texts]


def block(batcher: Batcher, stub: Stub) -> None:
    """Start a first search, so that everything submitted later waits."""
    batcher.submit(key(stub), make_sentences("first"), Ticket(120))
    assert stub.started.wait(120)


def test_similar_lengths_share_a_batch_oldest_first(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(batch=3)
    block(batcher, stub)
    ticket = Ticket(120)
    texts = ["a" * 50, "b", "c" * 52, "dd", "e" * 49, "f" * 60]
    futures = [batcher.submit(key(stub), make_sentences(text), ticket)[0] for text in texts]
    assert batcher.waiting == 6
    stub.release.set()
    assert [n_best[0].text for n_best in batcher.results(futures, ticket)] == [text[::-1] for text in texts]
    lengths = [sorted(map(len, batch)) for batch in stub.batches]
    assert lengths == [[5], [49, 50, 52], [1, 2], [60]]


def test_batch_size_one(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(batch=1)
    futures = batcher.submit(key(stub), make_sentences("a", "b", "c"), Ticket(120))
    stub.release.set()
    batcher.results(futures, Ticket(120))
    assert stub.batches == [["a"], ["b"], ["c"]]


def test_different_search_keys_do_not_share_a_batch(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    block(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.submit(key(stub), make_sentences("a"), ticket) + batcher.submit(
        key(stub, beam_size=2), make_sentences("b"), ticket
    )
    stub.release.set()
    batcher.results(futures, ticket)
    assert stub.batches == [["first"], ["a"], ["b"]]
    assert stub.options[2]["beam_size"] == 2


def test_a_batch_that_is_not_full_waits_for_more(stub: Stub, make: Callable[..., Batcher]) -> None:
    stub.release.set()
    ticket = Ticket(120)
    batcher = make(gather=3600.0, batch=2)
    batcher.results(
        [batcher.submit(key(stub), make_sentences(text), ticket)[0] for text in ("a", "b")], ticket
    )  # a full batch
    assert stub.batches == [["a", "b"]]
    (alone,) = batcher.submit(key(stub), make_sentences("c"), ticket)
    assert batcher.waiting == 1
    batcher.stop(120)
    assert alone.done()
    make(gather=0.01, batch=2).search(key(stub), make_sentences("d"), ticket)
    assert stub.batches == [["a", "b"], ["c"], ["d"]]


def test_idle_threads_share_the_waiting_sentences(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(threads=2, gather=3600.0)
    futures = batcher.submit(key(stub), make_sentences("a", "b", "c", "d"), Ticket(120))
    stopping = threading.Thread(target=batcher.stop, args=(120,))  # ends the wait for more sentences
    stopping.start()
    while batcher.waiting:
        time.sleep(0.01)
    assert not any(future.done() for future in futures)
    stub.release.set()
    stopping.join(120)
    assert sorted(map(len, stub.batches)) == [2, 2]


def test_no_thread_keeps_a_model_that_has_been_replaced(make: Callable[..., Batcher]) -> None:
    """Both threads see the sentence and wait for more; the one that does not get it must forget it."""
    stub = Stub()
    stub.release.set()
    batcher = make(threads=2, gather=0.2)
    assert len(batcher.search(key(stub), make_sentences("ab"), Ticket(120))) == 1
    model = weakref.ref(stub)
    del stub
    deadline = time.monotonic() + 120
    while model() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert model() is None


def test_sampling_uses_batches_of_one(make: Callable[..., Batcher]) -> None:
    stub = Stub(SearchConfig(strategy="sample"))
    batcher = make()
    block(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.submit(key(stub), make_sentences("a", "b"), ticket)
    stub.release.set()
    batcher.results(futures, ticket)
    assert stub.batches == [["first"], ["a"], ["b"]]


def test_an_error_affects_only_its_sentence(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    block(batcher, stub)
    tickets = [Ticket(120) for _ in range(3)]
    futures = [
        batcher.submit(key(stub), make_sentences(text), ticket)
        for text, ticket in zip(("ab", "bad", "cd"), tickets, strict=True)
    ]
    stub.release.set()
    assert batcher.results(futures[0], tickets[0])[0][0].text == "ba"
    assert batcher.results(futures[2], tickets[2])[0][0].text == "dc"
    with pytest.raises(DecodingError):
        batcher.results(futures[1], tickets[1])
    assert batcher.search(key(stub), make_sentences("go on"), Ticket(120))[0][0].text == "no og"


@pytest.mark.parametrize("has_client", [False, True])
def test_an_abandoned_search_is_interrupted(
    has_client: bool, models: Models, make: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = models.served[0].translator
    tickets = [Ticket(120), Ticket(120)]
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1
        for ticket in tickets[has_client:]:
            ticket.is_abandoned = ticket.is_abandoned or steps == 2

    watch_steps(translator.model.decoder, count, monkeypatch)
    batcher = make(gather=3600.0, batch=2)
    futures = [
        batcher.submit(SearchKey(translator), make_sentences("one two three four"), ticket)[0] for ticket in tickets
    ]
    if has_client:
        assert [future.result(120)[0].text for future in futures] == ["eins zwei drei vier"] * 2
        assert steps == 5
        return
    for future in futures:
        with pytest.raises(RequestRejected, match="too long"):
            future.result(120)
    assert steps == 2


def test_a_full_queue_rejects_sentences(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make(queue=2)
    block(batcher, stub)
    batcher.submit(key(stub), make_sentences("a", "b"), Ticket(120))
    with pytest.raises(RequestRejected) as error:
        batcher.submit(key(stub), make_sentences("c"), Ticket(120))
    assert (error.value.status, error.value.retry_after) == (503, 1)
    stub.release.set()


def test_abandoned_sentences_are_not_translated(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    block(batcher, stub)
    gone, late = Ticket(120), Ticket(0.05)
    futures = [batcher.submit(key(stub), make_sentences(text), ticket) for text, ticket in (("a", gone), ("b", late))]
    gone.is_abandoned = True
    with pytest.raises(RequestRejected):
        batcher.results(futures[1], late)
    stub.release.set()
    with pytest.raises(RequestRejected):
        batcher.results(futures[0], gone)
    assert stub.batches == [["first"]]


def test_stopping_finishes_waiting_sentences(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    block(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.submit(key(stub), make_sentences("ab", "cd"), ticket)
    threading.Timer(0.1, stub.release.set).start()
    batcher.stop(120)
    assert [n_best[0].text for n_best in batcher.results(futures, ticket)] == ["ba", "dc"]
    with pytest.raises(RequestRejected):
        batcher.submit(key(stub), make_sentences("e"), ticket)


def test_stopping_has_a_time_limit(stub: Stub, make: Callable[..., Batcher]) -> None:
    batcher = make()
    block(batcher, stub)
    ticket = Ticket(120)
    futures = batcher.submit(key(stub), make_sentences("ab"), ticket)
    batcher.stop(0.05)
    with pytest.raises(RequestRejected):
        batcher.results(futures, ticket)
    stub.release.set()


def test_calls_run_in_the_thread_of_the_batcher(stub: Stub, make: Callable[..., Batcher]) -> None:
    stub.release.set()
    batcher = make()
    assert batcher.call(lambda: threading.current_thread().name, Ticket(120)) == "batcher"
