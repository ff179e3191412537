"""What is checked, joined and held out before an improvement."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from regard.corpus.corpus import Pair, PairList
from regard.errors import DataError
from regard.runs.improvement.corrections import (
    NothingToDoError,
    SourceSet,
    check_corrections,
    is_held_out,
    normalize,
    split_corrections,
)

PAIRS = {f"this is sentence number {word}": f"das ist Satz {word}" for word in map(str, map(chr, range(97, 123)))} | {
    f"another {first}{second}": f"noch einer {first}{second}" for first in "abcdef" for second in "abcdef"
}


def corpus(pairs: Sequence[tuple[str, str]]) -> PairList:
    return PairList("corrections", [Pair(source, target, line) for line, (source, target) in enumerate(pairs, start=1)])


def test_faults_are_dropped_and_reported_with_their_lines() -> None:
    good = [
        (f"The house number {number} is old and grey.", f"Das alte Haus {number} ist grau.") for number in range(60)
    ]
    pairs = [
        *good,
        ("The caf\u00c3\u00a9 is open on Sunday.", "Das Caf\u00e9 ist am Sonntag offen."),
        ("This is a copy of the whole sentence.", "This is a copy of the whole sentence."),
        ("A dog runs through the snow today.", "Heute rennt ein Hund durch den Schnee."),
        ("Two\u200b words", "Zwei\u2028W\u00f6rter"),
    ]
    checked = check_corrections(corpus(pairs), [("A dog runs through the snow today!", "x")], ("en", "de"))
    assert [sentence.partition(",")[0] for sentence in checked.sentences] == [
        "1 pair dropped: encoding",
        "1 pair dropped: copies",
        "1 pair dropped: near-leakage",
    ]
    assert "(line 61)" in checked.sentences[0]
    assert [json.loads(line)["line"] for line in checked.dropped] == [61, 62, 63]
    assert checked.pairs["Two words"] == "Zwei W\u00f6rter"
    assert len(checked.pairs) == 61


def test_the_last_correction_of_a_source_is_used() -> None:
    pairs = [*PAIRS.items(), ("another aa", "anders"), ("another aa", "noch einer aa"), ("another ab", "anders")]
    checked = check_corrections(corpus(pairs), [], ("", ""))
    assert checked.pairs["another aa"] == "noch einer aa" and checked.pairs["another ab"] == "anders"
    assert any("3 pairs dropped: a later correction has the same source" in text for text in checked.sentences)


def test_what_is_held_out_depends_on_the_source_alone() -> None:
    split = split_corrections(PAIRS, (), "corrections")
    assert split.new == len(PAIRS) == len(split.train) + len(split.held_out)
    assert 0.1 < len(split.held_out) / len(PAIRS) < 0.35
    smaller = dict(list(PAIRS.items())[:55])
    part = split_corrections(smaller, (), "corrections")
    assert set(part.held_out) == set(split.held_out) & set(smaller.items())
    for source, _ in PAIRS.items():
        assert is_held_out(source) == is_held_out(f"  {source.upper()}!")


def test_numbers_and_case_do_not_tell_sources_apart() -> None:
    assert normalize("Page 3 of 12.") == normalize("page 4 of 17") != normalize("page of")
    assert normalize("12:30") != normalize("12:31")  # nothing else distinguishes texts without letters
    assert normalize("!?") == "!?"
    sources = SourceSet(["A dog runs."])
    assert "a dog runs" in sources and "a dog" not in sources


def test_earlier_corrections_are_joined() -> None:
    earlier = list(PAIRS.items())
    with pytest.raises(NothingToDoError, match="all 10 corrections were used before"):
        split_corrections(dict(earlier[:10]), earlier, "corrections")
    source = earlier[0][0]
    split = split_corrections({source: "anders", "a new one": "ein neuer"}, earlier, "corrections")
    assert split.new == 2
    together = dict([*split.train, *split.held_out])
    assert together == {**PAIRS, source: "anders", "a new one": "ein neuer"}


def test_too_few_corrections() -> None:
    with pytest.raises(DataError, match=r"of 5 usable ones, \d are held out .* 10 are needed"):
        split_corrections(dict(list(PAIRS.items())[:5]), (), "corrections")


def test_no_corrections_in_the_requested_languages() -> None:
    with pytest.raises(DataError, match="no pair has text on both sides") as caught:
        check_corrections(PairList("corrections", []), [], ("en", "de"))
    assert "the languages or columns that you requested" in str(caught.value.fix)
