"""Input that nobody meant to send."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.helpers import call, refused

from regard.search import length_limit
from regard.translator import Translator

# Nothing that the model knows, which soon says that it is done; and what it may go on about up to the limit.
FIVE_THOUSAND_WORDS = ["x\u3000" * 4999 + "y", pytest.param("1 " * 4999 + "2", marks=pytest.mark.slow)]


@pytest.mark.parametrize("line", FIVE_THOUSAND_WORDS)
def test_a_line_of_five_thousand_words_is_translated_whole(run: Path, translator: Translator, line: str) -> None:
    source = translator.tokenizers.source.encode(line)
    finished = call("translate", run, "--beam-size", "1", stdin=f"12\n{line}\n34\n".encode())
    assert finished.code == 0, finished.err
    assert finished.out.count(b"\n") == 3
    ((best,),) = translator.translate([line], beam_size=1)
    assert 0 < len(best.tokens) <= length_limit(len(source), translator.search)
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
