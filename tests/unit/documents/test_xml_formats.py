from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.unit.documents.scripted import fill, open_bytes, uppercase

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
    result = fill(".xlf", data)
    expected = (
        data.decode()
        .replace("shut</source>", f"shut</source>\n    <target{state}>OPEN &amp; SHUT</target>")
        .replace('<target state="new" />', f"<target{state}>TWO</target>")
    )
    assert result.data.decode() == expected
    assert (result.entries, result.filled, result.already_translated, result.untranslated) == (4, 2, 1, 1)
    assert result.reports[0].reason == 'it is marked translate="no"'


def test_xliff_2() -> None:
    data = (
        '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en"><file id="f"><unit id="u">'
        '<segment id="s"><source>one <pc id="1">two</pc></source></segment>'
        "<ignorable><source> </source></ignorable>"
        '<segment state="initial"><source>three<ph id="2"/></source><target></target></segment></unit></file></xliff>'
    )
    expected = (
        data.replace('srcLang="en"', 'srcLang="en" trgLang="de"')
        .replace('<segment id="s">', '<segment id="s" state="translated">')
        .replace('<segment state="initial">', '<segment state="translated">')
        .replace("</pc></source>", '</pc></source><target>ONE <pc id="1">TWO</pc></target>')
        .replace("<target></target>", '<target>THREE<ph id="2"/></target>')
    )
    assert fill(".xlf", data.encode()).data.decode() == expected


def test_prefixes_and_encodings_stay_and_the_language_is_added() -> None:
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><x:xliff xmlns:x="urn:x" version="1.2"><x:file original="ö">'
        "<x:body><x:trans-unit><x:source>open</x:source></x:trans-unit></x:body></x:file></x:xliff>"
    )
    output = fill(".xlf", text.encode("latin-1"), lambda _: "größer €").data
    assert 'original="ö" target-language="de">'.encode("latin-1") in output
    assert "größer &#8364;</x:target>".encode("latin-1") in output
    utf16 = text.replace("ISO-8859-1", "UTF-16").encode("utf-16")
    assert "größer €</x:target>" in fill(".xlf", utf16, lambda _: "größer €").data.decode("utf-16")


def test_tmx() -> None:
    text = (
        '<tmx version="1.4">\n<header srclang="en-US"/>\n<body>\n<tu>\n  <tuv xml:lang="en-US">\n    '
        '<seg>open <hi>it</hi></seg>\n  </tuv>\n</tu>\n<tu><tuv xml:lang="EN"><seg>x y</seg></tuv>'
        '<tuv xml:lang="de-DE"><seg>z</seg></tuv></tu>\n<tu><tuv xml:lang="fr"><seg>o</seg></tuv></tu>\n</body></tmx>'
    )
    result = fill(".tmx", text.encode())
    new = '\n  <tuv xml:lang="de" creationtool="regard">\n    <seg>OPEN <hi>IT</hi></seg>\n  </tuv>'
    assert result.data.decode() == text.replace("</tuv>\n</tu>", f"</tuv>{new}\n</tu>")
    assert (result.entries, result.filled, result.already_translated, result.untranslated) == (3, 1, 1, 1)
    with pytest.raises(DataError, match="which language"):
        open_bytes(".tmx", text.encode(), languages=LanguagePair("en", ""))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><xliff version="1.2"/>', "declares entities"),
        (b"<xliff version='1.2'>\n<file>\n</xliff>", "xlf:3: this is not well-formed XML: mismatched tag"),
        (b"<a/>", "no <xliff> element"),
        (b"", "not well-formed XML"),
        (b"\xff\xfe<", "not UTF-16"),
        (b"<a>" * 1000, "more than 256 elements"),
        (b'<!DOCTYPE x [<!ATTLIST x\nversion CDATA "1.2">]><x/>', "a.xlf:2: the file declares entities or attributes"),
        (b"<xliff version='3.0'><file><unit/></file></xliff>", "not an XLIFF 1 or 2 file"),
    ],
)
def test_an_invalid_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_bytes(".xlf", data)


def test_comments_and_elements_in_a_source_are_kept() -> None:
    data = xliff('<trans-unit><source>open<!-- n --> the <x id="1"/><![CDATA[<b> &]]> &ent; end</source></trans-unit>')
    output = fill(".xlf", b'<!DOCTYPE xliff SYSTEM "x.dtd">' + data.split(b"\n", 1)[1]).data.decode()
    target = output.partition("<target")[2]
    for markup in ("<!-- n -->", '<x id="1"/>', "&lt;b&gt; &amp;", "&ent;"):
        assert target.count(markup) == 1


@pytest.mark.skipif(not FORMATS.exists(), reason=f"{FORMATS} does not exist")
@pytest.mark.parametrize("name", ["cpio", "gnome-photos", "installation-guide-welcome"])
@pytest.mark.parametrize("suffix", [".xlf", ".tmx"])
def test_real_files_without_their_targets(name: str, suffix: str) -> None:
    data = (FORMATS / f"{name}.en-de{suffix}").read_bytes()
    document = open_bytes(suffix, data)
    assert document.fill([None] * len(document.segments)) == data
    pattern = rb"\n *<target.*?</target>" if suffix == ".xlf" else rb'\n *<tuv xml:lang="de">.*?</tuv>'
    empty = re.sub(pattern, b"", data, flags=re.DOTALL)
    result = fill(suffix, empty, uppercase)
    assert result.filled > 70
    assert [report.reason for report in result.reports] == (
        ["it is the header of a catalogue"] if suffix == ".xlf" else []
    )
    ElementTree.fromstring(result.data)
    ours = rb"\n *<target state.*?</target>" if suffix == ".xlf" else rb'\n *<tuv xml:lang="de" creationtool.*?</tuv>'
    assert re.sub(ours, b"", result.data, flags=re.DOTALL) == empty
