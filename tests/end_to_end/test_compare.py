"""Systems side by side: trained, interrupted, gone on with, measured, reported."""

from __future__ import annotations

import json
import shutil
import signal
from functools import partial
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
from rich.console import Console
from tests.end_to_end.helpers import Files, Finished, call, recipe, refused, signalled_in_step, slow

import regard
from regard.checkpoints.run_folder import RunFolder
from regard.corpus.paths import CorpusPaths
from regard.errors import TrainingError
from regard.reports.compare import measure
from regard.reports.compare import run as comparing
from regard.reports.compare.results import Lineage, System
from regard.reports.compare.run import Request, compare
from regard.reports.compare.timing import step_times

NAMES = ["bahdanau2014", "transformer2017"]


def asked(files: Files, out: Path, *more: str, steps: int = 30) -> list[str | Path]:
    """`compare` of two tiny systems for a few steps."""
    recipe(files)
    settings = [f"train.max_steps={steps}", "train.checkpoint_every=20"]
    command: list[str | Path] = ["compare", files / "tiny.toml", "--architectures", ",".join(NAMES), "--minutes", "5"]
    command += ["--test-source", files / "test.src", "--test-reference", files / "test.tgt", "--out", out]
    return [*command, *(part for setting in settings for part in ("--set", setting)), *more]


def report(out: Path) -> Lineage:
    return Lineage.model_validate_json((out / "report.json").read_text())


@pytest.fixture(scope="module")
def done(files: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    out = tmp_path_factory.mktemp("compare") / "report"
    with mock.patch.object(measure, "step_times", partial(step_times, lengths=(8, 16, 32))):
        finished = call(*asked(files, out))
    assert finished.code == 0, finished.err
    return out, finished


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what takes long and is looked at in `done`."""
    monkeypatch.setattr(comparing, "write_page", lambda _, out: out / "index.html")
    monkeypatch.setattr(measure, "step_times", lambda *_: [])


def test_the_report_has_both_systems(done: tuple[Path, Finished], files: Files) -> None:
    lineage = report(done[0])
    assert [system.name for system in lineage.systems] == NAMES
    assert (lineage.test, lineage.test_pairs) == ("test.src | test.tgt", 100)
    assert (lineage.minutes, lineage.beam_size, lineage.title) == (5.0, 4, "tiny")
    assert lineage.signatures["chrf"].endswith("|bs:1000|seed:12345")
    assert len(lineage.samples) == 3
    for sample in lineage.samples:
        assert sample.source in files.test
        assert sample.reference == sample.source[::-1]
    assert "torch" in lineage.machine


@pytest.mark.parametrize("place", [0, 1])
def test_a_system_is_told_whole(done: tuple[Path, Finished], files: Files, place: int) -> None:
    out, _ = done
    system: System = report(out).systems[place]
    model = regard.Translator.load(out / "runs" / system.name, "cpu")
    assert system.parameters == sum(parameter.numel() for parameter in model.model.parameters())
    assert system.steps == 30
    assert [point.step for point in system.curve] == [20, 30]
    assert 0 < system.curve[0].minutes < system.curve[1].minutes <= system.minutes
    assert system.tokens_per_second > 0
    assert system.sentences_per_second > 0
    assert sum(one.sentences for one in system.lengths) == 100
    assert all(one.longest < other.shortest for one, other in pairwise(system.lengths))
    assert [one.length for one in system.step_times] == [8, 16, 32]
    for score in (system.bleu, system.chrf):
        assert score.low <= score.value <= score.high
    said = [found[0].text for found in model.translate(files.test, beam_size=4)]
    assert system.exact == sum(map(str.__eq__, said, [line[::-1] for line in files.test])) / 100
    assert system.translations == tuple(said[files.test.index(sample.source)] for sample in report(out).samples)
    for sample, shown in zip(report(out).samples, system.attended, strict=True):
        assert shown is not None
        assert shown.source_tokens == (*sample.source.replace(" ", "▁"), "</s>")
        assert len(shown.weights) == len(shown.target_tokens)
        assert all(sum(row) == pytest.approx(1, abs=0.01) for row in shown.weights)


def test_the_best_is_the_one_to_beat(done: tuple[Path, Finished]) -> None:
    systems = report(done[0]).systems
    for metric in ("bleu", "chrf"):
        scores = [getattr(system, metric) for system in systems]
        assert [score.p is None for score in scores].count(True) == 1
        best = next(score for score in scores if score.p is None)
        assert best.value == max(score.value for score in scores)
        assert all(0 < score.p <= 1 for score in scores if score is not best)


def test_there_is_a_page_with_pictures(done: tuple[Path, Finished]) -> None:
    out, finished = done
    page = (out / "index.html").read_text()
    assert all(name in page for name in NAMES)
    assert list(out.glob("*.png"))
    assert str(out / "index.html") in finished.err
    assert "1 of 2: bahdanau2014; at most 10 min of training to come" in finished.err
    assert "2 of 2: transformer2017; at most 5 min of training to come" in finished.err


@pytest.mark.usefixtures("quick")
def test_again_it_trains_and_measures_nothing(
    done: tuple[Path, Finished], files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = done
    before = report(out)

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    for name in ("train", "resume", "measure_run"):
        monkeypatch.setattr(comparing, name, never)
    finished = call(*asked(files, out))
    assert finished.code == 0, finished.err
    assert report(out) == before
    assert finished.err.count("trained before") == 2


@pytest.mark.usefixtures("quick")
def test_finished_runs_give_the_same_scores(done: tuple[Path, Finished], files: Files, tmp_path: Path) -> None:
    out, _ = done
    runs = ",".join(str(out / "runs" / name) for name in reversed(NAMES))
    test: list[str | Path] = ["--test-source", files / "test.src", "--test-reference", files / "test.tgt"]
    finished = call("compare", "--runs", runs, "--out", tmp_path, "--set", "search.beam_size=1", *test)
    assert finished.code == 0, finished.err
    lineage = report(tmp_path)
    assert ([system.name for system in lineage.systems], lineage.minutes, lineage.beam_size) == (NAMES, None, 1)
    for system in lineage.systems:
        model = regard.Translator.load(out / "runs" / system.name, "cpu")
        said = [found[0].text for found in model.translate(files.test, beam_size=1)]
        assert system.exact == sum(map(str.__eq__, said, [line[::-1] for line in files.test])) / 100
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("quick")
def test_on_another_test_set_it_is_measured_anew(done: tuple[Path, Finished], files: Files, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out, symlinks=True)
    files_of = {name: out / "systems" / f"{name}.json" for name in NAMES}
    before = {name: json.loads(file.read_text())["key"] for name, file in files_of.items()}
    other = [str(part).replace("test.", "dev.") for part in asked(files, out)]
    assert call(*other).code == 0
    after = {name: json.loads(file.read_text())["key"] for name, file in files_of.items()}
    assert all(before[name] != after[name] for name in NAMES)
    assert report(out).test == "dev.src | dev.tgt"


@pytest.mark.parametrize("number", [signal.SIGINT, *slow(signal.SIGTERM)])
@pytest.mark.usefixtures("quick")
def test_stopped_in_training_it_goes_on_from_there(files: Files, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "with space"
    command = asked(files, out, steps=200)
    command[command.index(",".join(NAMES))] = "transformer2017"
    done = signalled_in_step(30, number, *command)
    assert done.returncode == 130, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"continue:   regard compare" in done.stderr
    assert f"--out '{out}'".encode() in done.stderr
    run = RunFolder(out / "runs" / "transformer2017")
    assert run.last is not None and run.finished is None
    assert run.last.name == "step-000030"
    finished = call(*command)
    assert finished.code == 0, finished.err
    assert "resuming at step 30" in finished.err
    assert report(out).systems[0].steps == 200


@pytest.mark.usefixtures("quick")
def test_stopped_in_measuring_it_does_not_train_again(
    done: tuple[Path, Finished], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out, symlinks=True)
    (out / "systems" / "transformer2017.json").unlink()
    (out / "report.json").unlink()

    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(measure, "step_times", interrupted)
        stopped = call(*asked(files, out))
    assert stopped.code == 130, stopped.err
    assert "continue:" in stopped.err
    assert not (out / "report.json").exists()
    monkeypatch.setattr(comparing, "train", None)
    assert call(*asked(files, out)).code == 0
    ours, theirs = report(out).systems[1], report(done[0]).systems[1]
    assert (ours.bleu, ours.exact, ours.translations) == (theirs.bleu, theirs.exact, theirs.translations)


@pytest.mark.usefixtures("quick")
def test_a_system_that_fails_is_left_out_and_told_of(
    done: tuple[Path, Finished], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out, symlinks=True)
    shutil.rmtree(out / "runs" / "bahdanau2014")

    def fails(*_: object, **__: object) -> None:
        raise TrainingError("the loss was no number")

    monkeypatch.setattr(comparing, "train", fails)
    settings = ("train.max_steps=30", "train.checkpoint_every=20")
    request = Request(
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


def test_another_recipe_in_the_same_place_is_refused(done: tuple[Path, Finished], files: Files) -> None:
    said = ("of another recipe: train.max_steps is 30, not 31", "choose another --out")
    refused(call(*asked(files, done[0], steps=31)), *said)


def test_what_cannot_be_compared_is_refused(files: Files, tmp_path: Path) -> None:
    recipe(files)
    tiny = files / "tiny.toml"
    refused(call("compare"), "nothing to compare", "a recipe, --corpus and --runs")
    refused(call("compare", tiny, "--corpus", "dates"), "not clear what to compare")
    refused(call("compare", tiny, "--architectures", "cho"), "no architecture 'cho'", "cho2014")
    refused(call("compare", "--corpus", "letters"), "no embedded corpus 'letters'", "dates or numbers")
    refused(call("compare", "--runs", tmp_path), "no run", str(tmp_path))
    refused(call("compare", "--runs", tmp_path, "--minutes", "3"), "finished runs are not trained")
    refused(
        call("compare", tiny, "--test-source", files / "test.src", "--out", tmp_path),
        "--test-reference, or --test-data",
    )
