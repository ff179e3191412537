from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checkpoints.test_checkpoint import checkpoint

from regard.checkpoints.checkpoint import save_checkpoint
from regard.config.recipe import to_table, to_toml
from regard.config.schema import TokenizerConfig
from regard.contract import VocabularySizes
from regard.corpus.builtin import BUILTIN
from regard.corpus.paths import CorpusPaths
from regard.errors import CheckpointError, ConfigError, DataError
from regard.models import ARCHITECTURES, bahdanau2014, build_model, transformer2017
from regard.reports.compare.complexity import COMPLEXITY
from regard.reports.compare.measure import choose_samples
from regard.reports.compare.systems import (
    QUICK_MINUTES,
    ComparedSystem,
    choose_test_conditions,
    quick_recipe,
    select_architectures,
    systems_from_corpus,
    systems_from_recipe,
    systems_from_runs,
)

RECIPE = """
[data]
corpus = "dates"
target_language = "iso"

[model]
architecture = "transformer2017"
preset = "tiny"
ffn_size = 96

[train]
seed = 3
max_minutes = 2
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "one.toml"
    path.write_text(RECIPE)
    return path


def run_folder(path: Path, architecture: str, **changes: Any) -> Path:
    """Create a run folder that has only a recipe."""
    config = quick_recipe("dates", architecture)
    config = config.model_copy(
        update={section: getattr(config, section).model_copy(update=values) for section, values in changes.items()}
    )
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(to_toml(config))
    return path


def test_systems_are_in_the_order_of_their_papers() -> None:
    assert select_architectures("all") == list(COMPLEXITY)
    assert select_architectures(" transformer2017, cho2014,bahdanau2014,") == [
        "cho2014",
        "bahdanau2014",
        "transformer2017",
    ]
    with pytest.raises(ConfigError, match="no architecture 'cho'"):
        select_architectures("cho,bahdanau2014")
    with pytest.raises(ConfigError, match="no architecture is named"):
        select_architectures(",")


def test_systems_differ_only_in_the_model(recipe: Path, tmp_path: Path) -> None:
    names = ["bahdanau2014", "transformer2017"]
    different, own = systems_from_recipe(
        recipe, names, ["model.dropout=0.25", "train.learning_rate=0.002"], None, tmp_path / "out"
    )
    assert [system.name for system in (different, own)] == names
    assert own.config.model == transformer2017.tiny().model_copy(update={"ffn_size": 96, "dropout": 0.25})
    assert different.config.model == bahdanau2014.small().model_copy(update={"dropout": 0.25})
    assert different.config.model_copy(update={"model": own.config.model}) == own.config
    assert (own.config.train.max_minutes, own.config.train.seed, own.config.train.learning_rate) == (2, 3, 0.002)
    assert different.folder == tmp_path / "out" / "runs" / "bahdanau2014"


@pytest.mark.parametrize(("minutes", "written", "expected"), [(7.0, 2, 7.0), (None, 2, 2.0), (None, None, 10.0)])
def test_the_request_overrides_the_budget_of_the_recipe(
    recipe: Path, tmp_path: Path, minutes: float | None, written: int | None, expected: float
) -> None:
    if written is None:
        recipe.write_text(RECIPE.replace("max_minutes = 2", ""))
    systems = systems_from_recipe(recipe, select_architectures("all"), [], minutes, tmp_path)
    assert {system.config.train.max_minutes for system in systems} == {expected}


@pytest.mark.parametrize("minutes", [0, -1, math.inf, math.nan, "soon"])
def test_the_budget_must_be_a_valid_training_time(recipe: Path, tmp_path: Path, minutes: float) -> None:
    for choose in (partial(systems_from_recipe, recipe), partial(systems_from_corpus, "numbers")):
        with pytest.raises(ConfigError, match=r"train\.max_minutes") as caught:
            choose(["cho2014"], [], minutes, tmp_path)
        assert caught.value.where == "minutes"


def test_overrides_cannot_set_the_architecture(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot set the architecture"):
        systems_from_recipe(recipe, ["cho2014"], ["model.architecture=modern"], None, tmp_path)
    with pytest.raises(ConfigError, match=r"unknown key `model\.ffn_size`"):
        systems_from_recipe(recipe, ["bahdanau2014"], ["model.ffn_size=9"], None, tmp_path)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_quick_sizes_are_small(name: str) -> None:
    config = quick_recipe("numbers", name)
    parameters = sum(parameter.numel() for parameter in build_model(config.model, VocabularySizes(40, 40)).parameters())
    assert 50_000 < parameters < 1_500_000
    small = ARCHITECTURES[name].presets["small"]()
    assert to_table(config)["model"] != small.model_dump(mode="json")


def test_a_built_in_corpus_has_its_own_budget(tmp_path: Path) -> None:
    (system,) = systems_from_corpus("numbers", ["cho2014"], ["search.beam_size=3"], None, tmp_path)
    assert (system.config.train.max_minutes, system.config.search.beam_size) == (QUICK_MINUTES, 3)
    assert (system.config.data.source_language, system.config.data.target_language) == ("en", "de")
    with pytest.raises(ConfigError, match="no built-in corpus 'letters'"):
        systems_from_corpus("letters", ["cho2014"], [], None, tmp_path)


def test_runs_are_named_after_architecture_and_folder(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "a" / "x", "luong2015"),
        run_folder(tmp_path / "y", "luong2015"),
        run_folder(tmp_path / "b" / "x", "luong2015"),
        run_folder(tmp_path / "z", "cho2014"),
    ]
    systems = systems_from_runs(folders, ["search.beam_size=7"])
    assert [system.name for system in systems] == ["cho2014", "luong2015-a-x", "luong2015-y", "luong2015-b-x"]
    assert {system.config.search.beam_size for system in systems} == {7}
    assert not any(system.train for system in systems)


def test_folders_without_a_run_and_training_overrides_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a run"):
        systems_from_runs([tmp_path], [])
    with pytest.raises(ConfigError, match="nothing but search"):
        systems_from_runs([run_folder(tmp_path / "run", "cho2014")], ["train.seed=2"])


def test_a_built_in_corpus_has_a_test_set(tmp_path: Path) -> None:
    systems = systems_from_corpus("numbers", ["cho2014"], ["train.seed=5"], None, tmp_path)
    conditions = choose_test_conditions(systems, CorpusPaths(), tokenized=False)
    assert list(conditions.test_set.sources) == [pair.source for pair in BUILTIN["numbers"](5).test]
    assert conditions.test_set.name == "test split of the built-in corpus numbers"
    assert (conditions.target_language, conditions.search) == ("de", systems[0].config.search)


def test_without_test_files_the_dev_set_is_used_and_named(recipe: Path, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        for side in ("a", "b"):
            (tmp_path / f"{name}.{side}").write_text(f"{name} one {side}\n{name} two {side}\n")
    sides = {"source": "train.a", "target": "train.b", "dev_source": "dev.a", "dev_target": "dev.b"}
    recipe.write_text(RECIPE.replace('corpus = "dates"', "\n".join(f'{key} = "{name}"' for key, name in sides.items())))
    systems = systems_from_recipe(recipe, ["cho2014"], [], None, tmp_path)
    conditions = choose_test_conditions(systems, CorpusPaths(), tokenized=False)
    assert conditions.test_set.sources == ("dev one a", "dev two a")
    assert conditions.test_set.references == ("dev one b", "dev two b")
    assert "dev set (dev.a | dev.b)" in conditions.test_set.name
    files = choose_test_conditions(systems, CorpusPaths(tmp_path / "train.a", tmp_path / "train.b"), tokenized=True)
    assert (files.test_set.sources, files.test_set.name, files.tokenized) == (
        ("train one a", "train two a"),
        "train.a | train.b",
        True,
    )
    (tmp_path / "test.tsv").write_text("one\tuno\ntwo\t\n")
    reported: list[str] = []
    table = choose_test_conditions(
        systems, CorpusPaths(data=tmp_path / "test.tsv"), tokenized=False, report=reported.append
    )
    assert (table.test_set.sources, table.test_set.references, table.test_set.name) == (("one",), ("uno",), "test.tsv")
    assert reported == ["1 pair skipped: the target is blank (line 2)"]
    with pytest.raises(ConfigError, match="not clear which files"):
        choose_test_conditions(systems, CorpusPaths(tmp_path / "train.a"), tokenized=False)
    with pytest.raises(DataError):
        choose_test_conditions(systems, CorpusPaths(tmp_path / "train.a", tmp_path / "no"), tokenized=False)


def test_runs_with_different_splits_need_a_test_set(tmp_path: Path) -> None:
    first, same = run_folder(tmp_path / "first", "cho2014"), run_folder(tmp_path / "same", "luong2015")
    different = run_folder(tmp_path / "different", "modern", train={"seed": 2})
    choose_test_conditions(systems_from_runs([first, same], []), CorpusPaths(), tokenized=False)
    with pytest.raises(ConfigError, match="do not hold out the same pairs"):
        choose_test_conditions(systems_from_runs([first, different], []), CorpusPaths(), tokenized=False)


def test_samples_have_a_medium_length(tmp_path: Path) -> None:
    conditions = choose_test_conditions(
        systems_from_corpus("numbers", ["cho2014"], [], None, tmp_path), CorpusPaths(), tokenized=False
    )
    lengths = sorted(map(len, conditions.test_set.sources))
    samples = choose_samples(conditions.test_set)
    assert len(samples) == 3
    for sample in samples:
        assert lengths[300] <= len(sample.source) <= lengths[700]
        assert sample.reference == conditions.test_set.references[conditions.test_set.sources.index(sample.source)]


@pytest.mark.parametrize(
    ("limit", "overrides", "minutes"),
    [("", [], 10.0), ("max_steps = 9", [], None), ("max_epochs = 9", [], None), ("", ["train.max_steps=9"], None)],
)
def test_a_recipe_that_limits_steps_or_epochs_needs_no_limit_of_time(
    recipe: Path, tmp_path: Path, limit: str, overrides: list[str], minutes: float | None
) -> None:
    recipe.write_text(RECIPE.replace("max_minutes = 2", limit))
    (system,) = systems_from_recipe(recipe, ["cho2014"], overrides, None, tmp_path)
    assert system.config.train.max_minutes == minutes
    (system,) = systems_from_recipe(recipe, ["cho2014"], overrides, 3.0, tmp_path)
    assert system.config.train.max_minutes == 3.0


def test_a_recipe_may_start_from_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    save_checkpoint(folder, checkpoint())
    path = tmp_path / "start.toml"
    path.write_text('[data]\ncorpus = "dates"\n\n[start]\ncheckpoint = "run"\n\n[train]\nmax_steps = 2\n')
    (system,) = systems_from_recipe(path, ["transformer2017"], [], None, tmp_path / "report")
    assert system.config.start is not None and system.config.start.checkpoint == str(folder.resolve())


def test_a_test_set_with_other_columns_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    config = quick_recipe("dates", "cho2014")
    columns = tuple(TokenizerConfig(kind="character") for _ in range(2))
    tokenizer = config.tokenizer.model_copy(update={"source_columns": columns})
    system = ComparedSystem("a", tmp_path, config.model_copy(update={"tokenizer": tokenizer}), train=True)
    source, target = tmp_path / "test.src", tmp_path / "test.tgt"
    source.write_text("a\tb\nc\n")
    target.write_text("x\ny\n")
    with pytest.raises(DataError, match="1 column, and must have 2") as error:
        choose_test_conditions([system], CorpusPaths(source, target), tokenized=False)
    assert str(error.value.where).endswith(":2")


def test_overrides_may_have_placeholders(recipe: Path, tmp_path: Path) -> None:
    values = {"rate": "0.25"}
    (system,) = systems_from_recipe(recipe, ["cho2014"], ["train.learning_rate={rate}"], None, tmp_path, values)
    assert system.config.train.learning_rate == 0.25
    with pytest.raises(ConfigError, match=r"no placeholder \{rate\}"):
        systems_from_recipe(recipe, ["cho2014"], [], None, tmp_path, values)
