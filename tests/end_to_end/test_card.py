"""The model card of a run: what it says, when it is written, and that a person's words stay."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from tests.end_to_end.helpers import Files, call, recipe, refused

import regard
from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import StartConfig
from regard.runs.card import file as card_file
from regard.runs.card.facts import collect_facts
from regard.runs.card.file import format_card, parse_card, refresh_card, update_card
from regard.runs.card.record import FILE as RECORD
from regard.runs.card.record import read_record
from regard.training.timing import End
from regard.training.trainer import Trainer

OWN = "\nMade for our own manuals.\n"


@pytest.fixture
def mine(run: Path, tmp_path: Path) -> Path:
    """A copy of the shared run."""
    folder = tmp_path / "mine"
    shutil.copytree(run, folder, symlinks=True)
    return folder


def read(run: Path) -> str:
    return (run / "README.md").read_text(encoding="utf-8")


def metadata(text: str) -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return table


def test_training_writes_a_card_with_its_data_and_scores(run: Path, files: Files) -> None:
    text, scores = read(run), json.loads((run / "best" / "metrics.json").read_text())
    table = metadata(text)
    assert table["library_name"] == "regard"
    assert not {"license", "datasets", "language", "pipeline_tag"} & table.keys()  # not known: not guessed
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    results = data.eval_results
    assert results is not None
    values = {result.metric_type: result.metric_value for result in results}
    assert values == {
        "bleu": pytest.approx(scores["bleu"], abs=0.01),
        "chrf": pytest.approx(scores["chrf"], abs=0.01),
        "exact_match": pytest.approx(scores["exact"], abs=0.01),
    }
    assert {result.dataset_name for result in results} == {"dev set: dev.src, dev.tgt"}
    for part in (
        "corpus: `train.src, train.tgt`",
        "training pairs: 1,200",
        "that were skipped: 0",
        "dev set: 100 pairs",
        "`transformer2017` (Vaswani et al. 2017",
        f"parameters: {regard.load(run).num_parameters:,}",
        "tokenizer: character, with",
        "because all steps of the recipe were taken",
        f"regard {regard.__version__}, Python 3.",
        r"nrefs:1\|case:mixed\|eff:no\|tok:char",
        "is calibrated on 100 pairs",
    ):
        assert part in text, part
    assert str(files.folder) not in text
    assert "/tmp" not in text
    assert not any(line in text for line in files.train if len(line) > 4)


def test_the_commands_of_a_card_work(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = read(run)
    monkeypatch.chdir(run)
    assert "\nregard translate . < input.txt > output.txt\n" in text
    finished = call("translate", ".", stdin=b"12\n")
    assert finished.code == 0, finished.err
    python = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(python[0], {})


def test_stopping_and_resuming_update_the_card_and_keep_what_the_user_added(files: Files, tmp_path: Path) -> None:
    folder, check_end = tmp_path / "stopped", Trainer.check_end

    def stops(trainer: Trainer) -> End | None:
        return "interrupted" if trainer.progress.step == 4 else check_end(trainer)

    with mock.patch.object(Trainer, "check_end", stops):
        regard.train(recipe(files, max_steps=6, checkpoint_every=3), folder, quiet=True)
    assert "at step 4, because it was stopped before its end" in read(folder)
    assert "steps of this checkpoint: 3," in read(folder)
    (folder / "README.md").write_text(read(folder).replace("\n", "\r\n") + OWN, encoding="utf-8")  # a Windows editor
    regard.resume(folder, quiet=True)
    assert "at step 6, because all steps of the recipe were taken" in read(folder)
    assert read(folder).endswith(OWN)
    assert not parse_card(read(folder)).is_edited


def test_an_edited_card_stays(mine: Path) -> None:
    edited = read(mine).replace("# mine", "# My model").replace("# tiny", "# My model")
    (mine / "README.md").write_text(edited, encoding="utf-8")
    messages: list[str] = []
    refresh_card(RunFolder(mine), messages.append)
    assert read(mine) == edited
    assert "has been edited, so it stays as it is" in messages[0]
    (mine / "README.md").write_text("# All mine\n", encoding="utf-8")
    assert update_card(mine) == "edited"
    assert read(mine) == "# All mine\n"
    (mine / "README.md").unlink()
    assert update_card(mine) == "written"
    assert "# mine\n" in read(mine)


def test_a_card_that_cannot_be_written_does_not_fail_training(mine: Path) -> None:
    messages: list[str] = []
    with mock.patch.object(card_file, "write_atomic", side_effect=PermissionError(13, "Permission denied")):
        refresh_card(RunFolder(mine), messages.append)
    (mine / RECORD).write_text("{", encoding="utf-8")
    refresh_card(RunFolder(mine), messages.append)
    assert messages[0] == "model card: not written (the model card cannot be written: Permission denied)"
    assert messages[1].startswith("model card: not written (the file cannot be read")
    empty = RunFolder(mine.parent / "empty")
    refresh_card(empty, messages.append)  # there is no checkpoint to describe
    assert len(messages) == 2


def test_evaluate_adds_the_scores_of_a_test_set(mine: Path, files: Files) -> None:
    test = ("--source", files / "test.src", "--reference", files / "test.tgt", "--card")
    for _ in range(2):  # the second time replaces the first
        finished = call("evaluate", mine, *test)
        assert finished.code == 0, finished.err
        assert f"added to {mine / 'README.md'}" in finished.err
    bleu = float(finished.out.split()[1])
    rows = [row for row in read(mine).splitlines() if row.startswith("| test set: `test.src`, `test.tgt` | 100 |")]
    assert [row.split(" | ")[3] for row in rows] == ["BLEU", "chrF", "TER", "exact matches, %"]
    assert f"beam search, size 4 | BLEU | {bleu:.2f} |" in rows[0]
    results = metadata(read(mine))["model-index"][0]["results"]
    assert [result["dataset"]["type"] for result in results] == ["dev", "test.src"]
    record = read_record(mine)
    former = replace(record.evaluations[0], weights="0" * 64)
    update_card(mine, replace(record, evaluations=(former,)))
    assert "test.src" not in read(mine)  # the scores are those of other weights
    refused(call("evaluate", mine / "best", *test), "only a run has a model card")
    refused(call("evaluate", mine, *test, "--ensemble", mine), "a model card has no scores of an ensemble")


def test_a_card_names_languages_datasets_and_the_model_that_training_started_from(run: Path) -> None:
    facts = collect_facts(run / "best", run)
    languages = {"source_language": "no", "target_language": "pt_BR"}
    data = facts.config.data.model_copy(
        update={**languages, "source": None, "target": None, "dataset": "me/pairs", "dataset_split": "train"}
    )
    start = StartConfig(checkpoint="/home/me/.cache/models--you--old/snapshots/0123")
    config = facts.config.model_copy(update={"data": data, "start": start})
    text = str(format_card(replace(facts, config=config, record=replace(facts.record, license="mit", hub="me/new"))))
    table = metadata(text)
    assert table["language"] == ["no", "pt"]
    assert table["pipeline_tag"] == "translation"
    assert table["datasets"] == ["me/pairs"]
    assert table["base_model"] == "you/old"
    assert table["license"] == "mit"
    assert "translates from Norwegian (no) to Portuguese" in text
    assert "regard translate hf:me/new < input.txt" in text
    assert "/home" not in text


@pytest.mark.parametrize("name", ["a`b|c\nd.en", 'x"y: [z].en', "\udcff.en", "<b>.en"])
def test_odd_file_names_break_neither_the_metadata_nor_the_table(run: Path, name: str) -> None:
    facts = collect_facts(run / "best", run)
    data = facts.config.data.model_copy(update={"dev_source": f"/private/{name}", "source": f"/private/{name}"})
    text = str(format_card(replace(facts, name=name, config=facts.config.model_copy(update={"data": data}))))
    text.encode()
    dataset = metadata(text)["model-index"][0]["results"][0]["dataset"]
    assert dataset["type"] == "dev"
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {7}
    assert "private" not in text


def test_a_card_does_not_claim_that_an_imported_model_was_trained_here(run: Path) -> None:
    text = str(format_card(replace(collect_facts(run / "best", run), is_imported=True)))
    assert "imported into regard from another toolkit" in text
    assert text.count("Not known: the model was imported") == 2
    assert "train.src" not in text


def test_a_run_without_a_record_has_a_card_too(mine: Path) -> None:
    (mine / RECORD).unlink()
    shutil.rmtree(mine / "data")
    (mine / "README.md").unlink()
    assert update_card(mine) == "written"
    assert "training pairs" not in read(mine).split("## Limits")[0]
    assert "at step 240, because all steps" in read(mine)  # from finished.json
