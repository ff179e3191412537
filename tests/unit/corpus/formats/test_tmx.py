"""TMX: which units give pairs, which sides they have, and what is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shared_data import shared

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

HEAD = '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header srclang="{}"/><body>\n'


def memory(path: Path, body: str, srclang: str = "en", source: str = "", target: str = "") -> BilingualFile:
    path.write_text(HEAD.format(srclang) + body + "</body></tmx>", encoding="utf-8")
    return BilingualFile(path, Sides(source, target))


def unit(srclang: str = "", **texts: str) -> str:
    attribute = f' srclang="{srclang}"' if srclang else ""
    texts = {language.replace("_", "-"): text for language, text in texts.items()}
    variants = (f'<tuv xml:lang="{language}"><seg>{text}</seg></tuv>' for language, text in texts.items())
    return f"<tu{attribute}>{''.join(variants)}</tu>\n"


def read(corpus: BilingualFile) -> list[tuple[str, str, int]]:
    return [(pair.source, pair.target, pair.line) for pair in corpus]


def test_units_give_pairs_with_their_lines(tmp_path: Path) -> None:
    body = unit(en="a", de="b") + "<!-- \n\n -->" + unit(de="d", en="c &amp; &#x20AC;")
    assert read(memory(tmp_path / "x.tmx", body)) == [("a", "b", 4), ("c & €", "d", 7)]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("en", "de", ("a", "b")),
        ("de", "en", ("b", "a")),
        ("EN", "de-AT", ("a", "b")),
        ("", "de", ("a", "b")),
        ("en", "", ("a", "b")),
        ("de", "", ("b", "a")),
        ("", "en", ("b", "a")),
    ],
)
def test_languages_are_found_leniently(tmp_path: Path, source: str, target: str, expected: tuple[str, str]) -> None:
    corpus = memory(tmp_path / "x.tmx", unit(en_US="a", de_AT="b"), "en-US", source, target)
    assert read(corpus) == [(*expected, 4)]


def test_a_source_language_of_another_country_is_found_too(tmp_path: Path) -> None:
    assert read(memory(tmp_path / "x.tmx", unit(en="a", de="b"), "en-US")) == [("a", "b", 4)]


def test_the_old_attribute_for_languages(tmp_path: Path) -> None:
    body = unit(en="a", de="b").replace("xml:lang", "lang")
    assert read(memory(tmp_path / "x.tmx", body)) == [("a", "b", 4)]


def test_the_exact_code_is_preferred_and_further_texts_are_skipped(tmp_path: Path) -> None:
    corpus = memory(tmp_path / "x.tmx", unit(en_GB="no", en="yes", de_AT="first", de_CH="second"), "en", "en", "de")
    assert read(corpus) == [("yes", "first", 4)]
    assert corpus.skipped.reasons() == {"it is a further text in a language of its unit": [4, 4]}


def test_units_without_a_side_are_skipped(tmp_path: Path) -> None:
    body = unit(en="a", de="b") + unit(en="a") + unit(fr="x", de="b") + unit(en="a", de=" ") + "<tu></tu>"
    corpus = memory(tmp_path / "x.tmx", body, "en", "en", "de")
    assert len(read(corpus)) == 1
    assert corpus.skipped.reasons() == {
        "there is no text in de": [5],
        "there is no text in en": [6, 8],
        "the target is blank": [7],
    }


def test_a_unit_with_one_language_before_the_languages_are_known(tmp_path: Path) -> None:
    corpus = memory(tmp_path / "x.tmx", unit(en="a") + unit(en="a", de="b"))
    assert read(corpus) == [("a", "b", 5)]
    assert corpus.skipped.reasons() == {"it has only one language": [4]}


@pytest.mark.parametrize(
    ("body", "srclang", "source", "message"),
    [
        (unit(en="a", de="b", fr="c"), "en", "", r"x\.tmx:4: .* which two languages .* it has de, en, fr"),
        (unit(en="a", de="b") + unit(en="a", fr="c"), "en", "", r"x\.tmx:5: .* which two languages .* de, en, fr"),
        (unit(en="a", de="b"), "*all*", "", r"which language is the source; it has de, en"),
        (unit(en="a", de="b"), "", "", r"which language is the source; it has de, en"),
        (unit(en="a", de="b"), "en", "fr", r"no unit has a text in fr; it has de, en"),
    ],
)
def test_unclear_languages_are_listed(tmp_path: Path, body: str, srclang: str, source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(memory(tmp_path / "x.tmx", body, srclang, source, "de" if source else ""))


def test_a_unit_can_declare_its_source_language(tmp_path: Path) -> None:
    assert read(memory(tmp_path / "x.tmx", unit("de", en="a", de="b"), "*all*")) == [("b", "a", 4)]


def test_codes_are_removed_with_their_text(tmp_path: Path) -> None:
    text = (
        'x <bpt i="1">{\\b <sub>no</sub></bpt><hi>bold <hi>and</hi></hi><ept i="1">}</ept> <ph>no</ph>y'
        '<it pos="begin">no</it><ut>no</ut> z <o:o xmlns:o="urn:o">no<seg>no</seg></o:o>!'
    )
    assert read(memory(tmp_path / "x.tmx", unit(en=text, de="b"))) == [("x bold and y z !", "b", 4)]


def test_text_outside_of_segments_is_ignored(tmp_path: Path) -> None:
    body = unit(en="a", de="b").replace("<tuv", "<note>no</note><prop type='x'>no</prop>no<tuv")
    assert read(memory(tmp_path / "x.tmx", f"<seg>no</seg>{body}")) == [("a", "b", 4)]


def test_a_unit_inside_another_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.tmx:5: a <tu> is inside another"):
        read(memory(tmp_path / "x.tmx", f"<tu>\n{unit(en='a', de='b')}</tu>"))


def test_too_many_texts_in_a_unit(tmp_path: Path) -> None:
    body = "<tu>" + '<tuv xml:lang="en"><seg>a</seg></tuv>' * 1001 + "</tu>"
    with pytest.raises(DataError, match="more than 1,000 <tuv>"):
        read(memory(tmp_path / "x.tmx", body))


@pytest.mark.parametrize(("name", "units"), [("cpio", 317), ("gnome-photos", 225), ("installation-guide-welcome", 76)])
def test_real_memories(name: str, units: int) -> None:
    path = shared("formats") / f"{name}.en-de.tmx"
    assert path.read_text(encoding="utf-8").count("<tu ") == units
    for sides in (Sides(), Sides("en", "de")):
        corpus = BilingualFile(path, sides)
        assert (len(list(corpus)), corpus.skipped.count) == (units, 0)
