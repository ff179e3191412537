"""Encoding in several processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from regard.config.schema import TokenizerConfig
from regard.corpus.corpus import Pair
from regard.data import encoding
from regard.data.encoding import encode
from regard.errors import DataError
from regard.tokenizers.base import Tokenizers, train_tokenizers

PAIRS = [Pair(f"line {number} ▁ of it", f"Zeile {number}", 2 * number) for number in range(1, 48)]


@pytest.fixture(params=["unigram", "character"])
def tokenizers(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizers:
    config = TokenizerConfig(kind=request.param, vocabulary_size=300)
    tokenizers = train_tokenizers(config, [(pair.source, pair.target) for pair in PAIRS])
    tokenizers.save(tmp_path)
    return tokenizers


@pytest.mark.parametrize("workers", [1, 3])
def test_the_order_of_pairs_does_not_change(
    tokenizers: Tokenizers, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "CHUNK_PAIRS", 5)
    monkeypatch.setattr(encoding, "SERIAL_PAIRS", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(workers))
    chunks = list(encode(PAIRS, tmp_path))
    assert [len(chunk) for chunk in chunks] == [5] * 9 + [2]
    assert [line for chunk in chunks for line in chunk.lines.tolist()] == [pair.line for pair in PAIRS]
    sources = [id for chunk in chunks for id in chunk.source.tolist()]
    assert sources == [id for pair in PAIRS for id in tokenizers.source.encode(pair.source)]
    assert [length for chunk in chunks for length in chunk.target_lengths.tolist()] == [
        len(tokenizers.target.encode(pair.target)) for pair in PAIRS
    ]


def test_a_worker_that_is_killed_is_an_error(
    tokenizers: Tokenizers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "CHUNK_PAIRS", 5)
    monkeypatch.setattr(encoding, "SERIAL_PAIRS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))

    def killing(worker: encoding._Worker) -> object:
        os.kill(worker._process.pid, signal.SIGKILL)
        return result(worker)

    result = encoding._Worker.result
    monkeypatch.setattr(encoding._Worker, "result", killing)
    with pytest.raises(DataError, match=r"has died \(exit code -9\)"):
        list(encode(PAIRS, tmp_path))


def test_a_pattern_that_takes_too_long_in_a_worker_is_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TokenizerConfig(kind="pattern", pattern="(a|aa)+b", vocabulary_size=20)
    train_tokenizers(config, [("ab", "ab")]).save(tmp_path)
    monkeypatch.setattr(encoding, "SERIAL_PAIRS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    with pytest.raises(DataError, match="takes more than 2 seconds") as raised:
        list(encode([Pair("a" * 60 + "c", "ab", 1)], tmp_path))
    assert (raised.value.where, raised.value.fix) == ("tokenizer.pattern", "avoid nested repetitions such as (a+)+")
