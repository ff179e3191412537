from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.interop.models import checkpoint, tokenizers

from regard.config.recipe import parse_config, to_table
from regard.config.schema import DataConfig, RunConfig, StartConfig, TrainConfig
from regard.models import ARCHITECTURES, transformer2017
from regard.runs.finetune_recipe import build_recipe
from regard.runs.recipe_inputs import RecipeInputs

START = StartConfig(checkpoint="runs/old", new_tokens=7)


def chosen(
    pairs: int, *, train: dict[str, Any] | None = None, overrides: Sequence[str] = (), **data: Any
) -> tuple[RunConfig, list[str]]:
    contents = checkpoint(transformer2017.tiny(), tokenizers())
    old = contents.config.model_copy(update={"train": TrainConfig.model_validate(train or {})})
    inputs = RecipeInputs(pairs, 12.0, 70.0, alphabet_size=90, distinct_words=10 * pairs, has_gpu=False)
    return build_recipe(
        START, DataConfig(source="a.fr", target="b.fr", **data), replace(contents, config=old), inputs, overrides
    )


@pytest.mark.parametrize("pairs", [1, 5_000, 50_000, 500_000, 3_000_000])
def test_the_recipe_is_valid_with_fewer_and_smaller_steps(pairs: int) -> None:
    old = {
        "optimizer": "muon",
        "learning_rate": 0.01,
        "label_smoothing": 0.2,
        "freeze": ["encoder"],
    }
    config, reasons = chosen(pairs, train=old)
    assert parse_config(to_table(config), ARCHITECTURES, where="tuned") == config
    assert [reason.split(":")[0] for reason in reasons] == ["model", "batch", "schedule", "rate", "patience"]
    train = config.train
    assert (train.optimizer, train.label_smoothing, train.freeze) == ("muon", 0.2, ())
    assert train.learning_rate == pytest.approx(0.005)
    assert train.warmup_steps <= 100 <= train.max_steps // 2
    assert 0 < train.patience <= train.max_steps // train.checkpoint_every
    assert f"{train.max_steps:,} steps (" in reasons[2]
    assert config.start == START
    assert config.model == transformer2017.tiny()


def test_more_pairs_give_more_steps_and_fewer_epochs() -> None:
    steps = [chosen(pairs)[0].train.max_steps for pairs in (5_000, 50_000, 500_000, 3_000_000)]
    assert steps == sorted(steps)
    epochs = [float(chosen(pairs)[1][2].split("(")[1].split()[0]) for pairs in (5_000, 50_000, 500_000, 3_000_000)]
    assert epochs == sorted(epochs, reverse=True)


def test_languages_and_max_length_are_those_of_the_old_run_by_default() -> None:
    assert chosen(100)[0].data.source_language == "en"
    assert chosen(100)[0].data.target_language == "de"
    assert chosen(100, target_language="fr")[0].data.target_language == "fr"
    assert "en-fr" in chosen(100, target_language="fr")[1][0]
    assert chosen(100)[0].data.max_length == 256
    assert chosen(100, max_length=99)[0].data.max_length == 99


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("model.dropout=0.35", "dropout=0.35 (from overrides)"),
        ("train.learning_rate=0.003", "rate: 0.003 (from overrides)"),
        ("train.max_steps=4000", "(from overrides)"),
        ("train.seed=8", "also from overrides: train.seed=8"),
    ],
)
def test_the_plan_shows_overrides(override: str, shown: str) -> None:
    config, reasons = chosen(5_000, overrides=[override])
    assert shown in "\n".join(reasons)
    section, _, name = override.partition("=")[0].partition(".")
    assert str(to_table(config)[section][name]) == override.partition("=")[2]
