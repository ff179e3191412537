"""Hostile and accidental input."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.helpers import call, refused

from regard.inference.translator import Translator

# Nothing that the model knows, which soon says that it is done; and what it may go on about up to the limit.
FIVE_THOUSAND_WORDS = ["x\u3000" * 4999 + "y", pytest.param("1 " * 4999 + "2", marks=pytest.mark.slow)]


@pytest.mark.parametrize("line", FIVE_THOUSAND_WORDS)
def test_a_line_of_five_thousand_words_is_translated_whole(run: Path, translator: Translator, line: str) -> None:
    segments = translator.segments(line)
    limit = sum(2 * len(translator.tokenizers.source.encode(line[start:end])) + 20 for start, end in segments)
    finished = call("translate", run, "--beam-size", "1", stdin=f"12\n{line}\n34\n".encode())
    assert finished.code == 0, finished.err
    assert finished.out.count(b"\n") == 3
    best = translator.translate(line, beam_size=1)
    assert 0 < len(best.tokens) <= limit
    assert finished.out.split(b"\n")[1].decode() == best.text


def test_control_characters_make_no_lines(run: Path) -> None:
    lines = [
        "1\x002",
        "\x00",
        "\x1b[31m12\x1b[0m",
        "\u200b",
        "\ufeff",
        "1\t2",
        "\r1",
        "\U0001f600" * 50,
        "١٢٣",
        "\ue000",
    ]
    finished = call("translate", run, stdin="".join(f"{line}\n" for line in lines).encode())
    assert finished.code == 0, finished.err
    assert finished.out.count(b"\n") == len(lines)
    assert finished.out.decode().count("\r") == 0


def test_bytes_that_are_no_utf8_are_refused_with_their_line(run: Path) -> None:
    surrogate = "\ud800".encode("utf-8", errors="surrogatepass")
    for bad in (b"\xff", surrogate, b"\xc3", b"\xf8\x88\x80\x80\x80"):
        finished = call("translate", run, stdin=b"12\n34\n5" + bad + b"\n67\n")
        refused(finished, "standard input:3", "not UTF-8")


def test_half_surrogates_on_the_command_line_and_in_constraints(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where --alignments writes a file of that name
    half = "1\udcff"  # what Python makes of the argument $'1\\xff'
    refused(call("attend", run, "12", "--target", half), "--target", "not UTF-8")
    refused(call("attend", run, half), "the sentence", "not UTF-8")
    (constraints := tmp_path / "c").write_text('{"require": ["1"]}\n{"forbid": ["\\ud83d"]}\n')
    failed = call("translate", run, "--constraints", constraints, stdin=b"12\n34\n")
    refused(failed, f"{constraints}:2", "half a surrogate pair")
    for option in ("--tag", "--search", "--source-column", "--source-language", "--alignments", "--input", "--device"):
        failed = call("translate", run, option, half, stdin=b"12\n")
        assert failed.code in (0, 1, 2), option
        assert "Traceback" not in failed.err, option


def test_half_surrogates_in_pairs(run: Path, tmp_path: Path) -> None:
    pairs = ['{"source": "12", "target": "21"}'] * 3
    pairs[1] = '{"source": "1\\ud8002", "target": "21"}'
    (path := tmp_path / "a.jsonl").write_text("\n".join(pairs) + "\n")
    message = "1 pair skipped: a text has half a surrogate pair, which is not a character (line 2)"
    for command in ("evaluate", "score"):
        finished = call(command, run, "--data", path)
        assert finished.code == 0, finished.err
        assert message in finished.err
    finished = call("inspect", "--data", path)
    assert finished.code == 0, finished.err
    assert message in finished.out.decode()


def test_links_that_go_round(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (loop := tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "c.po").symlink_to(tmp_path / "c.po")
    (good := tmp_path / "good").write_text("12\n")
    commands: list[list[str | Path]] = [
        ["translate", run, "--input", loop],
        ["translate", run, "--input", tmp_path / "c.po"],
        ["translate", run, "--input", good, "--output", loop],
        ["translate", run, "--input", good, "--constraints", loop],
        ["translate", loop],
        ["train", loop],
        ["train", "--source", loop, "--target", good, "--out", tmp_path / "run"],
        ["train", "--data", tmp_path / "c.po", "--out", tmp_path / "run"],
        ["train", "--source", good, "--target", good, "--out", loop],
        ["train", "--resume", loop],
        ["train", "--from", loop, "--source", good, "--target", good],
        ["evaluate", run, "--source", loop, "--reference", good],
        ["score", run, "--source", good, "--target", loop],
        ["inspect", "--source", loop, "--target", good],
        ["clean", "--source", good, "--target", loop, "--out", tmp_path / "x.tsv"],
        ["analyze", run, "--source", loop, "--reference", good, "--output", tmp_path / "r.html"],
        ["export", loop, tmp_path / "x", "--to", "marian"],
        ["export", run, loop, "--to", "marian"],
        ["import", "marian", loop, "--out", tmp_path / "x"],
        ["shortlist", loop],
        ["compare", "--runs", loop, "--corpus", "dates", "--out", tmp_path / "x"],
    ]
    for command in commands:
        failed = call(*command)
        assert failed.code == 1, command
        assert "Traceback" not in failed.err, command
        assert "error:" in failed.err, command
