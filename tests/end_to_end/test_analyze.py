"""`regard analyze` from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.end_to_end.helpers import Files, call, refused, write_lines


def test_a_run_against_itself(run: Path, files: Files, tmp_path: Path) -> None:
    pairs = [(source, source[::-1]) for source in files.test[:12]]
    pairs[3] = ("", " ")
    source = write_lines(tmp_path / "test.src", [source for source, _ in pairs])
    reference = write_lines(tmp_path / "test.tgt", [target for _, target in pairs])
    gold = write_lines(tmp_path / "gold", ["0-0" if target.strip() else "" for _, target in pairs])
    page = tmp_path / "out" / "page.html"
    arguments = ("analyze", run, "--source", source, "--reference", reference, "--output", page, "--exact", "2")
    finished = call(*arguments, "--against", run, "--alignments", gold)
    assert finished.code == 0, finished.err
    output = finished.out.decode()
    assert "12 pairs, 1 of them skipped: both sides are blank" in output
    assert "no significant difference, p 1.000" in output
    assert re.search(r"^alignment error rate of .*: \d+\.\d% by ", output, flags=re.MULTILINE)
    assert re.search(r"^calibration error of .*: \d+\.\d%; it is ", output, flags=re.MULTILINE)
    assert f"written to {page}" in finished.err
    table = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert table["test"]["read"] == 12 == table["test"]["pairs"] + 1
    assert [sentence["line"] for sentence in table["sentences"]] == [1, 2, 3, *range(5, 13)]
    assert table["runs"][0]["scores"] == {
        name: {**table["runs"][1]["scores"][name], "p": None} for name in ("bleu", "chrf", "ter")
    }
    nonblank = [pair for pair in pairs if pair[0]]
    files_of = [write_lines(tmp_path / f"nonblank{side}", [pair[side] for pair in nonblank]) for side in (0, 1)]
    evaluated = json.loads(call("evaluate", run, "--source", files_of[0], "--reference", files_of[1], "--json").out)
    for name in ("chrf", "ter"):  # BLEU here is of characters, as no reference has four words
        assert table["runs"][0]["scores"][name]["value"] == evaluated[name]
    assert table["words_counted_in"].startswith("the training data of ")
    assert table["notes"] == [] and table["differing"] == [[], []]
    alone = call(*arguments, "--exact", "0")
    assert alone.code == 0 and "p 1.000" not in alone.out.decode()


def test_errors_are_raised_before_translation(run: Path, tmp_path: Path) -> None:
    two = write_lines(tmp_path / "two", ["12", "34"])
    three = write_lines(tmp_path / "three", ["21", "43", "65"])
    blank = write_lines(tmp_path / "blank", ["21", ""])
    empty = write_lines(tmp_path / "empty", ["", " "])
    gold = write_lines(tmp_path / "gold", ["0-0", "0-7"])
    page = tmp_path / "page.html"

    def analyze(source: Path, reference: Path, *options: str | Path, output: Path = page) -> None:
        arguments = ("--source", source, "--reference", reference, "--output", output, *options)
        refused(call("analyze", run, *arguments), *messages)

    messages = ["the sides have different lengths: 2 and 3 lines"]
    analyze(two, three)
    messages = [f"{blank}:2: the reference is blank"]
    analyze(two, blank)
    messages = [f"{blank}:2: the source is blank"]
    analyze(blank, two)
    messages = ["no pair has text"]
    analyze(empty, empty)
    messages = [f"{gold}:2: `0-7` links target word 7, and the target has 1"]
    analyze(two, two, "--alignments", gold)
    messages = ["1 lines of alignments and 2 pairs"]
    analyze(two, two, "--alignments", write_lines(tmp_path / "short", ["0-0"]))
    messages = ["no run to compare with is given"]
    analyze(two, two, "--against-tag", "de")
    analyze(two, two, "--against-search", "beam_size=2")
    messages = ["there is no key `width`", "--search"]
    analyze(two, two, "--search", "width=2")
    messages = ["beam_size", "greater than"]
    analyze(two, two, "--search", "beam_size=-1")
    messages = ["the page is HTML"]
    analyze(two, two, output=tmp_path / "page.json")
    messages = ["this file would be overwritten"]
    write_lines(page.with_suffix(".json"), ["12", "34"])
    analyze(page.with_suffix(".json"), two)
    (tmp_path / "folder.html").mkdir()
    messages = ["it cannot be written"]
    analyze(two, two, output=tmp_path / "folder.html")
    assert not page.exists()


def test_both_searches_can_be_changed(run: Path, files: Files, tmp_path: Path) -> None:
    source, reference = (write_lines(tmp_path / name, files.test[:4]) for name in ("source", "reference"))
    page = tmp_path / "page.html"
    arguments = ("analyze", run, "--source", source, "--reference", reference, "--output", page, "--exact", "0")
    finished = call(*arguments, "--against", run, "--length-penalty", "0.5", "--against-search", "beam_size=1")
    assert finished.code == 0, finished.err
    table = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    searches = [run_results["facts"]["search"] for run_results in table["runs"]]
    assert [search.partition(" (")[0] for search in searches] == [
        "beam of 4, length penalty 0.5",
        "beam of 1, length penalty 0.5",
    ]


def test_a_file_with_both_sides(run: Path, files: Files, tmp_path: Path) -> None:
    lines = [f"{source}\t{source[::-1]}" for source in files.test[:6]]
    table = write_lines(tmp_path / "test.tsv", [*lines[:2], "12\t", *lines[2:]])
    page = tmp_path / "page.html"
    finished = call("analyze", run, "--data", table, "--output", page, "--exact", "0")
    assert finished.code == 0, finished.err
    note = "1 pair skipped: the target is blank (line 3)"
    assert note in finished.out.decode()
    results = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert results["notes"] == [note]
    assert [sentence["line"] for sentence in results["sentences"]] == [1, 2, 4, 5, 6, 7]
    refused(call("analyze", run, "--data", table, "--alignments", table, "--output", page), "gold alignments belong to")
    refused(call("analyze", run, "--output", page), "no test set is given")
