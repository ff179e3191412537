import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from regard.config.schema import TokenizerConfig
from regard.corpus.builtin import dates
from regard.errors import CheckpointError, ConfigError, DataError
from regard.tokenizers import base as module
from regard.tokenizers.base import Tokenizers, train_tokenizers

Kind = Literal["unigram", "bpe", "character", "word", "byte"]
KINDS: tuple[Kind, ...] = ("unigram", "bpe", "character", "word", "byte")
all_kinds = pytest.mark.parametrize("kind", KINDS)


@cache
def pairs(count: int = 200) -> list[tuple[str, str]]:
    corpus = dates(1, train=count, dev=0, test=0).train
    return [(pair.source, f"{pair.target} {pair.source.swapcase()}") for pair in corpus]


@all_kinds
@pytest.mark.parametrize("joint", [True, False])
def test_saving_and_loading_changes_nothing(kind: Kind, joint: bool, tmp_path: Path) -> None:
    tokenizers = train_tokenizers(TokenizerConfig(kind=kind, vocabulary_size=350, joint=joint), pairs())
    tokenizers.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert loaded.joint is joint
    for before, after in ((tokenizers.source, loaded.source), (tokenizers.target, loaded.target)):
        assert (after.kind, after.size) == (kind, before.size)
        for text in (*pairs()[3], "unbekannt"):
            ids = before.encode(text)
            assert after.encode(text) == ids
            assert after.decode(ids) == before.decode(ids)
            assert after.pieces(ids) == before.pieces(ids)


@all_kinds
def test_joint_tokenizers_are_one_object_and_one_set_of_files(kind: Kind, tmp_path: Path) -> None:
    tokenizers = train_tokenizers(TokenizerConfig(kind=kind, vocabulary_size=350, joint=True), pairs())
    tokenizers.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert tokenizers.source is tokenizers.target
    assert loaded.source is loaded.target
    assert len(list(tmp_path.iterdir())) == (1 if kind == "byte" else 2)


def test_sides_are_trained_separately_unless_joint() -> None:
    separate = train_tokenizers(TokenizerConfig(kind="word", vocabulary_size=5000, joint=False), pairs())
    joint = train_tokenizers(TokenizerConfig(kind="word", vocabulary_size=5000, joint=True), pairs())
    source, target = pairs()[0]
    assert 3 not in separate.source.encode(source)
    assert 3 not in separate.target.encode(target)
    assert 3 in separate.target.encode(source)
    assert 3 in separate.source.encode(target)
    assert 3 not in joint.source.encode(f"{source} {target}")


def test_sides_may_have_tokens_of_different_kinds(tmp_path: Path) -> None:
    config = TokenizerConfig(kind="character", target_kind="word", joint=False)
    train_tokenizers(config, [("aab", "eɪ b"), ("ba", "b eɪ")]).save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert (loaded.source.kind, loaded.target.kind) == ("character", "word")
    assert len(loaded.source.encode("aab")) == 3
    assert loaded.target.decode(loaded.target.encode("eɪ b")) == "eɪ b"
    assert len(loaded.target.encode("eɪ b")) == 2
    with pytest.raises(ValueError, match="a joint vocabulary has one kind of token"):
        TokenizerConfig(kind="character", target_kind="word")


def test_an_error_names_the_side() -> None:
    with pytest.raises(ConfigError, match="the target side's text"):
        train_tokenizers(
            TokenizerConfig(kind="unigram", vocabulary_size=340, joint=False),
            [(source, "eins") for source, _ in pairs()],
        )


@all_kinds
def test_training_iterates_once_and_is_deterministic(kind: Kind, tmp_path: Path) -> None:
    config = TokenizerConfig(kind=kind, vocabulary_size=350)
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        train_tokenizers(config, iter(pairs())).save(tmp_path / folder)
    first, second = (sorted((tmp_path / folder).iterdir()) for folder in ("first", "second"))
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_no_pairs_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no pairs"):
        train_tokenizers(TokenizerConfig(kind="word"), [])


class ScriptedRandom:
    """A random generator with scripted draws, zeros after them; it records the number of values of each draw."""

    def __init__(self, script: list[int]) -> None:
        self.script, self.sizes = script, list[int]()

    def randrange(self, size: int) -> int:
        self.sizes.append(size)
        index = len(self.sizes) - 1
        return self.script[index] if index < len(self.script) else 0


def all_samples(monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[tuple[list[tuple[str, str]], float]]:
    """Yield every possible sample of `count` pairs, with its probability."""
    script: list[int] = []
    while True:
        rng = ScriptedRandom(script)
        monkeypatch.setattr(module, "random", SimpleNamespace(Random=lambda seed, rng=rng: rng))
        yield module._sample((str(number), "") for number in range(count)), 1 / math.prod(rng.sizes)
        script += [0] * (len(rng.sizes) - len(script))
        while script and script[-1] == rng.sizes[len(script) - 1] - 1:
            script.pop()
        if not script:
            return
        script[-1] += 1


def test_all_samples_are_equally_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRAINING_PAIRS", 2)
    shares: Counter[frozenset[str]] = Counter()
    for sample, share in all_samples(monkeypatch, 5):
        shares[frozenset(source for source, _ in sample)] += share  # type: ignore[assignment]
    assert len(shares) == math.comb(5, 2)
    assert list(shares.values()) == pytest.approx([1 / math.comb(5, 2)] * len(shares))


def test_a_sample_of_a_large_corpus_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TRAINING_PAIRS", 50)

    def numbered() -> Iterator[tuple[str, str]]:
        return ((str(number), str(number)) for number in range(1000))

    config = TokenizerConfig(kind="word", vocabulary_size=5000)
    trained, again = (train_tokenizers(config, numbered()).source for _ in range(2))
    known = [number for number in range(1000) if trained.encode(str(number)) != [3]]
    assert len(known) == 50
    assert 300 < sum(known) / 50 < 700
    assert [again.encode(str(number)) for number in known] == [trained.encode(str(number)) for number in known]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "morse"},
        {"kind": ["bpe"]},
        {"joint": "yes"},
        {"source": 3},
        {"source": "elsewhere"},
        {"kind": "bpe"},
    ],
)
def test_a_broken_folder_is_a_checkpoint_error(change: dict[str, object], tmp_path: Path) -> None:
    train_tokenizers(TokenizerConfig(kind="word"), pairs()).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match="cannot be read"):
        Tokenizers.load(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff", b'"kind"'])
def test_a_missing_or_broken_table_is_a_checkpoint_error(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        Tokenizers.load(tmp_path)
