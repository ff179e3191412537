"""Several corpora as one."""

from __future__ import annotations

from pathlib import Path

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.concat import ConcatCorpus
from regard.corpus.corpus import LineOrigin, Pair
from regard.corpus.formats.sides import Sides


def test_line_numbers_continue_and_lead_back_to_their_corpus(tmp_path: Path) -> None:
    for name, text in (("a", "1\tx\n\ty\n2\tx\n"), ("b", "\tz\n3\tx\n\tz\n"), ("c", "4\tx\n")):
        (tmp_path / f"{name}.tsv").write_text(text)
    corpus = ConcatCorpus([BilingualFile(tmp_path / f"{name}.tsv", Sides()) for name in "abc"])
    for _ in range(2):
        pairs = list(corpus)
        assert pairs == [Pair("1", "x", 1), Pair("2", "x", 3), Pair("3", "x", 5), Pair("4", "x", 6)]
        origins = [corpus.origins.locate(pair.line) for pair in pairs]
        assert origins == [LineOrigin(*origin) for origin in (("a.tsv", 1), ("a.tsv", 3), ("b.tsv", 2), ("c.tsv", 1))]
        assert corpus.skipped.reasons() == {
            "a.tsv: the source is blank": [2],
            "b.tsv: the source is blank": [1, 3],
        }
        assert corpus.skipped.count == 3
    assert corpus.name == "a.tsv + b.tsv + c.tsv"


def test_corpora_of_the_same_name_are_numbered(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.tsv").write_text("1\tx\n\ty\n")
    corpus = ConcatCorpus([BilingualFile(tmp_path / name / "x.tsv", Sides()) for name in "ab"])
    origins = [corpus.origins.locate(pair.line) for pair in corpus]
    assert origins == [LineOrigin("x.tsv (corpus 1)", 1), LineOrigin("x.tsv (corpus 2)", 1)]
    assert corpus.skipped.count == 2
    assert set(corpus.skipped.reasons()) == {f"x.tsv (corpus {number}): the source is blank" for number in (1, 2)}
