from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.unit.documents.scripted import filled, loud, opened

from regard.documents.document import LanguagePair
from regard.errors import DataError

FORMATS = Path(__file__).parents[4] / "shared" / "data" / "formats"


def xliff(units: str, version: str = "1.2", file: str = 'source-language="en" target-language="de"') -> bytes:
    text = f'<?xml version="1.0"?>\n<xliff version="{version}"><file {file}><body>\n{units}\n</body></file></xliff>'
    return text.encode()


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("1.1", ' state="needs-review-translation"'),
        ("1.2", ' state="needs-review-translation" state-qualifier="mt-suggestion"'),
    ],
)
def test_xliff_1(version: str, state: str) -> None:
    data = xliff(
        '  <trans-unit id="1">\n    <source>open &amp; shut</source>\n  </trans-unit>\n'
        '  <trans-unit id="2"><source>two</source><target state="new" /></trans-unit>\n'
        '  <trans-unit id="3"><source>three</source><target>drei</target></trans-unit>\n'
        '  <trans-unit id="4" translate="no"><source>four</source></trans-unit>',
        version,
    )
    outcome = filled(".xlf", data)
    wanted = (
        data.decode()
        .replace("shut</source>", f"shut</source>\n    <target{state}>OPEN &amp; SHUT</target>")
        .replace('<target state="new" />', f"<target{state}>TWO</target>")
    )
    assert outcome.data.decode() == wanted
    assert (outcome.entries, outcome.filled, outcome.already_translated, outcome.untranslated) == (4, 2, 1, 1)
    assert outcome.reports[0].reason == 'it says translate="no"'


def test_xliff_2() -> None:
    data = (
        '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en"><file id="f"><unit id="u">'
        '<segment id="s"><source>one <pc id="1">two</pc></source></segment>'
        "<ignorable><source> </source></ignorable>"
        '<segment state="initial"><source>three<ph id="2"/></source><target></target></segment></unit></file></xliff>'
    )
    wanted = (
        data.replace('srcLang="en"', 'srcLang="en" trgLang="de"')
        .replace('<segment id="s">', '<segment id="s" state="translated">')
        .replace('<segment state="initial">', '<segment state="translated">')
        .replace("</pc></source>", '</pc></source><target>ONE <pc id="1">TWO</pc></target>')
        .replace("<target></target>", '<target>THREE<ph id="2"/></target>')
    )
    assert filled(".xlf", data.encode()).data.decode() == wanted


def test_prefixes_languages_and_encodings_stay() -> None:
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><x:xliff xmlns:x="urn:x" version="1.2"><x:file original="ö">'
        "<x:body><x:trans-unit><x:source>open</x:source></x:trans-unit></x:body></x:file></x:xliff>"
    )
    said = filled(".xlf", text.encode("latin-1"), lambda _: "größer €").data
    assert 'original="ö" target-language="de">'.encode("latin-1") in said
    assert "größer &#8364;</x:target>".encode("latin-1") in said
    utf16 = text.replace("ISO-8859-1", "UTF-16").encode("utf-16")
    assert "größer €</x:target>" in filled(".xlf", utf16, lambda _: "größer €").data.decode("utf-16")


def test_tmx() -> None:
    text = (
        '<tmx version="1.4">\n<header srclang="en-US"/>\n<body>\n<tu>\n  <tuv xml:lang="en-US">\n    '
        '<seg>open <hi>it</hi></seg>\n  </tuv>\n</tu>\n<tu><tuv xml:lang="EN"><seg>x y</seg></tuv>'
        '<tuv xml:lang="de-DE"><seg>z</seg></tuv></tu>\n<tu><tuv xml:lang="fr"><seg>o</seg></tuv></tu>\n</body></tmx>'
    )
    outcome = filled(".tmx", text.encode())
    new = '\n  <tuv xml:lang="de" creationtool="regard">\n    <seg>OPEN <hi>IT</hi></seg>\n  </tuv>'
    assert outcome.data.decode() == text.replace("</tuv>\n</tu>", f"</tuv>{new}\n</tu>")
    assert (outcome.entries, outcome.filled, outcome.already_translated, outcome.untranslated) == (3, 1, 1, 1)
    with pytest.raises(DataError, match="which language"):
        opened(".tmx", text.encode(), languages=LanguagePair("en", ""))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><xliff version="1.2"/>', "declares an entity"),
        (b"<xliff version='1.2'>\n<file>\n</xliff>", "xlf:3: this is not well-formed XML: mismatched tag"),
        (b"<a/>", "no element <xliff>"),
        (b"", "not well-formed XML"),
        (b"\xff\xfe<", "not UTF-16"),
        (b"<a>" * 1000, "more than 256 elements"),
        (b'<!DOCTYPE x [<!ATTLIST x\nversion CDATA "1.2">]><x/>', "a.xlf:2: the file declares an entity or attributes"),
        (b"<xliff version='3.0'><file><unit/></file></xliff>", "no XLIFF 1 or 2"),
    ],
)
def test_bad_files_are_told(data: bytes, what: str) -> None:
    with pytest.raises(DataError, match=what):
        opened(".xlf", data)


def test_what_is_not_text_is_kept() -> None:
    data = xliff('<trans-unit><source>open<!-- n --> the <x id="1"/><![CDATA[<b> &]]> &ent; end</source></trans-unit>')
    said = filled(".xlf", b'<!DOCTYPE xliff SYSTEM "x.dtd">' + data.split(b"\n", 1)[1]).data.decode()
    target = said.partition("<target")[2]
    for kept in ("<!-- n -->", '<x id="1"/>', "&lt;b&gt; &amp;", "&ent;"):
        assert target.count(kept) == 1


@pytest.mark.skipif(not FORMATS.exists(), reason=f"{FORMATS} is not here")
@pytest.mark.parametrize("name", ["cpio", "gnome-photos", "installation-guide-welcome"])
@pytest.mark.parametrize("ending", [".xlf", ".tmx"])
def test_real_files_without_their_targets(name: str, ending: str) -> None:
    data = (FORMATS / f"{name}.en-de{ending}").read_bytes()
    there = opened(ending, data)
    assert there.fill([None] * len(there.segments)) == data
    pattern = rb"\n *<target.*?</target>" if ending == ".xlf" else rb'\n *<tuv xml:lang="de">.*?</tuv>'
    empty = re.sub(pattern, b"", data, flags=re.DOTALL)
    outcome = filled(ending, empty, loud)
    assert outcome.filled > 70
    assert [report.reason for report in outcome.reports] == (["it is a catalogue's header"] if ending == ".xlf" else [])
    ElementTree.fromstring(outcome.data)
    ours = rb"\n *<target state.*?</target>" if ending == ".xlf" else rb'\n *<tuv xml:lang="de" creationtool.*?</tuv>'
    assert re.sub(ours, b"", outcome.data, flags=re.DOTALL) == empty
