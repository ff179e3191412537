"""The languages of a run come from its file, if neither its name nor an option says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from regard.corpus.corrections import Correction, CorrectionStore
from regard.corpus.declared_languages import declared_languages
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

UNIT = '<tu><tuv xml:lang="en-US"><seg>dog</seg></tuv><tuv xml:lang="{}"><seg>Hund</seg></tuv></tu>'
TMX = '<tmx version="1.4"><header srclang="{}"/><body>{}</body></tmx>'
XLIFF = (
    '<xliff version="1.2"><file original="x" datatype="plaintext" source-language="en-GB" target-language="pt-BR">'
    "<body><trans-unit id='1'><source>dog</source><target>cachorro</target></trans-unit></body></file></xliff>"
)
PO = 'msgid ""\nmsgstr "Language: de_AT\\n"\n\nmsgid "dog"\nmsgstr "Hund"\n'


@pytest.mark.parametrize(
    ("name", "text", "sides", "languages"),
    [
        ("a.tmx", TMX.format("en-US", UNIT.format("de-DE")), Sides(), ("en", "de")),
        ("a.tmx", TMX.format("en-US", UNIT.format("de-DE")), Sides(source_language="de"), ("de", "en")),
        ("a.xlf", XLIFF, Sides(), ("en", "pt")),
        ("a.xliff", XLIFF, Sides(target_language="en"), ("pt", "en")),
        ("a.po", PO, Sides(), ("", "de")),
        ("a.po", 'msgid "dog"\nmsgstr "Hund"\n', Sides(), ("", "")),
        ("a.tsv", "dog\tHund\n", Sides(), ("", "")),
    ],
)
def test_a_file_says_its_languages(
    name: str, text: str, sides: Sides, languages: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert declared_languages(tmp_path / name, sides) == languages


def test_a_third_language_is_an_error(tmp_path: Path) -> None:
    units = UNIT.format("de-DE") + UNIT.format("fr-FR")
    (tmp_path / "a.tmx").write_text(TMX.format("en", units), encoding="utf-8")
    with pytest.raises(DataError, match="not clear which two languages"):
        declared_languages(tmp_path / "a.tmx", Sides())


def test_a_store_says_its_languages_if_they_are_the_only_ones(tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "a.sqlite", create=True)
    store.add(Correction("dog", "Hund", "en", "de"))
    assert declared_languages(store.path, Sides()) == ("en", "de")
    store.add(Correction("dog", "chien", "en", "fr"))
    assert declared_languages(store.path, Sides()) == ("", "")
