"""Confidence, from the end of training to translations, documents and reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, refused

from regard.checkpoints.untrusted_files import SUMS
from regard.inference.confidence import FILE


@pytest.fixture(scope="module")
def bare(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as an earlier version of regard would have trained it."""
    folder = tmp_path_factory.mktemp("bare") / "run"
    shutil.copytree(run, folder, symlinks=True)
    (folder / "best" / FILE).unlink()
    (folder / "best" / SUMS).unlink()
    return folder


def translate(run: Path, lines: list[str], *options: str | Path) -> tuple[list[str], str]:
    finished = call("translate", run, *options, stdin="".join(f"{line}\n" for line in lines).encode())
    assert finished.code == 0, finished.err
    return finished.out.decode().split("\n")[:-1], finished.err


def test_training_fits_it_and_translate_prints_it(run: Path, files: Files, tmp_path: Path) -> None:
    assert (run / "best" / FILE).is_file()
    lines = [*files.test[:30], ""]
    plain, _ = translate(run, lines)
    rows, _ = translate(run, lines, "--confidence", "--report", tmp_path / "report.jsonl")
    assert [row.split("\t")[1] for row in rows] == plain
    values = [float(row.split("\t")[0]) for row in rows]
    assert values[-1] == 1
    assert all(0 < value < 1 for value in values[:-1])
    report = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [entry["line"] for entry in report] == list(range(1, len(lines) + 1))
    for entry, value in zip(report, values, strict=True):
        assert entry["confidence"] == pytest.approx(value, abs=0.001)
        words = [entry["translation"][word["start"] : word["end"]] for word in entry["words"]]
        assert words == entry["translation"].split()
    several, _ = translate(run, lines[:3], "--confidence", "--scores", "--top-beams", "2")
    assert [row.count("\t") for row in several] == [2] * 6


def test_a_threshold_leaves_lines_and_entries_untranslated(run: Path, files: Files, tmp_path: Path) -> None:
    lines = files.test[:10]
    rows, messages = translate(run, lines, "--min-confidence", "1")
    assert rows == lines
    assert "10 lines stay untranslated, at least in part: confidence below 1" in messages
    document, written, report = (tmp_path / name for name in ("in.csv", "out.csv", "report.jsonl"))
    document.write_text("source,target\n12 34,\nabc 5,\n", encoding="utf-8")
    options = ("-i", document, "-o", written, "--confidence", "--report", report)
    finished = call("translate", run, *options, "--min-confidence", "1")
    assert finished.code == 0, finished.err
    assert "below 1" in finished.err
    assert "1 not translated" in finished.err or "2 not translated" in finished.err
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert "below 1" in entries[-1]["why"]
    assert 0 < entries[-1]["confidence"] < 1
    refused(call("translate", run, "-i", document, "-o", written, "--confidence"), "add --report FILE")


def test_a_run_without_it_names_the_command_that_adds_it(run: Path, bare: Path, files: Files) -> None:
    refused(call("translate", bare, "--confidence", stdin=b"12\n"), "regard calibrate RUN")
    finished = call("calibrate", bare)
    assert finished.code == 0, finished.err
    assert "fitted on 100 held-out pairs" in finished.err
    assert "equal to the reference" in finished.err
    assert json.loads((bare / "best" / FILE).read_text()) == json.loads((run / "best" / FILE).read_text())
    files_of_test = ("--source", files / "test.src", "--reference", files / "test.tgt")
    assert call("calibrate", bare, *files_of_test).code == 0
    assert json.loads((bare / "best" / FILE).read_text()) != json.loads((run / "best" / FILE).read_text())
    short = files.folder / "short.tsv"
    short.write_text("12\t21\n", encoding="utf-8")
    refused(call("calibrate", bare, "--data", short), "at least 100")
    copied = bare.parent / "copied"
    shutil.copytree(bare / "best", copied)
    refused(call("calibrate", copied), "no dev set")
    refused(call("calibrate", bare.parent / "none"), "there is no such folder")


def test_a_damaged_confidence_only_stops_what_needs_it(run: Path, files: Files, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged, symlinks=True)
    (damaged / "best" / SUMS).unlink()
    table = json.loads((damaged / "best" / FILE).read_text())
    table["word"]["curve"] = [[0.5, 0.1], [0.4, 0.2]]
    (damaged / "best" / FILE).write_text(json.dumps(table))
    lines = files.test[:5]
    texts, messages = translate(damaged, lines)
    assert texts == translate(run, lines)[0]
    (warning,) = [line for line in messages.splitlines() if line.startswith("warning")]
    assert "confidence is not available" in warning
    assert "regard calibrate" in warning
    refused(call("translate", damaged, "--confidence", stdin=b"12\n"), "make it again: regard calibrate")
    test_set = ("--source", files / "test.src", "--reference", files / "test.tgt")
    assert call("evaluate", damaged, *test_set, "--card").code == 0
    published = call("publish", damaged, "me/digits", "--to", "hub", "--dry-run")
    assert published.code == 0, published.err
    assert FILE not in published.out.decode()
    calibrated = call("calibrate", damaged)
    assert calibrated.code == 0, calibrated.err
    assert "warning" not in calibrated.err
    assert translate(damaged, lines, "--confidence") == translate(run, lines, "--confidence")
