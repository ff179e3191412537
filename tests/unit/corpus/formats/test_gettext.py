"""gettext catalogues, against polib as another reader, and against msgfmt where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import polib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.shared_data import shared

from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.gettext import read_mo, read_po
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset={}\\n"\n"Language: {}\\n"\n'
    '"Plural-Forms: nplurals=2; plural={};\\n"\n'
)


def catalogue(path: Path, body: str, header: str = "", source: str = "", target: str = "") -> BilingualFile:
    path.write_text(header + body, encoding="utf-8")
    return BilingualFile(path, Sides(source, target))


def read(corpus: BilingualFile) -> list[tuple[str, str, int]]:
    return [(pair.source, pair.target, pair.line) for pair in corpus]


def test_entries_give_pairs_with_their_lines(tmp_path: Path) -> None:
    body = (
        '# a comment\n#: x.c:1\n#| msgid "old"\nmsgctxt "menu"\nmsgid ""\n"a \\"b\\"\\n"\n  "c" "d"\n'
        'msgstr "e\\tf \\\\n \\x41\\101\u2028g"\nmsgid "h"\nmsgstr "i"\n'
    )
    assert read(catalogue(tmp_path / "x.po", body)) == [
        ('a "b" cd', "e\tf \\n AA\u2028g", 4),
        ("h", "i", 9),
    ]


def test_skipped_entries(tmp_path: Path) -> None:
    body = (
        '\n#, c-format, fuzzy\nmsgid "a"\nmsgstr "b"\n\nmsgid "c"\nmsgstr ""\n\n'
        '#, fuzzy\n#~ msgid "d"\n#~ msgstr "e"\n\n#~| msgid "x"\n#~ msgid "f"\n#~ msgstr ""\n#~ "g"\n'
        'msgid "h"\nmsgstr "i"\n'
    )
    corpus = catalogue(tmp_path / "x.po", body, HEADER.format("UTF-8", "de", "n != 1"))
    assert read(corpus) == [("h", "i", 22)]
    assert corpus.skipped.reasons() == {
        "it is the header": [1],
        "it is fuzzy": [8],
        "it is not translated": [11],
        "it is obsolete": [15, 19],
    }


@pytest.mark.parametrize(
    ("plural", "forms", "expected"),
    [
        ("n != 1", ["eins", "viele"], [("one", "eins"), ("many", "viele")]),
        ("n == 1", ["viele", "eins"], [("many", "viele"), ("one", "eins")]),
        ("0", ["alle"], [("many", "alle")]),
        ("((((", ["eins", "viele"], [("one", "eins"), ("many", "viele")]),
        ("n / 0", ["eins", "viele"], [("one", "eins"), ("many", "viele")]),
        ("n==1 ? 0 : n==2 ? 1 : 2", ["1", "2", "3"], [("one", "1"), ("many", "2"), ("many", "3")]),
    ],
)
def test_each_form_of_a_plural_goes_with_the_singular_or_the_plural(
    tmp_path: Path, plural: str, forms: list[str], expected: list[tuple[str, str]]
) -> None:
    lines = [f'msgstr[{number}] "{form}"' for number, form in enumerate(forms)]
    body = "\n".join(['msgid "one"', 'msgid_plural "many"', *lines, ""])
    corpus = catalogue(tmp_path / "x.po", body, HEADER.format("UTF-8", "de", plural))
    assert [pair[:2] for pair in read(corpus)] == expected


def test_a_plural_with_a_missing_form(tmp_path: Path) -> None:
    corpus = catalogue(tmp_path / "x.po", 'msgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\nmsgstr[1] ""\n')
    assert read(corpus) == [("a", "c", 1)]
    assert corpus.skipped.reasons() == {"it is not translated": [1]}


def test_the_charset_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "x.po"
    for charset in ("ISO-8859-15", "UTF-8", "EUC-JP", "CHARSET"):
        text = HEADER.format(charset, "", "n") + 'msgid "a"\nmsgstr "\u3042"\n'
        if charset == "ISO-8859-15":
            text = text.replace("\u3042", "€")
        path.write_bytes(text.encode("utf-8" if charset == "CHARSET" else charset))
        assert [pair.target for pair in BilingualFile(path, Sides())] == ["€" if "15" in charset else "\u3042"]
    path.write_bytes(text.encode("euc-jp"))
    with pytest.raises(DataError, match=r"x\.po:7: the line is not UTF-8"):
        read(BilingualFile(path, Sides()))


@pytest.mark.parametrize(("charset", "escaped"), [("UTF-8", r"caf\303\251"), ("ISO-8859-1", r"caf\xe9")])
def test_numeric_escapes_are_bytes_in_the_charset(tmp_path: Path, charset: str, escaped: str) -> None:
    body = f'msgid "{escaped}"\nmsgstr "b"\n'
    assert read(catalogue(tmp_path / "x.po", body, HEADER.format(charset, "", "n"))) == [("café", "b", 6)]


@pytest.mark.skipif(shutil.which("msgcat") is None, reason="msgcat is not installed")
@pytest.mark.parametrize("charset", ["UTF-8", "ISO-8859-1", "SHIFT_JIS", "GBK"])
def test_escapes_of_msgcat(tmp_path: Path, charset: str) -> None:
    text = "ソ表 and アー" if charset in ("SHIFT_JIS", "GBK") else "café " * 40 + "à"
    path = tmp_path / "x.po"
    path.write_bytes(f'{HEADER.format(charset, "", "n")}\nmsgid "a"\nmsgstr "{text}"\n'.encode(charset))
    subprocess.run(["msgcat", "--escape", "-o", path, path], check=True, stderr=subprocess.DEVNULL)
    assert b"\\" in path.read_bytes().rpartition(b"msgid")[2]
    assert [pair.target for pair in BilingualFile(path, Sides())] == [text]


@pytest.mark.parametrize("charset", ["klingon", "utf-16", "unicode_escape", "idna", "rot13", "utf-7"])
def test_unsupported_charsets(tmp_path: Path, charset: str) -> None:
    with pytest.raises(DataError, match=rf"x\.po:3: the charset '{charset}' is not known"):
        read(catalogue(tmp_path / "x.po", 'msgid "a"\nmsgstr "b"\n', HEADER.format(charset, "", "n")))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [("", "", ("a", "b")), ("en", "de", ("a", "b")), ("de", "en", ("b", "a")), ("", "de", ("a", "b"))],
)
def test_the_language_of_the_header(tmp_path: Path, source: str, target: str, expected: tuple[str, str]) -> None:
    header = HEADER.format("UTF-8", "de_AT@latin", "n")
    assert read(catalogue(tmp_path / "x.po", 'msgid "a"\nmsgstr "b"\n', header, source, target)) == [(*expected, 6)]


def test_a_catalogue_of_another_language(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.po:1: .* translations are in fr, but en to de was requested"):
        read(catalogue(tmp_path / "x.po", "", HEADER.format("UTF-8", "fr", "n"), "en", "de"))


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ('msgid "a\nmsgstr "b"\n', 1, "not a line of a PO file"),
        ('msgid "a"\nmsgstr b\n', 2, "not a line of a PO file"),
        ('msgid "a" x\n', 1, "not a line of a PO file"),
        ('msgid[0] "a"\n', 1, "not a line of a PO file"),
        ('msgid "a\\"\n', 1, "not a line of a PO file"),
        ("\nhello\n", 2, "not a line of a PO file"),
        ('"a"\n', 1, "belongs to no msgid"),
        ('msgid "a"\n\nmsgid "b"\nmsgstr "c"\n', 1, "lacks msgid or msgstr"),
        ('msgid "a"\nmsgstr "b"\nmsgid "c"\n', 3, "lacks msgid or msgstr"),
        ('msgid "a"\nmsgstr[0] "b"\n', 1, "lacks msgid or msgstr"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr "b"\n', 1, "lacks msgid or msgstr"),
        ('msgctxt "a"\nmsgstr "b"\n', 1, "lacks msgid or msgstr"),
        ('msgid "a"\nmsgstr "b"\nmsgstr "c"\n', 3, "has msgstr twice"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr[0] ""\nmsgstr[0] "c"\n', 4, r"has msgstr\[0\] twice"),
    ],
)
def test_an_invalid_file_is_reported_with_its_line(tmp_path: Path, body: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(catalogue(tmp_path / "x.po", body))
    assert caught.value.where == f"{tmp_path / 'x.po'}:{line}"


def test_utf_16_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.po").write_text('msgid "a"\nmsgstr "b"\n', encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16 are not supported"):
        read(BilingualFile(tmp_path / "x.po", Sides()))


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"), min_size=1
).filter(lambda text: text.strip())
ENTRY = st.tuples(TEXT, TEXT, st.none() | TEXT, st.booleans(), st.booleans())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(entries=st.lists(ENTRY, max_size=6, unique_by=lambda entry: entry[0]), width=st.sampled_from([10, 78]))
def test_what_polib_writes_is_read_back(
    tmp_path: Path, entries: list[tuple[str, str, str | None, bool, bool]], width: int
) -> None:
    written = polib.POFile(wrapwidth=width)
    for text, translation, plural, fuzzy, obsolete in entries:
        entry = polib.POEntry(msgid=text, msgstr="" if plural else translation, flags=["fuzzy"] if fuzzy else [])
        if plural:
            entry.msgid_plural, entry.msgstr_plural = plural, {0: translation, 1: translation + "s"}
        entry.obsolete = int(obsolete)
        written.append(entry)
    written.save(str(tmp_path / "x.po"))
    items = list(read_po(tmp_path / "x.po", Sides()))
    expected = [
        pair
        for text, translation, plural, fuzzy, obsolete in entries
        if not fuzzy and not obsolete
        for pair in [(text, translation), *([(plural, translation + "s")] if plural else [])]
    ]
    assert sorted((item.source, item.target) for item in items if isinstance(item, Pair)) == sorted(expected)
    assert sum(isinstance(item, Skipped) for item in items) == 1 + sum(
        fuzzy or obsolete for *_, fuzzy, obsolete in entries
    )


def compiled(path: Path) -> Path:
    if shutil.which("msgfmt") is None:
        pytest.skip("needs msgfmt")
    subprocess.run(["msgfmt", "-o", path.with_suffix(".mo"), path], check=True, capture_output=True)
    return path.with_suffix(".mo")


def test_a_compiled_catalogue(tmp_path: Path) -> None:
    body = (
        'msgctxt "menu"\nmsgid "a"\nmsgstr "ä"\n\nmsgid "one"\nmsgid_plural "many"\nmsgstr[0] "eins"\n'
        'msgstr[1] "viele"\n\n#, c-format\nmsgid "%<PRIuMAX> x"\nmsgstr "%<PRIuMAX> y"\n'
    )
    catalogue(tmp_path / "x.po", body, HEADER.format("ISO-8859-1", "de", "n != 1"))
    (tmp_path / "x.po").write_bytes((tmp_path / "x.po").read_text(encoding="utf-8").encode("latin-1"))
    corpus = BilingualFile(compiled(tmp_path / "x.po"), Sides("en", "de"))
    assert sorted(read(corpus)) == [("a", "ä", 2), ("many", "viele", 3), ("one", "eins", 3)]
    assert sorted(corpus.skipped.sentences()) == [
        "1 pair skipped: it has a format that depends on the machine (such as PRIuMAX) (line 4)",
        "1 pair skipped: it is the header (line 1)",
    ]
    data = compiled(tmp_path / "x.po").read_bytes()
    for broken in (b"", data[:19], data[:60], data[:-20], b"\0" + data, data[:8] + b"\xff" * 4 + data[12:]):
        (tmp_path / "x.mo").write_bytes(broken)
        with pytest.raises(DataError, match="not an MO file"):
            list(read_mo(tmp_path / "x.mo", Sides()))


@pytest.mark.parametrize("name", ["cpio", "gnome-photos", "installation-guide-welcome"])
def test_real_catalogues_give_what_polib_and_msgfmt_count(tmp_path: Path, name: str) -> None:
    path = shared("formats") / f"{name}.de.po"
    theirs = polib.pofile(str(path))
    plain = [(entry.msgid, entry.msgstr) for entry in theirs.translated_entries() if not entry.msgid_plural]
    plurals = [entry for entry in theirs.translated_entries() if entry.msgid_plural]
    forms = [
        (entry.msgid_plural if form else entry.msgid, text)
        for entry in plurals
        for form, text in entry.msgstr_plural.items()
    ]
    items = list(read_po(path, Sides("en", "de")))
    assert sorted((item.source, item.target) for item in items if isinstance(item, Pair)) == sorted(plain + forms)
    reasons = [item.reason for item in items if isinstance(item, Skipped)]
    assert reasons.count("it is fuzzy") == len([entry for entry in theirs.fuzzy_entries() if not entry.obsolete])
    assert reasons.count("it is obsolete") == len(theirs.obsolete_entries())
    assert reasons.count("it is not translated") == len(theirs.untranslated_entries())
    assert (
        len(reasons)
        == reasons.count("it is fuzzy") + reasons.count("it is obsolete") + reasons.count("it is not translated") + 1
    )
    shutil.copy(path, tmp_path / "x.po")
    compiled_items = list(read_mo(compiled(tmp_path / "x.po"), Sides("en", "de")))
    machine = [item for item in compiled_items if isinstance(item, Skipped) and "machine" in item.reason]
    assert len(set(plain + forms)) == len(
        {(item.source, item.target) for item in compiled_items if isinstance(item, Pair)}
    ) + 2 * len(machine)  # the one such message of cpio is a plural
