"""One file with both sides as a corpus."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from regard.corpus.bilingual_file import READERS, BilingualFile
from regard.corpus.corpus import Pair
from regard.corpus.formats.compressed import zstd
from regard.corpus.formats.sides import Sides, matches_language
from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES
from regard.errors import DataError

TEXT = "a house\tein Haus\n \tnichts\na tree\t\nbroken\n\t\na dog\tein Hund\r\n"


def corpus(path: Path, text: str = TEXT, **sides: str) -> BilingualFile:
    path.write_text(text, encoding="utf-8", newline="")
    return BilingualFile(path, Sides(**sides))


def test_pairs_without_text_are_skipped_with_their_lines(tmp_path: Path) -> None:
    read = corpus(tmp_path / "x.tsv")
    assert list(read) == [Pair("a house", "ein Haus", 1), Pair("a dog", "ein Hund", 6)]
    assert read.skipped.reasons() == {
        "the source is blank": [2],
        "the target is blank": [3],
        "there is no column 2": [4],
        "both sides are blank": [5],
    }
    assert len(list(read)) == 2  # a second time


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)]
)
def test_it_may_be_compressed(tmp_path: Path, suffix: str, compress: object) -> None:
    path = tmp_path / f"X.TSV{suffix}"
    path.write_bytes(compress(TEXT.encode()))  # type: ignore[operator]
    assert [pair.line for pair in BilingualFile(path, Sides())] == [1, 6]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="is corrupt"):
        list(BilingualFile(path, Sides()))


def test_a_file_without_a_pair_reports_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no pair with text .*; 2 pairs skipped: the target is blank \(lines 1, 2\)"):
        list(corpus(tmp_path / "x.tsv", "a\t\nb\t\n"))


@pytest.mark.parametrize("name", ["x", "x.txt", "x.doc.gz"])
def test_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not that of a known format"):
        list(corpus(tmp_path / name))


def test_help_names_what_can_be_read() -> None:
    assert tuple(READERS) == BILINGUAL_SUFFIXES


@pytest.mark.parametrize(
    ("code", "language", "is_match"),
    [("en", "en", True), ("en-US", "en", True), ("EN_gb", "en", True), ("enm", "en", False), ("en", "en-US", False)],
)
def test_languages_are_matched_leniently(code: str, language: str, is_match: bool) -> None:
    assert matches_language(code, language) is is_match


def test_half_a_surrogate_pair_is_skipped_with_its_line(tmp_path: Path) -> None:
    lines = [
        r'{"source": "A dog \ud83d runs", "target": "Ein Hund"}',
        r'{"source": "A dog \ud83d\ude00 runs", "target": "Ein Hund"}',
        r'{"source": "A cat", "target": "\udc00"}',
    ]
    (path := tmp_path / "a.jsonl").write_text("\n".join(lines))
    corpus = BilingualFile(path, Sides())
    assert [pair.line for pair in corpus] == [2]
    assert corpus.skipped.sentences() == [
        "2 pairs skipped: a text has half a surrogate pair, which is not a character (lines 1, 3)"
    ]
