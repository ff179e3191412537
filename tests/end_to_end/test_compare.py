"""`regard compare`: train, interrupt, resume, measure and report."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from rich.console import Console
from tests.end_to_end.helpers import Files, Finished, call, recipe, refused, signalled_in_step, slow

import regard
from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.config.schema import RunConfig
from regard.corpus.paths import CorpusPaths
from regard.errors import ConfigError, TrainingError
from regard.models import ARCHITECTURES, bahdanau2014
from regard.reports.compare import measure, training
from regard.reports.compare import run as comparing
from regard.reports.compare.plan import ComparisonRequest
from regard.reports.compare.results import ComparisonReport, ScoredSystem
from regard.reports.compare.run import compare

NAMES = ["bahdanau2014", "transformer2017"]


def compare_command(files: Files, out: Path, *more: str, steps: int = 30) -> list[str | Path]:
    """Return the command that compares two tiny systems, trained for a few steps."""
    recipe(files)
    settings = [f"train.max_steps={steps}", "train.checkpoint_every=20"]
    command: list[str | Path] = ["compare", files / "tiny.toml", "--architectures", ",".join(NAMES), "--minutes", "5"]
    command += ["--test-source", files / "test.src", "--test-reference", files / "test.tgt", "--out", out]
    return [*command, *(part for setting in settings for part in ("--set", setting)), *more]


def report(out: Path) -> ComparisonReport:
    return ComparisonReport.model_validate_json((out / "report.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def small_comparison() -> Iterator[None]:
    """Make the other system as small as the recipe's own, and draw the attention maps of one sample only."""
    small = partial(bahdanau2014.Config, hidden_size=32, embedding_size=32, attention_size=32, maxout_size=32)
    with (
        mock.patch.dict(ARCHITECTURES["bahdanau2014"].presets, {"small": small}),
        mock.patch.object(measure, "SAMPLE_RANKS", (0.5,)),
    ):
        yield


@pytest.fixture(scope="module")
def compared(files: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    out = tmp_path_factory.mktemp("compare") / "report"
    with mock.patch.object(training, "LENGTHS", (8, 16, 32)):
        finished = call(*compare_command(files, out))
    assert finished.code == 0, finished.err
    return out, finished


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip slow parts, which are tested with `compared`."""
    monkeypatch.setattr(comparing, "write_page", lambda _, out: out / "index.html")
    monkeypatch.setattr(measure, "step_times", lambda *_, **__: [])


def test_the_report_has_both_systems(compared: tuple[Path, Finished], files: Files) -> None:
    comparison = report(compared[0])
    assert [system.name for system in comparison.systems] == NAMES
    assert (comparison.test, comparison.test_pairs) == ("test.src | test.tgt", 100)
    assert (comparison.minutes, comparison.beam_size, comparison.title) == (5.0, 4, "tiny")
    assert comparison.signatures["chrf"].endswith("|bs:1000|seed:12345")
    assert len(comparison.samples) == 1
    for sample in comparison.samples:
        assert sample.source in files.test
        assert sample.reference == sample.source[::-1]
    assert "torch" in comparison.machine


@pytest.mark.parametrize("index", [0, 1])
def test_a_system_has_all_results(compared: tuple[Path, Finished], files: Files, index: int) -> None:
    out, _ = compared
    system: ScoredSystem = report(out).systems[index]
    model = regard.Translator.load(out / "runs" / system.name, "cpu")
    assert system.parameters == load_checkpoint(resolve_checkpoint(out / "runs" / system.name)).model.num_parameters
    assert system.steps == 30
    assert [point.step for point in system.curve] == [20, 30]
    assert 0 < system.curve[0].minutes < system.curve[1].minutes <= system.minutes
    assert system.tokens_per_second > 0
    assert system.sentences_per_second > 0
    assert sum(length_bin.sentences for length_bin in system.lengths) == 100
    assert all(first.longest < second.shortest for first, second in pairwise(system.lengths))
    assert [step.length for step in system.step_times] == [8, 16, 32]
    assert system.exact_interval.value == system.exact
    for score in (system.bleu, system.chrf, system.exact_interval):
        assert score.low <= score.value <= score.high
    hypotheses = [best.text for best in model.translate(files.test, beam_size=4)]
    assert system.exact == sum(map(str.__eq__, hypotheses, [line[::-1] for line in files.test])) / 100
    assert system.translations == tuple(hypotheses[files.test.index(sample.source)] for sample in report(out).samples)
    for sample, shown in zip(report(out).samples, system.attended, strict=True):
        assert shown is not None
        assert shown.source_tokens == (*sample.source.replace(" ", "▁"), "</s>")
        assert len(shown.weights) == len(shown.target_tokens)
        assert all(sum(row) == pytest.approx(1, abs=0.01) for row in shown.weights)


def test_systems_are_compared_with_the_best(compared: tuple[Path, Finished]) -> None:
    systems = report(compared[0]).systems
    for metric in ("bleu", "chrf"):
        scores = [getattr(system, metric) for system in systems]
        assert [score.p is None for score in scores].count(True) == 1
        best = next(score for score in scores if score.p is None)
        assert best.value == max(score.value for score in scores)
        assert all(0 < score.p <= 1 for score in scores if score is not best)


def test_a_page_with_figures_is_written(compared: tuple[Path, Finished]) -> None:
    out, finished = compared
    page = (out / "index.html").read_text()
    assert all(name in page for name in NAMES)
    assert list(out.glob("*.png"))
    assert str(out / "index.html") in finished.err
    assert "1 of 2: bahdanau2014; at most 10 min of training remaining" in finished.err
    assert "2 of 2: transformer2017; at most 5 min of training remaining" in finished.err


@pytest.mark.usefixtures("quick")
def test_a_repeated_comparison_trains_and_measures_nothing(
    compared: tuple[Path, Finished], files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = compared
    before = report(out)

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("train", "resume", "measure_run"):
        monkeypatch.setattr(training, name, never)
    finished = call(*compare_command(files, out))
    assert finished.code == 0, finished.err
    assert report(out) == before
    assert finished.err.count("already trained") == 2


@pytest.mark.usefixtures("quick")
def test_finished_runs_give_the_same_scores(compared: tuple[Path, Finished], files: Files, tmp_path: Path) -> None:
    out, _ = compared
    runs = ",".join(str(out / "runs" / name) for name in reversed(NAMES))
    test: list[str | Path] = ["--test-source", files / "test.src", "--test-reference", files / "test.tgt"]
    finished = call("compare", "--runs", runs, "--out", tmp_path, "--set", "search.beam_size=1", *test)
    assert finished.code == 0, finished.err
    comparison = report(tmp_path)
    assert ([system.name for system in comparison.systems], comparison.minutes, comparison.beam_size) == (
        NAMES,
        None,
        1,
    )
    for system in comparison.systems:
        model = regard.Translator.load(out / "runs" / system.name, "cpu")
        hypotheses = [best.text for best in model.translate(files.test, beam_size=1)]
        assert system.exact == sum(map(str.__eq__, hypotheses, [line[::-1] for line in files.test])) / 100
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("quick")
def test_another_test_set_is_measured(compared: tuple[Path, Finished], files: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(compared[0], out, symlinks=True)
    files_of = {name: out / "systems" / f"{name}.json" for name in NAMES}
    before = {name: json.loads(file.read_text())["key"] for name, file in files_of.items()}
    command = [str(part).replace("test.", "dev.") for part in compare_command(files, out)]
    assert call(*command).code == 0
    after = {name: json.loads(file.read_text())["key"] for name, file in files_of.items()}
    assert all(before[name] != after[name] for name in NAMES)
    assert report(out).test == "dev.src | dev.tgt"


@pytest.mark.parametrize("number", slow(signal.SIGINT, signal.SIGTERM))
@pytest.mark.usefixtures("quick")
def test_an_interrupted_training_is_resumed(files: Files, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "with space"
    command = compare_command(files, out, steps=60)
    command[command.index(",".join(NAMES))] = "transformer2017"
    stopped = signalled_in_step(30, number, *command)
    assert stopped.returncode == 130, stopped.stderr
    assert b"Traceback" not in stopped.stderr
    assert b"continue:   regard compare" in stopped.stderr
    assert f"--out '{out}'".encode() in stopped.stderr
    run = RunFolder(out / "runs" / "transformer2017")
    assert run.last is not None and run.finished is None
    assert run.last.name == "step-000030"
    finished = call(*command)
    assert finished.code == 0, finished.err
    assert "resuming at step 30" in finished.err
    assert report(out).systems[0].steps == 60


@pytest.mark.usefixtures("quick")
def test_an_interrupted_measurement_does_not_train_again(
    compared: tuple[Path, Finished], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(compared[0], out, symlinks=True)
    (out / "systems" / "transformer2017.json").unlink()
    (out / "report.json").unlink()

    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(measure, "step_times", interrupted)
        stopped = call(*compare_command(files, out))
    assert stopped.code == 130, stopped.err
    assert "continue:" in stopped.err
    assert not (out / "report.json").exists()
    monkeypatch.setattr(training, "train", None)
    assert call(*compare_command(files, out)).code == 0
    ours, theirs = report(out).systems[1], report(compared[0]).systems[1]
    assert (ours.bleu, ours.exact, ours.translations) == (theirs.bleu, theirs.exact, theirs.translations)


@pytest.mark.usefixtures("quick")
def test_a_system_that_fails_is_left_out_and_reported(
    compared: tuple[Path, Finished], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(compared[0], out, symlinks=True)
    shutil.rmtree(out / "runs" / "bahdanau2014")

    def fails(*_: object, **__: object) -> None:
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr(training, "train", fails)
    settings = ("train.max_steps=30", "train.checkpoint_every=20")
    request = ComparisonRequest(
        recipe=files / "tiny.toml",
        architectures=",".join(NAMES),
        minutes=5.0,
        overrides=settings,
        test=CorpusPaths(files / "test.src", files / "test.tgt"),
    )
    with pytest.raises(TrainingError):
        compare(request, out, Console(quiet=True))
    assert [system.name for system in report(out).systems] == ["transformer2017"]
    assert report(out).systems[0].bleu.p is None


@pytest.mark.usefixtures("quick")
def test_finished_runs_are_compared_in_python(
    compared: tuple[Path, Finished], files: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = [compared[0] / "runs" / name for name in NAMES]
    test: dict[str, Any] = {"test_source": files / "test.src", "test_reference": files / "test.tgt", "quiet": True}
    comparison = regard.compare(runs=runs, **test)
    assert capfd.readouterr() == ("", "")
    assert comparison.page is None and not comparison.failures
    expected = report(compared[0]).systems
    assert [(row["name"], row["bleu"], row["steps"]) for row in comparison.rows] == [
        (system.name, system.bleu.value, 30) for system in expected
    ]
    assert str(comparison).splitlines()[1].split()[:3] == [
        NAMES[0],
        f"{expected[0].parameters:,}",
        f"{expected[0].bleu.value:.1f}",
    ]
    assert comparison._repr_html_().count("<tr>") == 3 and repr(comparison) == str(comparison)
    assert not list(compared[0].parent.glob("regard-compare-*"))
    for options, message in (
        ({"runs": runs, "minuts": 3}, "did you mean `minutes`"),
        ({"corpus": "dates", "architectures": ["modem"]}, "did you mean `modern`"),
        ({}, "nothing to compare"),
    ):
        with pytest.raises(ConfigError, match=message):
            regard.compare(**options)


@pytest.mark.usefixtures("quick")
def test_a_comparison_in_python_writes_the_page_and_names_the_system_that_failed(
    compared: tuple[Path, Finished], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(config: RunConfig, *_: object, **__: object) -> None:
        raise TrainingError("the loss is not finite")

    recipe(files)
    monkeypatch.setattr(training, "train", fails)
    out = tmp_path / "out"
    shutil.copytree(compared[0], out, symlinks=True)
    shutil.rmtree(out / "runs" / "bahdanau2014")
    comparison = regard.compare(
        files / "tiny.toml",
        architectures=NAMES,
        minutes=5,
        overrides={"train.max_steps": 30, "train.checkpoint_every": 20},
        test_source=files / "test.src",
        test_reference=files / "test.tgt",
        output=out,
        quiet=True,
    )
    assert comparison.page == out / "index.html"
    assert [row["name"] for row in comparison.rows] == ["transformer2017"]
    assert "bahdanau2014 is left out: the loss is not finite" in str(comparison)


def test_several_seeds_give_means_and_different_runs(files: Files, quick: None, tmp_path: Path) -> None:
    command = compare_command(files, tmp_path, "--seeds", "2", steps=4)
    command[command.index("bahdanau2014,transformer2017")] = "transformer2017"
    finished = call(*command)
    assert finished.code == 0, finished.err
    comparison = report(tmp_path)
    names = [system.name for system in comparison.systems]
    assert names == ["transformer2017-seed1", "transformer2017-seed2"]
    (summary,) = comparison.seeds
    assert (summary.name, summary.count) == ("transformer2017", 2)
    assert summary.describe() in finished.err
    losses = [system.curve[-1].loss for system in comparison.systems]
    assert losses[0] != losses[1]


def test_another_recipe_in_the_same_folder_is_rejected(compared: tuple[Path, Finished], files: Files) -> None:
    messages = ("another recipe: train.max_steps is 30, not 31", "choose another folder")
    refused(call(*compare_command(files, compared[0], steps=31)), *messages)


def test_invalid_requests_are_rejected(files: Files, tmp_path: Path) -> None:
    recipe(files)
    tiny = files / "tiny.toml"
    refused(call("compare"), "nothing to compare", "either a recipe, a corpus or finished runs")
    refused(call("compare", tiny, "--corpus", "dates"), "not clear what to compare")
    refused(call("compare", tiny, "--architectures", "cho"), "no architecture 'cho'", "cho2014")
    refused(call("compare", "--corpus", "letters"), "'letters' is not one of", code=2)
    refused(call("compare", "--runs", tmp_path), "not a run", str(tmp_path))
    refused(call("compare", "--runs", tmp_path, "--minutes", "3"), "finished runs are not trained")
    refused(
        call("compare", tiny, "--test-source", files / "test.src", "--out", tmp_path),
        "--test-reference, or --test-data",
    )
