"""`regard evaluate` and `analyze` with labels, with the best K translations, and of several test sets."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, refused, write_lines

METRICS = ("bleu", "chrf", "exact")


@pytest.fixture(scope="module")
def sides(files: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """Options of a test set of 20 lines, of which every fourth has a wrong reference."""
    folder = tmp_path_factory.mktemp("sides")
    sources = files.test[:20]
    references = ["wrong" if number % 4 == 0 else source[::-1] for number, source in enumerate(sources)]
    return (
        "--source",
        write_lines(folder / "test.src", sources),
        "--reference",
        write_lines(folder / "test.tgt", references),
    )


@pytest.fixture(scope="module")
def table(sides: tuple[str | Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same test set in a table with a header and labels: `bad` for wrong references, else `good` or empty."""
    pairs = zip(*(Path(sides[place]).read_text().splitlines() for place in (1, 3)), strict=True)
    labels = ["bad", "good", "good", ""] * 5
    rows = [f"{source}\t{label}\t{target}" for (source, target), label in zip(pairs, labels, strict=True)]
    return write_lines(tmp_path_factory.mktemp("tables") / "test.tsv", ["source\tkind\ttarget", *rows])


def test_scores_of_each_label(run: Path, sides: tuple[str | Path, ...], table: Path, tmp_path: Path) -> None:
    unlabelled = json.loads(call("evaluate", run, *sides, "--json").out)
    report = json.loads(call("evaluate", run, "--data", table, "--label-column", "kind", "--json").out)
    labels = {label.pop("label"): label for label in report.pop("labels")}
    assert {name: label["lines"] for name, label in labels.items()} == {"good": 10, "bad": 5, "": 5}
    assert list(labels) == ["good", "", "bad"]
    assert labels["bad"]["exact"] == 0 < labels["good"]["exact"]
    assert sum(label["lines"] * label["exact"] for label in labels.values()) == pytest.approx(20 * report["exact"])
    assert report | {"seconds": 0} == unlabelled | {"seconds": 0}  # labels change nothing else
    pairs = [line.split("\t") for line in table.read_text().splitlines()[1:]]
    good = [(source, target) for source, label, target in pairs if label == "good"]
    only = write_lines(tmp_path / "good.tsv", ["\t".join(pair) for pair in good])
    alone = json.loads(call("evaluate", run, "--data", only, "--json").out)
    for name in METRICS:
        assert labels["good"][name] == alone[name], name

    file = tmp_path / "labels.gz"
    file.write_bytes(gzip.compress("".join(f"{label}\n" for _, label, _ in pairs).encode()))
    finished = call("evaluate", run, *sides, "--labels", file, "--top", "2", "--beam-size", "4")
    lines = finished.out.decode().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("label"))
    assert lines[start].split() == ["label", "lines", "bleu", "chrf", "exact", "top", "2"]
    assert [line.split()[:2] for line in lines[start + 1 :]] == [
        ["good", "10"],
        ["(none)", "5"],
        ["bad", "5"],
        ["total", "20"],
    ]


def test_several_test_sets_share_a_table(
    run: Path, files: Files, sides: tuple[str | Path, ...], table: Path, tmp_path: Path
) -> None:
    second = [write_lines(tmp_path / name, files.dev[:7]) for name in ("dev.src", "dev.tgt")]
    both = (*sides, "--source", second[0], "--reference", second[1])
    finished = call("evaluate", run, *both)
    assert finished.code == 0, finished.err
    rows = [line.split() for line in finished.out.decode().splitlines()]
    assert rows[0] == ["test", "set", "lines", "bleu", "chrf", "ter", "wer", "exact"]
    assert [row[:2] for row in rows[1:3]] == [["test.src", "20"], ["dev.src", "7"]]
    assert finished.out.decode().splitlines()[-1].startswith("exact % of lines; 27 lines in ")
    report = json.loads(call("evaluate", run, *both, "--json").out)
    alone = json.loads(call("evaluate", run, *sides, "--json").out)
    first, dev_set = report["test_sets"]
    assert first | {"seconds": 0} == {"name": "test.src", **alone, "seconds": 0}
    assert (dev_set["name"], dev_set["lines"]) == ("dev.src", 7)
    copy = tmp_path / "test.tsv"
    copy.write_bytes(table.read_bytes())
    tables = ("--data", table, "--data", copy, "--label-column", "kind")
    finished = call("evaluate", run, *tables)
    assert finished.code == 0, finished.err
    output = finished.out.decode()
    assert f"\n{table} " in output and output.count("\ntotal ") == 2  # both have the same name, so paths are shown


def test_novelty_is_that_of_the_training_data(run: Path, files: Files, tmp_path: Path) -> None:
    sources = [files.train[0], *files.test[:2], files.train[5], " "]
    source = write_lines(tmp_path / "test.src", sources)
    test = ("--source", source, "--reference", source, "--novelty")
    report = json.loads(call("evaluate", run, *test, "--json").out)
    assert [(label["label"], label["lines"]) for label in report["labels"]] == [
        ("new source", 2),
        ("seen", 2),
        ("blank", 1),
    ]
    labels = ("--labels", write_lines(tmp_path / "labels", ["a"] * 5))
    refused(call("evaluate", run, *test, *labels), "a pair has a single label", "--novelty")
    moved = tmp_path / "run"
    shutil.copytree(run, moved, symlinks=True)
    shutil.rmtree(moved / "data")
    refused(call("evaluate", moved, *test), "the run has no training data", str(moved / "data"))


def test_cards_get_each_test_set(run: Path, sides: tuple[str | Path, ...], table: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, symlinks=True)
    renamed = tmp_path / "renamed.tsv"
    renamed.write_bytes(table.read_bytes())
    finished = call("evaluate", copy, "--data", table, "--data", renamed, "--card")
    assert finished.code == 0, finished.err
    text = (copy / "README.md").read_text()
    assert "test.tsv" in text and "renamed.tsv" in text


def test_wrong_labels_and_sets_are_refused(
    run: Path, sides: tuple[str | Path, ...], table: Path, tmp_path: Path
) -> None:
    three = write_lines(tmp_path / "three", ["a", "b", "c"])
    long = write_lines(tmp_path / "long", ["a"] * 21)
    empty = write_lines(tmp_path / "empty", [])
    page = ("--output", tmp_path / "page.html")
    for command in (("evaluate", run), ("analyze", run, *page)):
        refused(call(*command, *sides, "--labels", three), f"{three}:4: the number of labels is 3, and that of lines")
        refused(call(*command, *sides, "--labels", long), f"{long}:21: the number of labels is 21, and that of lines")
        refused(call(*command, *sides, "--labels", empty), f"{empty}:1: the number of labels is 0, and that of lines")
        refused(call(*command, *sides, "--labels", tmp_path / "no"), "there is no such file", "no")
        refused(call(*command, *sides, "--label-column", "2"), "plain files have no columns", "--labels FILE")
        refused(
            call(*command, "--data", table, "--labels", three), "a file of labels belongs to the lines of two files"
        )
        refused(call(*command, "--data", table, "--label-column", "x"), f"{table}:1: there is no column 'x'")
        refused(
            call(*command, "--data", table, "--label-column", "9"), "there is no column 9; there are columns 1 to 3"
        )
    ragged = write_lines(tmp_path / "ragged.tsv", ["source\ttarget\tkind", "12\t21\ta", "3\t3"])
    columns = ("--data", ragged, "--label-column", "kind")
    refused(call("evaluate", run, *columns), f"{ragged}:3: the pair has no label in column kind")
    refused(
        call("evaluate", run, *sides, "--source", three),
        "the number of source files is 2",
    )
    refused(call("evaluate", run, "--source", three), "not clear", "give both --source and --reference, or --data")
    refused(call("evaluate", run, *sides, "--labels", three, "--labels", three), "the number of files of labels is 2")
    blank = write_lines(tmp_path / "blank.tsv", [])
    refused(call("evaluate", run, "--data", table, "--data", blank), "the file is empty", str(blank))


def test_analysis_of_labels_and_of_the_best_translations(
    run: Path, sides: tuple[str | Path, ...], table: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    options = ("--data", table, "--label-column", "kind", "--top", "3", "--exact", "0", "--output", page)
    finished = call("analyze", run, *options, "--against", run, "--against-set", "search.beam_size=3")
    assert finished.code == 0, finished.err
    results = json.loads(page.with_suffix(".json").read_text())
    evaluated = call("evaluate", run, "--data", table, "--label-column", "kind", "--top", "3", "--json")
    report = json.loads(evaluated.out)
    first = results["runs"][0]
    assert first["exact_at"]["1"]["value"] == report["exact"]
    assert first["exact_at"]["3"]["value"] == report["exact_at"]["3"] >= report["exact"]
    assert [(label["label"], label["pairs"]) for label in first["labels"]] == [("good", 10), ("", 5), ("bad", 5)]
    for label, expected in zip(first["labels"], report["labels"], strict=True):
        assert (label["exact"], label["exact_at"], label["chrf"]) == (
            expected["exact"],
            expected["exact_at"],
            expected["chrf"],
        )
    assert [sentence["label"] for sentence in results["sentences"]] == ["bad", "good", "good", ""] * 5
    text = page.read_text()
    assert '<section id="labels">' in text and "exact match in the best 3" in text and ">top 3<" in text
    output = finished.out.decode()
    assert "\nexact " in output and "\ntop 3 " in output and ", (none)  exact " in output
    refused(call("analyze", run, *options, "--top", "9"), "top_beams is 9", "raise beam_size")
