"""`regard corrections`: what it shows, and that the exports are read back."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.end_to_end.helpers import call, refused

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.corrections import Correction, CorrectionStore
from regard.corpus.formats.sides import Sides


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = CorrectionStore(tmp_path / "corrections.sqlite", create=True)
    store.add(Correction('A <b> & "dog".\nTwo.', "Ein\tHund\x01.", "en", "de", "Der Hund.", "small", 7, "page"))
    store.add(Correction("One.", "Eins.", "en", "de"))
    store.add(Correction("Eins.", "One.", "de", "en"))
    return store.path


def test_corrections_are_shown(store: Path) -> None:
    finished = call("corrections", store)
    assert finished.code == 0, finished.err
    lines = finished.out.decode().splitlines()
    assert lines[:3] == ["3 corrections", "en-de: 2", "de-en: 1"]
    assert "en-de  small, step 7  page" in lines[4]
    assert lines[5:8] == ['  source      A <b> & "dog". Two.', "  translation Der Hund.", "  corrected   Ein Hund\x01."]
    assert len(call("corrections", store, "--last", "1", "--after", "1").out.decode().splitlines()) == 7


@pytest.mark.parametrize("name", ["out.tmx", "out.tsv", "out.tmx.gz"])
def test_exports_are_read_back(store: Path, name: str, tmp_path: Path) -> None:
    finished = call("corrections", store, "-o", tmp_path / name)
    assert finished.code == 0 and f"3 corrections written to {tmp_path / name}" in finished.err
    sides = Sides("en", "de") if "tmx" in name else Sides(source_column="source", target_column="target")
    pairs = [(pair.source, pair.target) for pair in BilingualFile(tmp_path / name, sides)]
    target = "Ein\tHund." if "tmx" in name else "Ein Hund\x01."
    assert pairs[:2] == [('A <b> & "dog". Two.', target), ("One.", "Eins.")]
    assert len(pairs) == 3  # a unit of TMX has no direction
    assert "\n1 correction written" in "\n" + call("corrections", store, "--after", "2", "-o", tmp_path / name).err


def test_the_tmx_has_what_is_known(store: Path, tmp_path: Path) -> None:
    call("corrections", store, "-o", tmp_path / "out.tmx")
    root = ElementTree.parse(tmp_path / "out.tmx").getroot()
    header = root.find("header")
    assert header is not None
    assert {"creationtool", "creationtoolversion", "segtype", "o-tmf", "adminlang", "srclang", "datatype"} <= {
        *header.attrib
    }
    first, second, _ = root.iter("tu")
    assert {prop.get("type"): prop.text for prop in first.iter("prop")} == {
        "x-translation": "Der Hund.",
        "x-model": "small",
        "x-step": "7",
        "x-origin": "page",
    }
    assert [child.tag for child in second] == ["tuv", "tuv"]
    assert second.get("tuid") == "2" and second.get("creationdate", "").endswith("Z")


CONTENT_MODELS = """
<!ELEMENT tmx (header, body)>
<!ATTLIST tmx version CDATA #FIXED "1.4">
<!ELEMENT header EMPTY>
<!ATTLIST header creationtool CDATA #REQUIRED creationtoolversion CDATA #REQUIRED o-tmf CDATA #REQUIRED
  segtype (block|paragraph|sentence|phrase) #REQUIRED adminlang CDATA #REQUIRED srclang CDATA #REQUIRED
  datatype CDATA #REQUIRED>
<!ELEMENT body (tu*)>
<!ELEMENT tu (prop*, tuv+)>
<!ATTLIST tu tuid CDATA #IMPLIED creationdate CDATA #IMPLIED srclang CDATA #IMPLIED>
<!ELEMENT prop (#PCDATA)>
<!ATTLIST prop type CDATA #REQUIRED>
<!ELEMENT tuv (seg)>
<!ATTLIST tuv xml:lang CDATA #REQUIRED>
<!ELEMENT seg (#PCDATA)>
"""
"""What TMX 1.4 allows of the elements that are written."""


def test_the_tmx_is_valid_and_reads_like_the_store(tmp_path: Path) -> None:
    etree = pytest.importorskip("lxml.etree")
    store = CorrectionStore(tmp_path / "corrections.sqlite", create=True)
    store.add(Correction("One. Two.\n\nThree.", "Eins. Zwei.\nDrei.", "en", "pt-br", "Ein. Zwo.\n\nDrei", "a&b", 7))
    store.add(Correction("One.\nTwo.", "Eins und zwei.", "en", "pt-br", "Eins.\nZwei.", origin="page"))
    store.add(Correction("\u2028 One \U0001f600 <\ud7ff>", "Eins", "en", "pt-br"))
    call("corrections", store.path, "-o", tmp_path / "out.tmx")
    document = etree.parse(tmp_path / "out.tmx")
    assert etree.DTD(StringIO(CONTENT_MODELS)).validate(document)
    stored, exported = (
        [(pair.source, pair.target) for pair in BilingualFile(path, Sides("en", "pt-br"))]
        for path in (store.path, tmp_path / "out.tmx")
    )
    assert stored == exported and stored[:2] == [("One. Two.", "Eins. Zwei."), ("Three.", "Drei.")]
    assert [unit.get("tuid") for unit in document.iter("tu")] == ["1.1", "1.2", "2", "3"]
    translations = [prop.text for prop in document.iter("prop") if prop.get("type") == "x-translation"]
    assert translations == ["Ein. Zwo.", "Drei", "Eins.\nZwei."]
    call("corrections", store.path, "--after", "3", "-o", tmp_path / "none.tmx")
    assert etree.DTD(StringIO(CONTENT_MODELS)).validate(etree.parse(tmp_path / "none.tmx"))


def test_errors(store: Path, tmp_path: Path) -> None:
    refused(call("corrections", tmp_path / "none.sqlite"), "there is no such file")
    refused(call("corrections", store, "-o", tmp_path / "out.docx"), "the formats are TMX and TSV")
    refused(call("serve", tmp_path, "--corrections", tmp_path / "store.db"), "neither a run")
