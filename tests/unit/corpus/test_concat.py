"""Several corpora as one."""

from __future__ import annotations

from pathlib import Path

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.concat import Together
from regard.corpus.corpus import Pair
from regard.corpus.formats.sides import Sides


def test_lines_go_on_and_lead_back(tmp_path: Path) -> None:
    for name, text in (("a", "1\tx\n\ty\n2\tx\n"), ("b", "\tz\n3\tx\n\tz\n"), ("c", "4\tx\n")):
        (tmp_path / f"{name}.tsv").write_text(text)
    corpus = Together([BilingualFile(tmp_path / f"{name}.tsv", Sides()) for name in "abc"])
    for _ in range(2):
        pairs = list(corpus)
        assert pairs == [Pair("1", "x", 1), Pair("2", "x", 3), Pair("3", "x", 5), Pair("4", "x", 6)]
        assert [corpus.place(pair.line) for pair in pairs] == [("a.tsv", 1), ("a.tsv", 3), ("b.tsv", 2), ("c.tsv", 1)]
        assert corpus.aside.reasons() == {
            "a.tsv: the source is blank": [2],
            "b.tsv: the source is blank": [1, 3],
        }
        assert corpus.aside.count == 3
    assert corpus.name == "a.tsv + b.tsv + c.tsv"


def test_corpora_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.tsv").write_text("1\tx\n\ty\n")
    corpus = Together([BilingualFile(tmp_path / name / "x.tsv", Sides()) for name in "ab"])
    places = [corpus.place(pair.line) for pair in corpus]
    assert places == [("x.tsv (corpus 1)", 1), ("x.tsv (corpus 2)", 1)]
    assert corpus.aside.count == 2
    assert set(corpus.aside.reasons()) == {f"x.tsv (corpus {number}): the source is blank" for number in (1, 2)}
