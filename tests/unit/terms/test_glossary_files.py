"""Glossaries are read from TSV, CSV and TBX."""

from __future__ import annotations

from pathlib import Path

import pytest

from regard.errors import DataError
from regard.terms.glossary import Glossary
from regard.terms.glossary_files import read_glossary

TBX_2 = """<?xml version="1.0"?><!DOCTYPE martif SYSTEM "TBXcoreStructV02.dtd">
<martif type="TBX" xml:lang="en"><text><body>
<termEntry id="1"><langSet xml:lang="en-US"><tig><term>hard <hi>disk</hi></term></tig>
<tig><term>hard drive</term></tig></langSet>
<langSet xml:lang="de"><tig><term>Platte</term><termNote type="administrativeStatus">deprecatedTerm-admn-sts</termNote>
</tig><tig><term>Festplatte</term></tig></langSet></termEntry>
<termEntry id="2"><langSet xml:lang="en"><tig><term>mouse</term></tig></langSet></termEntry>
</body></text></martif>"""
STATUS = '<termNote type="administrativeStatus">deprecatedTerm-admn-sts</termNote>'
TBX_3 = """<tbx type="TBX-Basic" xmlns="urn:iso:std:iso:30042:ed-2"><text><body>
<conceptEntry id="1"><langSec xml:lang="de"><termSec><term>Laufwerk</term></termSec>
<termSec><term>Festplatte</term><termNote type="administrativeStatus">preferredTerm-admn-sts</termNote></termSec>
</langSec><langSec xml:lang="en"><termSec><term>hard disk</term></termSec></langSec></conceptEntry>
</body></text></tbx>"""


def read(path: Path, text: str, languages: tuple[str, str] = ("en", "de")) -> Glossary:
    path.write_text(text, encoding="utf-8")
    return read_glossary(path, *languages)


def pairs(glossary: Glossary) -> list[tuple[str, str]]:
    return [(entry.source, entry.target) for entry in glossary.entries]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.tsv", "house\tHaus\n\nmouse\tMaus\n", [("house", "Haus"), ("mouse", "Maus")]),
        ("a.tsv", "target\tnote\tsource\nHaus\tx\thouse\n", [("house", "Haus")]),
        ("a.csv", '"a, ""b""",c\nd,e,note\n', [('a, "b"', "c"), ("d", "e")]),
        ("a.csv", "DE,en-GB\nHaus,house\n", [("house", "Haus")]),
        ("a.tbx", TBX_2, [("hard disk", "Festplatte"), ("hard drive", "Festplatte")]),
        ("a.tbx", TBX_3, [("hard disk", "Festplatte")]),
    ],
)
def test_formats(tmp_path: Path, name: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(read(tmp_path / name, text)) == expected


def concepts(*terms: str) -> str:
    """Return a TBX file with a concept for each text such as `de Hund, en dog`."""
    entries = [
        "".join(
            f'<langSec xml:lang="{language}"><termSec><term>{term}</term></termSec></langSec>'
            for language, term in (pair.split() for pair in concept.split(","))
        )
        for concept in terms
    ]
    return f"<tbx>{''.join(f'<conceptEntry>{entry}</conceptEntry>' for entry in entries)}</tbx>"


@pytest.mark.parametrize(
    ("languages", "terms", "expected"),
    [
        (("en", ""), ["de Hund, en dog"], [("dog", "Hund")]),
        (("", "de"), ["de Hund, en dog"], [("dog", "Hund")]),
        (("", "en"), ["en dog, de Hund"], [("Hund", "dog")]),
        (("en", ""), ["en-US dog, de Hund", "de-AT Maus, en-GB mouse"], [("dog", "Hund"), ("mouse", "Maus")]),
        (("", ""), ["en dog, de Hund", "de Maus, en mouse"], [("dog", "Hund"), ("mouse", "Maus")]),
        (("", ""), ["en cat", "de Hund, en dog"], [("dog", "Hund")]),
        (("", ""), ["en-US dog, de Hund", "de Maus, en-GB mouse"], [("dog", "Hund"), ("mouse", "Maus")]),
        (("", ""), ["zh-CN a, zh-TW b"], [("a", "b")]),
    ],
)
def test_tbx_has_one_direction(
    tmp_path: Path, languages: tuple[str, str], terms: list[str], expected: list[tuple[str, str]]
) -> None:
    assert pairs(read(tmp_path / "a.tbx", concepts(*terms), languages)) == expected


@pytest.mark.parametrize(
    ("languages", "terms"),
    [(("", ""), ["en dog, de Hund", "fr chien, de Hund"]), (("en", ""), ["de Hund, fr chien"]), (("", ""), ["en dog"])],
)
def test_tbx_with_unclear_languages(tmp_path: Path, languages: tuple[str, str], terms: list[str]) -> None:
    with pytest.raises(DataError, match="not clear which languages"):
        read(tmp_path / "a.tbx", concepts(*terms), languages)


@pytest.mark.parametrize("prefix", ["min:", "x:", ""])
def test_the_status_of_a_term_may_be_an_element(tmp_path: Path, prefix: str) -> None:
    text = TBX_2.replace("martif", "tbx").replace(
        "<tbx ", '<tbx xmlns:min="http://www.tbxinfo.net/ns/min" xmlns:x="y" '
    )
    status = f"<{prefix}administrativeStatus>deprecatedTerm-admn-sts</{prefix}administrativeStatus>"
    assert STATUS in text
    assert pairs(read(tmp_path / "a.tbx", text.replace(STATUS, status))) == [
        ("hard disk", "Festplatte"),
        ("hard drive", "Festplatte"),
    ]


def test_problems_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    glossary = read(path, "house\tHaus\nmouse\nhouse\tHeim\n\tMaus\nx\t\x00\n")
    assert pairs(glossary) == [("house", "Haus")]
    assert sorted(glossary.problems) == [
        f"{path}:2: there is no column 2: skipped",
        f"{path}:3: 'house' is 'Haus' in line 1, not 'Heim': skipped",
        f"{path}:4: the source of 'Maus' is empty: skipped",
        f"{path}:5: a term has a control character: skipped",
    ]
    assert read(tmp_path / "b.tbx", TBX_2).problems == (f"{tmp_path / 'b.tbx'}:7: there is no term in de: skipped",)


ENTITY = '<!DOCTYPE tbx [<!ENTITY a "aaaa">]><tbx><text>&a;</text></tbx>'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "a\tb", "a glossary is a file with the suffix .tsv, .csv, .tbx"),
        ("a.tsv", "", "the file is empty"),
        ("a.tsv", "a\n", "the glossary has no entry; line 1: there is no column 2: skipped"),
        ("a.csv", '"a\n', "a quote is never closed"),
        ("a.tbx", "<tmx/>", "the root element is <tmx>, not <tbx>"),
        ("a.tbx", ENTITY, "entities"),
        ("a.tbx", "<tbx><text>", "no element found"),
    ],
)
def test_invalid_files_are_errors(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, text)
    assert message in f"{caught.value}"
    assert name in str(caught.value.where)


def test_without_languages_a_tbx_file_must_have_two(tmp_path: Path) -> None:
    assert pairs(read(tmp_path / "a.tbx", TBX_3, ("", ""))) == [
        ("Laufwerk", "hard disk"),
        ("Festplatte", "hard disk"),
    ]
    with pytest.raises(DataError, match="not clear which languages"):
        read(tmp_path / "b.tbx", TBX_2.replace('xml:lang="en-US"', 'xml:lang="fr"'), ("", "de"))
