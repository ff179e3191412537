"""Augmentation of training pairs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError

from regard.config.augmentation import LEVELS, AugmentationConfig
from regard.config.schema import DataConfig, ModelConfig, RunConfig, TokenizerConfig, TrainConfig
from regard.corpus.tagged import add_tags
from regard.data.augmentation import Augmenter
from regard.data.loader import BatchSize, Loader, Position
from regard.data.store import PairStore
from regard.runs.prepared import Prepared
from regard.text.perturbations import TRAINING
from regard.tokenizers.base import Tokenizers, train_tokenizers

WORDS = ["believe", "table", "stable", "Tom", "unstable", "believer", "able"]
PAIRS = [(f"{first} sees {second}.", f"{second} sieht {first}.") for first in WORDS for second in WORDS]


def trained(kind: str = "unigram") -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind=kind, vocabulary_size=284), PAIRS)


def encoded(tokenizers: Tokenizers) -> list[tuple[list[int], list[int]]]:
    return [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]


def test_levels_have_every_change() -> None:
    assert LEVELS["light"].keys() == LEVELS["full"].keys() == TRAINING.keys()
    assert AugmentationConfig().rates == {}
    assert AugmentationConfig(level="light", typos=0.0, emoji=0.5).rates.get("typos") is None
    assert AugmentationConfig(typos=0.5).rates == {"typos": 0.5}
    with pytest.raises(ValidationError):
        AugmentationConfig(typos=1.5)


def test_the_share_and_the_draws_of_changes() -> None:
    tokenizers = trained()
    pairs = encoded(tokenizers)
    augmenter = Augmenter(tokenizers, {"typos": 0.3}, 100)
    first = augmenter(pairs * 10, (1, 2, 3))
    assert first == augmenter(pairs * 10, (1, 2, 3)) != augmenter(pairs * 10, (1, 2, 4))
    is_changed = [old != new for old, new in zip(pairs * 10, first, strict=True)]
    assert 0.25 < sum(is_changed) / len(is_changed) < 0.35
    assert all(old[1] == new[1] for old, new in zip(pairs * 10, first, strict=True))


def test_a_resumed_run_and_all_processes_see_the_same_text(tmp_path: Path) -> None:
    tokenizers = trained()
    train = PairStore.write(tmp_path, "train", encoded(tokenizers))
    prepared = Prepared(tokenizers, train, (), ())
    config = RunConfig(
        data=DataConfig(source="s", target="t"),
        model=ModelConfig(architecture="modern"),
        train=TrainConfig(tokens_per_batch=200, subword_sampling=0.2),
        augmentation=AugmentationConfig(level="full"),
    )
    loader = prepared.loader(config)
    count = loader.batches_per_epoch or 0
    batches = list(islice(loader, 2 * count))
    rows = [[row.tolist() for row in batch.source] for batch in batches]
    resumed = islice(prepared.loader(config, Position(1, 2)), count - 2)
    assert [batch.source.tolist() for batch in resumed] == rows[count + 2 :]
    assert sorted(map(str, rows[:count])) != sorted(map(str, rows[count:]))
    parts = [next(iter(prepared.loader(config, rank=rank, size=2))) for rank in (0, 1)]
    assert sum(part.target_tokens for part in parts) == batches[0].global_target_tokens == batches[0].target_tokens
    assert {part.global_target_tokens for part in parts} == {batches[0].target_tokens}
    off = config.model_copy(update={"augmentation": AugmentationConfig(), "train": TrainConfig(tokens_per_batch=200)})
    plain = next(iter(Loader(train, BatchSize(200), seed=1)))
    assert next(iter(prepared.loader(off))).source.equal(plain.source)


def test_tags_stay_in_front_and_long_pairs_stay_as_they_are() -> None:
    tokenizers = trained().with_tags(["x", "y"])
    pair = tokenizers.source.encode(add_tags("Tom sees able.", ["y", "x"])), tokenizers.target.encode("able sieht Tom.")
    (changed,) = Augmenter(tokenizers, {"no_final_stop": 1.0}, 100)([pair], (1,))
    assert list(changed[0][:2]) == pair[0][:2]
    assert tokenizers.source.decode(list(changed[0])) == "Tom sees able"
    assert tokenizers.target.decode(list(changed[1])) == "able sieht Tom"
    assert Augmenter(tokenizers, {"urls": 1.0}, 8)([pair], (1,)) == [pair]


def test_capitals_of_characters_and_unknown_text() -> None:
    tokenizers = train_tokenizers(TokenizerConfig(kind="byte"), PAIRS)
    (changed,) = Augmenter(tokenizers, {"upper_case": 1.0}, 100)(encoded(tokenizers)[:1], (1,))
    assert tokenizers.target.decode(list(changed[1])) == "BELIEVE SIEHT BELIEVE."
    words = trained("word")
    unknown = words.source.encode("Zzz sees Tom."), words.target.encode("Tom. sieht")
    assert Augmenter(words, {"typos": 1.0}, 100)([unknown], (1,)) == [unknown]
