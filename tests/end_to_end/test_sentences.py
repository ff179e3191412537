"""Lines of several sentences, and lines that are too long, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.end_to_end.helpers import call, write_lines
from tests.unit.serving.runs import make_run

from regard.checkpoints.checkpoint import load_several_sentences
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.inference.translator import Translator

SEVERAL = "One two. Six ten.  Four five."
JOINED = "Eins zwei. Sechs zehn.  Vier fünf."


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned lines of one sentence."""
    return make_run(tmp_path_factory.mktemp("runs") / "small")


def test_no_sentence_is_lost_and_it_is_told_how(sentences: Path, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "in", ["one", SEVERAL, "", "Six. Two."])
    finished = call("translate", sentences, "--input", lines)
    assert finished.out.decode() == f"eins\n{JOINED}\n\nSechs. Zwei.\n"
    assert f"2 lines were translated in parts, the first of them {lines}:2: several sentences" in finished.err
    split = call("translate", sentences, "--input", lines, "--split-sentences")
    assert (split.out, split.err) == (finished.out, "")
    unsplit = call("translate", sentences, "--input", lines, "--no-split-sentences")
    assert unsplit.err == ""
    assert JOINED not in unsplit.out.decode()


def test_scores_alignments_and_the_report_of_a_divided_line(sentences: Path, tmp_path: Path) -> None:
    links, report = tmp_path / "links", tmp_path / "report"
    options = ("--top-beams", "2", "--scores", "--alignments", links, "--report", report)
    finished = call("translate", sentences, *options, stdin=f"{SEVERAL}\n".encode())
    translator = Translator.load(sentences, "cpu")
    translations = translator.translate(SEVERAL, top_beams=2, with_attention=True).n_best
    assert finished.out.decode().splitlines() == [
        f"{translation.score:.6f}\t{translation.text}" for translation in translations
    ]
    assert links.read_text().split("\n")[0] == "0-0 1-1 2-2 3-3 4-4 5-5"
    call("translate", sentences, "--no-split-sentences", "--report", report, stdin=f"one\n{SEVERAL}\n".encode())
    (entry,) = map(json.loads, report.read_text().splitlines())
    assert (entry["line"], "fewer" in entry["marks"]) == (2, True)


def test_a_line_that_is_too_long_is_reported_and_stops_nothing(sentences: Path, tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "in", ["one", "two three " * 2000, "six"])
    finished = call("translate", sentences, "--input", lines, "--no-split-sentences", "--beam-size", "1")
    first, long, last = finished.out.decode().splitlines()
    assert (first, last) == ("eins", "sechs")
    assert len(long.split()) > 30  # of 8 parts or more, of which it was taught no such lengths
    assert f"1 line was translated in parts, {lines}:2: more tokens than a segment can have" in finished.err
    wished = write_lines(tmp_path / "wished", ["", '{"require": ["acht"]}', ""])
    refused = call("translate", sentences, "--input", lines, "--constraints", wished)
    assert refused.code == 1
    assert f"{lines}:2: the line has more than 512 tokens" in refused.err


def test_pairs_and_targets_that_are_too_long_are_refused_with_their_place(sentences: Path, tmp_path: Path) -> None:
    source, target = write_lines(tmp_path / "a", ["one", "two"]), write_lines(tmp_path / "b", ["eins", "zwei " * 600])
    scored = call("score", sentences, "--source", source, "--target", target)
    assert (scored.code, scored.out) == (1, b"")
    assert f"{source}:2: one side has more than 512 tokens" in scored.err
    looked = call("attend", sentences, "one", "--target", "zwei " * 600)
    assert looked.code == 1
    assert "one side has more than 512 tokens" in looked.err


def test_each_sentence_of_a_line_is_looked_at(sentences: Path) -> None:
    shown = call("attend", sentences, SEVERAL)
    assert [line for line in shown.out.decode().splitlines() if line in JOINED and line] == [
        "Eins zwei.",
        "Sechs zehn.",
        "Vier fünf.",
    ]
    links = call("attend", sentences, "--pharaoh", stdin=f"one\n{SEVERAL}\n".encode())
    assert links.out.decode().splitlines() == ["0-0", "0-0 1-1 2-2 3-3 4-4 5-5"]
    tables = call("attend", sentences, "--json", SEVERAL).out.decode().splitlines()
    assert [json.loads(line)["source_text"] for line in tables] == ["One two.", "Six ten.", "Four five."]


def test_evaluation_splits_where_it_is_asked_to(sentences: Path, tmp_path: Path) -> None:
    source, reference = write_lines(tmp_path / "a", [SEVERAL]), write_lines(tmp_path / "b", [JOINED])
    options = ("--source", source, "--reference", reference, "--json")
    unsplit, split = (
        json.loads(call("evaluate", sentences, *options, *more).out) for more in ((), ("--split-sentences",))
    )
    assert split["exact"] == 1
    assert unsplit["exact"] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--beam-size", "5000"),
        ("--search", "strategy=mbr", "--search", "samples=5000"),
        ("--search", "strategy=lookahead", "--search", "lookahead_depth=50", "--search", "lookahead_width=50"),
    ],
)
def test_a_search_without_bounds_is_refused(sentences: Path, options: tuple[str, ...]) -> None:
    finished = call("translate", sentences, *options, stdin=b"one\n")
    assert (finished.code, finished.out) == (1, b"")
    assert "hypotheses of a sentence at a time; the limit is 2,048" in finished.err


def test_a_run_records_how_many_of_its_sources_hold_several_sentences(run: Path) -> None:
    assert load_several_sentences(resolve_checkpoint(run)) == 0
