"""XLIFF: units of 1.x and segments of 2.x, by their states, languages and inline elements."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shared_data import shared

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

XLIFF_1 = '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">\n'
XLIFF_2 = '<xliff version="2.0" srcLang="en" trgLang="de" xmlns="urn:oasis:names:tc:xliff:document:2.0">\n'

YES, INITIAL, FINAL = 'translate="yes"', 'state="initial"', 'state="final"'


def exchange(path: Path, text: str, source: str = "", target: str = "") -> BilingualFile:
    path.write_text(text, encoding="utf-8")
    return BilingualFile(path, Sides(source, target))


def file(units: str, source: str = "en-US", target: str = "de", more: str = "") -> str:
    attribute = f' target-language="{target}"' if target else ""
    return f'<file original="x" source-language="{source}"{attribute} {more}><body>\n{units}</body></file>'


def unit(source: str, target: str, more: str = "", state: str = "") -> str:
    attribute = f' state="{state}"' if state else ""
    return f"<trans-unit {more}><source>{source}</source><target{attribute}>{target}</target></trans-unit>\n"


def segment(source: str, target: str, more: str = "") -> str:
    return f"<segment {more}><source>{source}</source><target>{target}</target></segment>\n"


def read(corpus: BilingualFile) -> list[tuple[str, str, int]]:
    return [(pair.source, pair.target, pair.line) for pair in corpus]


@pytest.mark.parametrize("root", ['<xliff version="1.0">\n', XLIFF_1.replace("1.2", "1.1"), XLIFF_1])
def test_units_of_1(tmp_path: Path, root: str) -> None:
    corpus = exchange(tmp_path / "x.xlf", f"{root}{file(unit('a', 'b') + unit('c', 'd'))}</xliff>", "en", "de")
    assert read(corpus) == [("a", "b", 3), ("c", "d", 4)]


def test_a_prefix_of_the_namespace_and_foreign_elements(tmp_path: Path) -> None:
    text = (
        '<x:xliff version="1.2" xmlns:x="urn:oasis:names:tc:xliff:document:1.2"><x:file source-language="en"><x:body>'
        "<trans-unit><source>no</source><target>no</target></trans-unit>"
        "<x:trans-unit><x:source>a</x:source><x:target>b</x:target></x:trans-unit></x:body></x:file></x:xliff>"
    )
    assert read(exchange(tmp_path / "x.xliff", text)) == [("a", "b", 1)]


def test_skipped_units_of_1(tmp_path: Path) -> None:
    units = (
        unit("a", "b", 'approved="no"')
        + unit("a", "b", 'restype="x-gettext-domain-header"')
        + unit("a", "b", 'translate="no"')
        + "<trans-unit><source>a</source></trans-unit>\n"
        + unit("a", " ")
        + unit("a", "b", state="needs-review-translation")
        + unit("a", "b", 'approved="yes"', state="new")
        + unit("c", "d", state="final")
        + unit("e", "f", state="translated")
        + unit("", "x")
    )
    corpus = exchange(tmp_path / "x.xlf", f"{XLIFF_1}{file(units)}</xliff>")
    assert [line for _, _, line in read(corpus)] == [3, 10, 11]
    assert corpus.skipped.reasons() == {
        "it is the header of a catalogue": [4],
        "it is not to be translated": [5],
        "it is not translated": [6, 7],
        "its translation is unfinished, by its state": [8, 9],
        "the source is blank": [12],
    }


def test_translate_is_inherited_from_a_group(tmp_path: Path) -> None:
    units = f"<group translate='no'>{unit('a', 'b')}{unit('c', 'd', YES)}</group>{unit('e', 'f')}"
    assert [pair[:2] for pair in read(exchange(tmp_path / "x.xlf", f"{XLIFF_1}{file(units)}</xliff>"))] == [
        ("c", "d"),
        ("e", "f"),
    ]


def test_suggestions_are_ignored(tmp_path: Path) -> None:
    inner = (
        "<seg-source><mrk mtype='seg' mid='0'>no</mrk></seg-source>"
        "<alt-trans><source>no</source><target state='new'>no</target></alt-trans></trans-unit>"
    )
    units = unit("<mrk mid='0' mtype='seg'>a</mrk>", "b").replace("</trans-unit>", inner)
    assert read(exchange(tmp_path / "x.xlf", f"{XLIFF_1}{file(units)}</xliff>")) == [("a", "b", 3)]


def test_inline_elements_of_1(tmp_path: Path) -> None:
    source = 'a <g id="1">b <mrk mtype="term">c</mrk></g><x id="2"/> <bpt id="3">&lt;b></bpt>d<ept id="3">no</ept>'
    target = 'e<bx id="1"/>f<ex id="1"/><ph id="4">no <sub>no</sub></ph> <it id="5" pos="open">no</it>g'
    corpus = exchange(tmp_path / "x.xlf", f"{XLIFF_1}{file(unit(source, target))}</xliff>")
    assert read(corpus) == [("a b c d", "ef g", 3)]


def test_segments_of_2(tmp_path: Path) -> None:
    inline = '<pc id="1">c</pc><ph id="2"/> <sc id="3"/>d<ec startRef="3"/><cp hex="001A"/>'
    body = (
        '<file id="f"><notes><note>no</note></notes><unit id="u"><originalData><data id="d">no</data></originalData>\n'
        f"{segment('a', 'b')}<ignorable><source>no</source><target>no</target></ignorable>\n"
        f"{segment(inline, '<mrk>e</mrk>')}"
        '<mtc:matches xmlns:mtc="urn:oasis:names:tc:xliff:matches:2.0"><mtc:match>'
        "<source>no</source><target>no</target></mtc:match></mtc:matches></unit>"
        f"<unit id='v' translate='no'>{segment('a', 'b')}</unit>\n"
        f"<unit id='w'>{segment('a', 'b', INITIAL)}{segment('f', 'g', FINAL)}"
        "<segment><source>a</source></segment></unit></file></xliff>"
    )
    corpus = exchange(tmp_path / "x.xlf", XLIFF_2 + body, "en", "de")
    assert read(corpus) == [("a", "b", 3), ("c d", "e", 5), ("f", "g", 9)]
    assert corpus.skipped.reasons() == {
        "it is not to be translated": [6],
        "its translation is unfinished, by its state": [8],
        "it is not translated": [10],
    }


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("", "", ("a", "b")),
        ("en", "de", ("a", "b")),
        ("de", "en", ("b", "a")),
        ("", "en", ("b", "a")),
        ("de", "", ("b", "a")),
    ],
)
def test_either_side_may_be_the_source(tmp_path: Path, source: str, target: str, expected: tuple[str, str]) -> None:
    for attribute in ("de", ""):
        corpus = exchange(
            tmp_path / "x.xlf", f"{XLIFF_1}{file(unit('a', 'b'), target=attribute)}</xliff>", source, target
        )
        assert read(corpus) == [(*expected, 3)]


def test_files_in_other_languages_are_skipped_or_reported(tmp_path: Path) -> None:
    text = f"{XLIFF_1}{file(unit('a', 'b'))}{file(unit('c', 'd'), target='fr')}</xliff>"
    corpus = exchange(tmp_path / "x.xlf", text, "en", "fr")
    assert read(corpus) == [("c", "d", 5)]
    assert corpus.skipped.reasons() == {"its file is in other languages": [3]}
    with pytest.raises(DataError, match=r"x\.xlf:4: .* which languages .* en-US to de, en-US to fr"):
        read(exchange(tmp_path / "x.xlf", text))
    with pytest.raises(DataError, match="it has no en to it; it has en-US to de, en-US to fr"):
        read(exchange(tmp_path / "x.xlf", text, "en", "it"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<xliff version="3.0"/>', "version 3.0 is not supported"),
        ("<xliff/>", r"version \(unknown\)"),
        ('<tmx version="1.4"/>', "the root element is <tmx>, not <xliff>"),
        (
            f"{XLIFF_1}{file('<trans-unit>' + unit('a', 'b') + '</trans-unit>')}</xliff>",
            ":3: a <trans-unit> is inside another",
        ),
        (XLIFF_1, "no pair with text|not well-formed"),
    ],
)
def test_invalid_xliff(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(exchange(tmp_path / "x.xlf", text))


@pytest.mark.parametrize(
    ("name", "pairs", "skipped"),
    [
        ("cpio", 320, {"header": 1, "state": 3, "not translated": 1}),
        ("gnome-photos", 226, {"header": 1}),
        ("installation-guide-welcome", 77, {"header": 1}),
    ],
)
def test_real_files(name: str, pairs: int, skipped: dict[str, int]) -> None:
    path = shared("formats") / f"{name}.en-de.xlf"
    assert path.read_text(encoding="utf-8").count("<trans-unit ") == pairs + sum(skipped.values())
    corpus = BilingualFile(path, Sides("en", "de"))
    assert (len(list(corpus)), corpus.skipped.count) == (pairs, sum(skipped.values()))
    for reason, count in skipped.items():
        assert any(sentence.startswith(f"{count} ") and reason in sentence for sentence in corpus.skipped.sentences())
