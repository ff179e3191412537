"""Corrections of a run that was trained with tags: they get those of their languages, and nothing else changes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.helpers import Files, call, recipe, refused, write_lines

import regard
from regard.corpus.corrections import Correction, CorrectionStore
from regard.corpus.language_pairs import language_pairs
from regard.corpus.tagged import add_tags, split_tags
from regard.runs.improvement.acceptance import decide
from regard.runs.improvement.record import Decision, made_by, read_pairs
from regard.serving.models import Models

CORPORA = """
[data]
source_language = "en"

[[data.corpora]]
source = "train.src"
target = "train.tgt"
dev_source = "dev.src"
dev_target = "dev.tgt"
tags = ["de"]

[[data.corpora]]
source = "train.src"
target = "train.src"
dev_source = "dev.src"
dev_target = "dev.src"
tags = ["fr"]
"""
QUICK = ["--epochs", "1", "--set", "train.max_steps=2", "--set", "train.learning_rate=0.0001"]
TAGS = (("de",), ("fr",))


@pytest.fixture(scope="module")
def tagged(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that reverses numbers with the tag `de`, and copies them with the tag `fr`."""
    recipe(files)
    tiny = (files / "tiny.toml").read_text()
    path = files / "tagged.toml"
    path.write_text(CORPORA + tiny[tiny.index("[tokenizer]") :].replace("max_steps = 240", "max_steps = 40"))
    folder = tmp_path_factory.mktemp("runs") / "tagged"
    finished = call("train", path, "--out", folder)
    assert finished.code == 0, finished.err
    return folder


def numbers(count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return list(dict.fromkeys("".join(dice.choices("0123456789", k=7)) for _ in range(count)))


def write_table(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    return write_lines(path, ["source\ttarget", *("\t".join(pair) for pair in pairs)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with corrections of German and French, and one of Spanish."""
    path = tmp_path_factory.mktemp("store") / "corrections.sqlite"
    corrections = CorrectionStore(path, create=True)
    german, french = numbers(60, 1), numbers(70, 2)
    for source in german:
        corrections.add(Correction(source, source[::-1], "en", "de"))
    for source in french:
        corrections.add(Correction(source, source, "en", "fr"))
    corrections.add(Correction("123", "123", "en", "es"))
    return path


def test_each_correction_gets_the_tags_of_its_languages(
    tagged: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = shutil.copytree(tagged, tmp_path / "old", symlinks=True)
    monkeypatch.setattr("regard.runs.improvement.selection.decide", accepting)
    improved = call("improve", old, "--corrections", store, "-o", tmp_path / "new", "--replace", *QUICK)
    assert improved.code == 0, improved.err
    assert "corrections: 130 of corrections.sqlite, 130 of them new" in improved.err
    assert "corrections: 60 with --tag de, 70 with --tag fr" in improved.err
    assert "--tag de: 71 pairs skipped: it has other languages" in improved.err
    record = made_by(tmp_path / "new")
    corrections = {add_tags(source, ["de"]): source[::-1] for source in numbers(60, 1)}
    corrections |= {add_tags(source, ["fr"]): source for source in numbers(70, 2)}
    train, held_out = (read_pairs(path, TAGS) for path in (record.corrections, record.held_out))
    assert dict(train) | dict(held_out) == corrections
    old_pairs, dev = read_pairs(record.old_pairs, TAGS), read_pairs(record.old_dev, TAGS)
    assert len(old_pairs) == 4 * len(train) and len(dev) == 200
    for source, target in (*old_pairs, *dev):
        tags, text = split_tags(source)
        assert target == {"de": text[::-1], "fr": text}[tags[0]]
    for folder in (old, tmp_path / "new"):
        served = Models([folder], "cpu").served
        assert [(model.source, model.target, model.tag) for model in served] == [("en", "de", "de"), ("en", "fr", "fr")]

    # Once more: the earlier corrections keep their tags, and the old pairs come from the first run.
    again = write_table(tmp_path / "again.en-fr.tsv", [(source, source) for source in numbers(20, 3)])
    for number, folder in enumerate((old, tmp_path / "new")):
        output = tmp_path / f"again-{number}"
        improved = call("improve", folder, "--corrections", again, "-o", output, "--old-pairs", "0", *QUICK)
        assert improved.code == 0, improved.err
        assert "corrections: 130 more from earlier improvements" in improved.err
        assert "corrections: 60 with --tag de, 90 with --tag fr" in improved.err
        assert set(read_pairs(made_by(output).corrections, TAGS)) > set(train)


def accepting(*arguments: Any) -> Decision:
    return replace(decide(*arguments), accepted=True)


def test_tags_are_chosen_by_language_or_given(tagged: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "corrections.tsv", [(source, source) for source in numbers(60, 4)])
    output = tmp_path / "new"
    ambiguous = call("improve", tagged, "--corrections", table, "-o", output)
    refused(ambiguous, "it is not clear which tags the pairs have", "choose --tag de or --tag fr", "--target-language")
    refused(call("improve", tagged, "--corrections", table, "--tag", "es"), "was not trained with --tag es", "--tag fr")
    spanish_pairs = call("improve", tagged, "--corrections", table, "--target-language", "es")
    refused(spanish_pairs, "the run has no tags for any language to es", "choose --tag de or --tag fr")
    spanish = table.rename(tmp_path / "corrections.en-es.tsv")
    refused(call("improve", tagged, "--corrections", spanish), "the run has no tags for en to es")
    assert not output.exists()
    chosen = (("--target-language", "fr"), ("--tag", "fr"))
    for number, options in enumerate(chosen):
        table = spanish if number else spanish.rename(tmp_path / "corrections.tsv")
        finished = call("improve", tagged, "--corrections", table, *options, "-o", f"{output}{number}", *QUICK)
        assert finished.code == 3, finished.err
        assert "corrections: 60 with --tag fr" in finished.err
        pairs = read_pairs(made_by(Path(f"{output}{number}")).corrections, TAGS)
        assert len(pairs) > 40 and all(split_tags(source)[0] == ["fr"] for source, _ in pairs)
        table.rename(tmp_path / "corrections.en-es.tsv")


def test_provided_pairs_have_the_tags_of_the_corrections(tagged: Path, files: Files, tmp_path: Path) -> None:
    table = write_table(tmp_path / "corrections.tsv", [(source, source) for source in numbers(60, 4)])
    old_data = write_table(tmp_path / "old.tsv", [(source, source) for source in files.train[:300]])
    options = ("--target-language", "fr", *QUICK)
    finished = call("improve", tagged, "--corrections", table, "--old-data", old_data, "-o", tmp_path / "new", *options)
    assert finished.code == 3, finished.err
    record = made_by(tmp_path / "new")
    for path in (record.corrections, record.held_out, record.old_pairs, record.old_dev):
        assert {tuple(split_tags(source)[0]) for source, _ in read_pairs(path, TAGS)} == {("fr",)}


def test_all_tags_stay_without_old_pairs(tagged: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "corrections.tsv", [(source, source) for source in numbers(60, 4)])
    options = ("--tag", "fr", "--old-pairs", "0", *QUICK)
    finished = call("improve", tagged, "--corrections", table, "-o", tmp_path / "new", *options)
    assert finished.code == 3, finished.err
    assert "old pairs: 1 of those that tagged was trained on" in finished.err
    ((source, target),) = read_pairs(made_by(tmp_path / "new").old_pairs, TAGS)
    assert split_tags(source)[0] == ["de"] and target == split_tags(source)[1][::-1]
    config = regard.read_recipe(tmp_path / "new" / "recipe.toml")
    assert language_pairs(config.data) == [("en", "de", ("de",)), ("en", "fr", ("fr",))]


def test_a_run_with_term_tags_still_learns_them(files: Files, tmp_path: Path) -> None:
    recipe(files)
    trained = call("train", files / "tiny.toml", "--set", "train.max_steps=4", "--terms", "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    table = write_table(tmp_path / "corrections.tsv", [(source, source[::-1]) for source in numbers(60, 5)])
    finished = call("improve", tmp_path / "run", "--corrections", table, "-o", tmp_path / "new", *QUICK)
    assert finished.code == 3, finished.err
    assert "terms: aligning the words of the training pairs" in finished.err
    assert regard.load(tmp_path / "new", "cpu").terms.has_tags
    assert regard.read_recipe(tmp_path / "new" / "recipe.toml").train.terms == 0.4
