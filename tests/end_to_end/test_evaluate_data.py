"""`regard evaluate` and `score` of a file that has both sides."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from tests.end_to_end.helpers import Files, call, refused, write_lines
from tests.shared_data import shared


@pytest.fixture(scope="module")
def table(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 pairs, and a fourth line without a target and a sixth without a second column."""
    lines = [f"{source}\t{source[::-1]}" for source in files.test[:20]]
    lines.insert(3, "12\t ")
    lines.insert(5, "34")
    path = tmp_path_factory.mktemp("tables") / "test.tsv.xz"
    path.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


ASIDE = [
    "1 pair skipped: the target is blank (line 4)",
    "1 pair skipped: there is no column 2 (line 6)",
]


def test_a_table_is_evaluated_as_its_columns_are(run: Path, files: Files, table: Path, tmp_path: Path) -> None:
    sources = files.test[:20]
    source = write_lines(tmp_path / "source", sources)
    reference = write_lines(tmp_path / "reference", [source_line[::-1] for source_line in sources])
    plain_report = json.loads(call("evaluate", run, "--source", source, "--reference", reference, "--json").out)
    finished = call("evaluate", run, "--data", table, "--json")
    report = json.loads(finished.out)
    assert (report["lines"], report["left_aside"], plain_report["left_aside"]) == (20, ASIDE, [])
    assert finished.err.splitlines() == ASIDE
    for name in ("bleu", "chrf", "ter", "exact", "wer"):
        assert report[name] == plain_report[name], name
    assert b"of 20 lines" in call("evaluate", run, "--data", table).out
    turned = ("--source-column", "2", "--target-column", "1")
    backwards = json.loads(call("evaluate", run, "--data", table, "--json", *turned).out)
    assert backwards["lines"] == 20 and backwards["ter"] != report["ter"]


def test_scores_of_a_table_stand_by_its_lines(run: Path, files: Files, table: Path, tmp_path: Path) -> None:
    sources = files.test[:20]
    source = write_lines(tmp_path / "source", sources)
    target = write_lines(tmp_path / "target", [source_line[::-1] for source_line in sources])
    plain = call("score", run, "--source", source, "--target", target).out.decode().split()
    out = tmp_path / "scores"
    finished = call("score", run, "--data", table, "--output", out)
    assert (finished.code, finished.err.splitlines()) == (0, ASIDE)
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert [row[0] for row in rows] == [str(line) for line in range(1, 23) if line not in (4, 6)]
    assert [float(row[1]) for row in rows] == pytest.approx([float(value) for value in plain], abs=1e-5)


def test_real_catalogues(run: Path) -> None:
    formats = shared("formats")
    for name, pairs in (("cpio.en-de.tmx", 317), ("cpio.de.po", 317), ("cpio.en-de.xlf", 320)):
        finished = call("score", run, "--data", formats / name)
        assert finished.code == 0, finished.err
        assert finished.out.count(b"\n") == pairs, name
        skipped = [line for line in finished.err.splitlines() if "skipped" in line]
        assert bool(skipped) == (not name.endswith(".tmx"))


def test_what_is_not_clear_is_refused(run: Path, table: Path, tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "plain", ["1"])
    fix = "give both --source and --reference, or --data"
    refused(call("evaluate", run, "--source", plain), "not clear", fix)
    refused(call("evaluate", run, "--source", plain, "--reference", plain, "--data", table), "not clear", fix)
    refused(call("score", run, "--target", plain), "give both --source and --target, or --data")
    columns = ("--source-column", "2")
    refused(call("score", run, "--source", plain, "--target", plain, *columns), "plain files have no columns")
    refused(call("evaluate", run, "--data", plain), "not that of a known format", str(plain))
    refused(call("evaluate", run, "--data", tmp_path / "no.tmx"), "there is no such file", "no.tmx")
    blank = write_lines(tmp_path / "blank.tsv", ["1\t", "\t2"])
    refused(call("evaluate", run, "--data", blank), "no pair with text on both sides", "(line 1)", "(line 2)")
    refused(call("score", run, "--data", blank, "--output", blank), "would be overwritten")


def test_the_share_of_references_among_the_best(run: Path, files: Files, tmp_path: Path) -> None:
    sources = files.test[:12]
    source = write_lines(tmp_path / "source", sources)
    beams = ("--beam-size", "4")
    n_best = call("translate", run, "--input", source, "--top-beams", "4", *beams).out.decode().splitlines()
    thirds = [line.split("\t")[-1] for line in n_best[2::4]]  # the third best of each source is its reference
    test = ("--source", source, "--reference", write_lines(tmp_path / "reference", thirds), *beams)
    report = json.loads(call("evaluate", run, *test, "--top", "3", "--top", "2", "--json").out)
    assert report["exact_at"]["3"] == 1
    assert report["exact"] == report["exact_at"]["2"] == 0
    text = call("evaluate", run, *test, "--top", "3").out.decode()
    assert "exact 100.00  % of lines have the reference among the 3 best translations" in text
    refused(call("evaluate", run, *test, "--top", "9"), "9", "raise beam_size")
