"""Recipes and checkpoints with keys that were renamed still load."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from regard.config import recipe
from regard.config.migrations import RENAMED, current_key, migrate
from regard.config.recipe import override_config, parse_config, read_config
from regard.errors import ConfigError
from regard.models import ARCHITECTURES, bahdanau2014, transformer2017

OLD_RECIPE = '[data]\ncorpus = "dates"\n[model]\narchitecture = "transformer2017"\nd_model = 64\nff = 96\nheads = 4\n'


@pytest.fixture(autouse=True)
def _warn_again() -> None:
    recipe._warn.cache_clear()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_new_key_is_a_field_and_no_old_key_is(name: str) -> None:
    fields = set(ARCHITECTURES[name].config.model_fields)
    renamed = RENAMED[name]
    assert set(renamed.values()) <= fields
    assert not set(renamed) & fields


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_with_old_keys_equals_the_model_with_new_keys(name: str) -> None:
    small = ARCHITECTURES[name].presets.get("small", ARCHITECTURES[name].presets["tiny"])()
    old_names = {new: old for old, new in RENAMED[name].items()}
    old: dict[str, Any] = {old_names.get(key, key): value for key, value in small.model_dump(mode="json").items()}
    assert old.keys() != small.model_dump().keys()
    config = parse_config({"data": {"corpus": "dates"}, "model": old}, ARCHITECTURES, where="config.json")
    assert config.model == small


def test_a_recipe_with_old_keys_is_read_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "old.toml"
    path.write_text(OLD_RECIPE)
    with caplog.at_level(logging.WARNING, "regard.config"):
        configs = [read_config(path, ARCHITECTURES) for _ in range(2)]
    expected = transformer2017.Config(hidden_size=64, ffn_size=96, num_heads=4)
    assert [config.model for config in configs] == [expected, expected]
    (message,) = caplog.messages
    for part in (str(path), "`model.d_model` is now called `model.hidden_size`", "`model.num_heads`"):
        assert part in message


def test_an_override_by_an_old_key_replaces_the_value_of_the_new_key(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text(OLD_RECIPE.replace("d_model", "hidden_size").replace("heads", "num_heads"))
    config = read_config(path, ARCHITECTURES, ["model.d_model=32", "model.ff=8"])
    assert config.model == transformer2017.Config(hidden_size=32, ffn_size=8, num_heads=4)
    overridden = override_config(config, ["model.hidden=48", "model.architecture=bahdanau2014"], ARCHITECTURES)
    assert overridden.model == bahdanau2014.small().model_copy(update={"hidden_size": 48})


def test_a_recipe_with_an_old_and_a_new_name_of_one_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(OLD_RECIPE + "hidden_size = 64\n")
    with pytest.raises(ConfigError, match=r"`model.d_model` is the old name of `model.hidden_size`"):
        read_config(path, ARCHITECTURES)


def test_keys_that_were_not_renamed_stay_as_they_are() -> None:
    table = {"model": {"architecture": "modern", "decoder": "ssru"}, "train": {"seed": 7}, "data": []}
    assert migrate(table, where="x") == (table, [])
    assert current_key("model", "hidden", "elman1990") == "hidden"
    assert current_key("train", "hidden") == "hidden"
    assert current_key("model", "hidden", ["x"]) == "hidden"
