from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regard.config.recipe import to_table, to_toml
from regard.contract import VocabularySizes
from regard.corpus.builtin import BUILTIN
from regard.corpus.paths import CorpusPaths
from regard.errors import CheckpointError, ConfigError, DataError
from regard.models import ARCHITECTURES, bahdanau2014, build_model, transformer2017
from regard.reports.compare.complexity import THEORY
from regard.reports.compare.systems import QUICK_MINUTES, chosen, exam_of, from_corpus, from_recipe, from_runs, quick

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
    """A folder with a recipe, which is all of a run that is looked at here."""
    config = quick("dates", architecture)
    config = config.model_copy(
        update={section: getattr(config, section).model_copy(update=values) for section, values in changes.items()}
    )
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(to_toml(config))
    return path


def test_systems_come_in_the_order_of_their_papers() -> None:
    assert chosen("all") == list(THEORY)
    assert chosen(" transformer2017, cho2014,bahdanau2014,") == ["cho2014", "bahdanau2014", "transformer2017"]
    with pytest.raises(ConfigError, match="no architecture 'cho'"):
        chosen("cho,bahdanau2014")
    with pytest.raises(ConfigError, match="no architecture is named"):
        chosen(",")


def test_all_have_the_recipe_but_for_the_model(recipe: Path, tmp_path: Path) -> None:
    names = ["bahdanau2014", "transformer2017"]
    other, own = from_recipe(recipe, names, ["model.dropout=0.25", "train.learning_rate=0.002"], None, tmp_path / "out")
    assert [one.name for one in (other, own)] == names
    assert own.config.model == transformer2017.tiny().model_copy(update={"ffn_size": 96, "dropout": 0.25})
    assert other.config.model == bahdanau2014.small().model_copy(update={"dropout": 0.25})
    assert other.config.model_copy(update={"model": own.config.model}) == own.config
    assert (own.config.train.max_minutes, own.config.train.seed, own.config.train.learning_rate) == (2, 3, 0.002)
    assert other.folder == tmp_path / "out" / "runs" / "bahdanau2014"


@pytest.mark.parametrize(("minutes", "written", "expected"), [(7.0, 2, 7.0), (None, 2, 2.0), (None, None, 10.0)])
def test_the_budget_is_the_commands_then_the_recipes(
    recipe: Path, tmp_path: Path, minutes: float | None, written: int | None, expected: float
) -> None:
    if written is None:
        recipe.write_text(RECIPE.replace("max_minutes = 2", ""))
    found = from_recipe(recipe, chosen("all"), [], minutes, tmp_path)
    assert {one.config.train.max_minutes for one in found} == {expected}


def test_an_architecture_is_not_set(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--architectures"):
        from_recipe(recipe, ["cho2014"], ["model.architecture=modern"], None, tmp_path)
    with pytest.raises(ConfigError, match=r"unknown key `model\.ffn_size`"):
        from_recipe(recipe, ["bahdanau2014"], ["model.ffn_size=9"], None, tmp_path)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_quick_sizes_are_small(name: str) -> None:
    config = quick("numbers", name)
    parameters = sum(parameter.numel() for parameter in build_model(config.model, VocabularySizes(40, 40)).parameters())
    assert 50_000 < parameters < 1_500_000
    small = ARCHITECTURES[name].presets["small"]()
    assert to_table(config)["model"] != small.model_dump(mode="json")


def test_a_corpus_has_its_own_budget(tmp_path: Path) -> None:
    (one,) = from_corpus("numbers", ["cho2014"], ["search.beam_size=3"], None, tmp_path)
    assert (one.config.train.max_minutes, one.config.search.beam_size) == (QUICK_MINUTES, 3)
    assert (one.config.data.source_language, one.config.data.target_language) == ("en", "de")
    with pytest.raises(ConfigError, match="no embedded corpus 'letters'"):
        from_corpus("letters", ["cho2014"], [], None, tmp_path)


def test_runs_are_called_by_architecture_and_where_needed_by_folder(tmp_path: Path) -> None:
    folders = [
        run_folder(tmp_path / "a" / "x", "luong2015"),
        run_folder(tmp_path / "y", "luong2015"),
        run_folder(tmp_path / "b" / "x", "luong2015"),
        run_folder(tmp_path / "z", "cho2014"),
    ]
    found = from_runs(folders, ["search.beam_size=7"])
    assert [one.name for one in found] == ["cho2014", "luong2015-a-x", "luong2015-y", "luong2015-b-x"]
    assert {one.config.search.beam_size for one in found} == {7}
    assert not any(one.train for one in found)


def test_what_is_no_run_or_would_be_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no run"):
        from_runs([tmp_path], [])
    with pytest.raises(ConfigError, match="nothing but search"):
        from_runs([run_folder(tmp_path / "run", "cho2014")], ["train.seed=2"])


def test_the_test_set_is_that_of_the_corpus(tmp_path: Path) -> None:
    found = from_corpus("numbers", ["cho2014"], ["train.seed=5"], None, tmp_path)
    exam = exam_of(found, CorpusPaths(), tokenized=False)
    assert list(exam.sources) == [pair.source for pair in BUILTIN["numbers"](5).test]
    assert exam.name == "the test split of the embedded corpus numbers"
    assert (exam.target_language, exam.search) == ("de", found[0].config.search)


def test_else_it_is_the_dev_set_and_says_so(recipe: Path, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        for side in ("a", "b"):
            (tmp_path / f"{name}.{side}").write_text(f"{name} one {side}\n{name} two {side}\n")
    sides = {"source": "train.a", "target": "train.b", "dev_source": "dev.a", "dev_target": "dev.b"}
    recipe.write_text(RECIPE.replace('corpus = "dates"', "\n".join(f'{key} = "{name}"' for key, name in sides.items())))
    found = from_recipe(recipe, ["cho2014"], [], None, tmp_path)
    exam = exam_of(found, CorpusPaths(), tokenized=False)
    assert exam.sources == ("dev one a", "dev two a")
    assert exam.references == ("dev one b", "dev two b")
    assert "dev set (dev.a | dev.b)" in exam.name
    files = exam_of(found, CorpusPaths(tmp_path / "train.a", tmp_path / "train.b"), tokenized=True)
    assert (files.sources, files.name, files.tokenized) == (("train one a", "train two a"), "train.a | train.b", True)
    (tmp_path / "test.tsv").write_text("one\tuno\ntwo\t\n")
    said: list[str] = []
    table = exam_of(found, CorpusPaths(data=tmp_path / "test.tsv"), tokenized=False, say=said.append)
    assert (table.sources, table.references, table.name) == (("one",), ("uno",), "test.tsv")
    assert said == ["1 pair skipped: the target is blank (line 2)"]
    with pytest.raises(ConfigError, match="not clear which files"):
        exam_of(found, CorpusPaths(tmp_path / "train.a"), tokenized=False)
    with pytest.raises(DataError):
        exam_of(found, CorpusPaths(tmp_path / "train.a", tmp_path / "no"), tokenized=False)


def test_runs_that_held_out_other_pairs_need_a_test_set(tmp_path: Path) -> None:
    one, same = run_folder(tmp_path / "one", "cho2014"), run_folder(tmp_path / "same", "luong2015")
    other = run_folder(tmp_path / "other", "modern", train={"seed": 2})
    exam_of(from_runs([one, same], []), CorpusPaths(), tokenized=False)
    with pytest.raises(ConfigError, match="do not hold out the same pairs"):
        exam_of(from_runs([one, other], []), CorpusPaths(), tokenized=False)


def test_samples_are_of_middling_length(tmp_path: Path) -> None:
    exam = exam_of(from_corpus("numbers", ["cho2014"], [], None, tmp_path), CorpusPaths(), tokenized=False)
    lengths = sorted(map(len, exam.sources))
    samples = exam.samples()
    assert len(samples) == 3
    for sample in samples:
        assert lengths[300] <= len(sample.source) <= lengths[700]
        assert sample.reference == exam.references[exam.sources.index(sample.source)]
