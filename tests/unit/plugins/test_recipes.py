"""Recipes and checkpoints name the plugins that they use, and load none that the user did not ask for."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.runs.test_auto_recipe import inputs

import regard
from regard.checkpoints.checkpoint import load_checkpoint, load_config
from regard.config.recipe import override_config, parse_config, to_portable_table, to_toml
from regard.config.schema import RunConfig
from regard.contract import VocabularySizes
from regard.corpus.bilingual_file import READERS
from regard.decoding.strategies import STRATEGIES, override_search
from regard.errors import ConfigError, DecodingError, PluginError
from regard.models import ARCHITECTURES, build_model
from regard.nn.attention import SCORES
from regard.plugins.names import BUILT_IN
from regard.plugins.registry import LOADED
from regard.runs.auto_recipe import build_recipe
from regard.tokenizers.base import CLASSES

pytestmark = pytest.mark.usefixtures("no_plugins")
EXAMPLE = Path(__file__).parents[2] / "end_to_end" / "example_plugin.py"
CHECKPOINT = Path(__file__).parents[2] / "format" / "checkpoint-2"
DATA = {"corpus": "dates"}


def parse(**table: Any) -> RunConfig:
    table = {"data": DATA, "model": {"architecture": "luong2015", "preset": "tiny"}, **table}
    return parse_config(table, ARCHITECTURES, where="here")


def test_every_built_in_name_is_that_of_a_value() -> None:
    assert tuple(ARCHITECTURES) == BUILT_IN["architectures"]
    assert tuple(SCORES) == BUILT_IN["scores"]
    assert tuple(STRATEGIES) == BUILT_IN["searches"]
    assert tuple(READERS) == BUILT_IN["formats"]
    assert set(CLASSES) <= set(BUILT_IN["tokenizers"])


def test_a_recipe_names_the_plugins_that_it_uses() -> None:
    assert parse().plugins == () and "plugins" not in to_portable_table(parse())
    regard.load_plugin(EXAMPLE)
    assert parse().plugins == ()
    uses: list[dict[str, Any]] = [
        {"model": {"architecture": "bag_of_words"}},
        {"model": {"architecture": "luong2015", "score": "distance"}},
        {"tokenizer": {"kind": "digits"}},
        {"tokenizer": {"joint": False, "target_kind": "digits"}},
        {"search": {"strategy": "wide"}},
        {"train": {"metric": "same_length"}},
        {"data": {"file": "pairs.ARROWS.gz"}},
        {"data": {"corpora": [{"file": "a.tsv"}, {"file": "b.tsv", "dev_file": "b.arrows"}]}},
    ]
    for use in uses:
        config = parse(**use)
        assert config.plugins == ("example_plugin",), use
        written = tomllib.loads(to_toml(config))
        assert written["plugins"] == ["example_plugin"]
        assert parse_config(written, ARCHITECTURES, where="here") == config
        LOADED.clear()
        with pytest.raises(PluginError, match="the plugin `example_plugin` is needed, and is not loaded") as caught:
            parse_config(written, ARCHITECTURES, where="run/recipe.toml")
        assert caught.value.where == "run/recipe.toml"
        assert "--plugin example_plugin.py" in str(caught.value)
        assert "regard.load_plugin('example_plugin.py')" in str(caught.value)
        regard.load_plugin(EXAMPLE)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tokenizer": {"kind": "digit"}}, "`tokenizer.kind`: unknown tokenizer 'digit'"),
        ({"tokenizer": {"target_kind": "marian", "joint": False}}, "`tokenizer.target_kind`: unknown tokenizer"),
        ({"search": {"strategy": "beem"}}, "`search.strategy`: unknown search 'beem'"),
        ({"train": {"metric": "blue"}}, "`train.metric`: unknown metric 'blue'"),
        (
            {"model": {"architecture": "luong2015", "score": "genral"}},
            "`model.score`: unknown attention score 'genral'",
        ),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_valid_ones(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(**table)
    assert caught.value.message.startswith(message)
    assert "valid: " in str(caught.value.fix) and "a plugin can add others" in str(caught.value.fix)
    regard.load_plugin(EXAMPLE)
    with pytest.raises(ConfigError, match=r"distance|digits|wide|same_length"):
        parse(**table)


def test_an_unknown_search_is_an_error_in_options() -> None:
    config = parse().search
    with pytest.raises(DecodingError, match="strategy: unknown search 'wid'"):
        override_search(config, {"strategy": "wid"}, 1)
    regard.load_plugin(EXAMPLE)
    assert override_search(config, {"strategy": "wide"}, 1).strategy == "wide"


def test_luong_attends_by_a_score_of_a_plugin() -> None:
    regard.load_plugin(EXAMPLE)
    sizes = {"hidden_size": 8, "embedding_size": 8, "num_layers": 1}
    config = parse(model={"architecture": "luong2015", "score": "distance", **sizes})
    model = build_model(config.model, VocabularySizes(9, 9)).eval()
    weight = model.get_parameter("decoder.attention.score.query.weight")
    source, target = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 5]])
    before = model(source, target)
    torch.nn.init.normal_(weight)
    assert not torch.equal(model(source, target), before)


def test_an_architecture_without_presets_and_dropout_trains_by_itself() -> None:
    regard.load_plugin(EXAMPLE)
    config, _ = build_recipe(parse().data, inputs(300), ["model.architecture=bag_of_words", "tokenizer.kind=digits"])
    assert config.plugins == ("example_plugin",)
    assert config.model.model_dump() == {"architecture": "bag_of_words", "hidden_size": 16, "score": "distance"}
    changed = override_config(parse(), ["model.architecture=bag_of_words", "model.hidden_size=8"], ARCHITECTURES)
    assert changed.model.model_dump()["hidden_size"] == 8


@pytest.mark.parametrize(
    "plugins", [["../evil"], ["FOLDER/evil.py"], ["evil.py"], ["evil"], "evil", [3], [["evil"]], {"evil": 1}, 7]
)
def test_a_checkpoint_runs_no_file_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: object
) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    evil = f"open({str(tmp_path / 'ran')!r}, 'w').write('x')\n"
    for folder in (tmp_path, checkpoint):
        (folder / "evil.py").write_text(evil)
    monkeypatch.chdir(checkpoint)
    monkeypatch.syspath_prepend(str(tmp_path))
    header = json.loads((checkpoint / "config.json").read_text())
    header["recipe"]["plugins"] = json.loads(json.dumps(plugins).replace("FOLDER", str(tmp_path)))
    header["recipe"]["search"]["strategy"] = "evil"
    (checkpoint / "config.json").write_text(json.dumps(header))
    (checkpoint / "SHA256SUMS").unlink(missing_ok=True)
    for load in (load_checkpoint, load_config, regard.Translator.load):
        with pytest.raises(PluginError, match=r"is needed, and is not loaded|is not a list of names") as caught:
            load(checkpoint)
        assert caught.value.where == str(checkpoint / "config.json")
    assert not (tmp_path / "ran").exists() and not LOADED


def test_a_checkpoint_translates_without_plugins_that_only_training_needs(tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, checkpoint := tmp_path / "checkpoint")
    (checkpoint / "SHA256SUMS").unlink()
    header = json.loads((checkpoint / "config.json").read_text())
    header["recipe"].update(plugins=["example_plugin"], data={"file": "pairs.arrows"})
    header["recipe"]["train"].update(metric="same_length", seed=3)

    def write() -> None:
        (checkpoint / "config.json").write_text(json.dumps(header))

    write()
    config = load_checkpoint(checkpoint).config
    assert config == load_config(checkpoint)
    assert (config.train.metric, config.train.seed, config.data.file) == ("chrf", 3, "pairs.arrows")
    assert regard.load(checkpoint).translate("12").text == regard.load(CHECKPOINT).translate("12").text
    with pytest.raises(PluginError, match="the plugin `example_plugin` is needed, and is not loaded"):
        load_config(checkpoint, for_training=True)
    header["recipe"]["tokenizer"]["kind"] = "digits"
    write()
    with pytest.raises(PluginError, match="the plugin `example_plugin` is needed, and is not loaded"):
        load_checkpoint(checkpoint)
    header["recipe"]["tokenizer"]["kind"] = "character"
    write()
    regard.load_plugin(EXAMPLE)
    assert load_config(checkpoint).train.metric == "same_length"
