from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.unit.documents.scripted import fill, open_bytes, uppercase

from regard.errors import DataError

FORMATS = Path(__file__).parents[4] / "shared" / "data" / "formats"

HEAD = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=%s\\n"\n"Plural-Forms: nplurals=%d; plural=%s;\\n"\n\n'


def head(charset: str = "UTF-8", forms: int = 2, rule: str = "n != 1") -> str:
    return HEAD % (charset, forms, rule)


def test_only_untranslated_entries_are_filled_and_marked_as_fuzzy() -> None:
    unchanged = '# note\n#: a.c:1\n#, fuzzy\nmsgid "one"\nmsgstr ""\n\nmsgid "two"\nmsgstr "zwei"\n\n'
    unchanged += '#~ msgid "old"\n#~ msgstr ""\n\n'
    text = head() + unchanged + '#: b.c:2\n#, c-format\n#| msgid "x"\nmsgctxt "c"\nmsgid "open %s"\nmsgstr ""\n# end\n'
    result = fill(".po", text.encode())
    expected = text.replace("#, c-format", "#, fuzzy, c-format").replace('%s"\nmsgstr ""', '%s"\nmsgstr "OPEN %s"')
    assert result.data.decode() == expected
    assert (result.entries, result.filled, result.already_translated) == (3, 1, 2)


def test_crlf_and_latin_1_stay_and_unencodable_translations_are_refused() -> None:
    text = (head("ISO-8859-1") + '# Stöggl\nmsgid "open"\nmsgstr ""\n').replace("\n", "\r\n")
    data = text.encode("latin-1")
    assert fill(".po", data, lambda _: "größer").data == (
        text.replace('msgid "open"\r\nmsgstr ""', '#, fuzzy\r\nmsgid "open"\r\nmsgstr "größer"').encode("latin-1")
    )
    result = fill(".po", data, lambda _: "„groß“")
    assert result.data == data
    assert "has no '„'" in result.reports[0].reason


def test_the_charset_is_that_of_the_header() -> None:
    text = f'# Converted from charset=ISO-8859-1\n{head()}# Stöggl\nmsgid "café"\nmsgstr ""\n'
    assert fill(".po", text.encode(), str.upper).data.decode() == text.replace(
        'msgid "café"\nmsgstr ""', '#, fuzzy\nmsgid "café"\nmsgstr "CAFÉ"'
    )


def test_the_charset_of_a_header_on_one_line() -> None:
    text = 'msgid ""\nmsgstr "X: y\\nContent-Type: text/plain; charset=ISO-8859-1\\n"\n\nmsgid "café"\nmsgstr ""\n'
    output = fill(".po", text.encode("latin-1"), str.upper).data.decode("latin-1")
    assert output.endswith('\nmsgstr "CAFÉ"\n')


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        ('#, fuzzy\n#~ msgid "old"\n#~ msgstr "alt"\n\n', "#, fuzzy\n"),
        ('#, c-format\n#~| msgid "x"\n#~ msgid "old"\n#~ msgstr "alt"\n', "#, fuzzy\n"),
        ('#, fuzzy\n#~ msgid "old"\n#~ msgstr "alt"\n#, c-format\n', ""),
        ("#, c-format\n#, no-wrap\n", ""),
    ],
)
def test_flags_belong_to_the_entry_after_them(comments: str, expected: str) -> None:
    entry = 'msgid "new"\nmsgstr ""\n'
    output = fill(".po", (head() + comments + entry).encode()).data.decode()
    if not expected:
        comments = comments.replace("#, c-format", "#, fuzzy, c-format")
    assert output == head() + comments + expected + entry.replace('""', '"NEW"')


def test_an_entry_is_fuzzy_if_one_of_its_lines_of_flags_says_so() -> None:
    text = head() + '#, fuzzy\n#, c-format\nmsgid "new"\nmsgstr ""\n'
    result = fill(".po", text.encode())
    assert (result.data.decode(), result.already_translated) == (text, 1)


@pytest.mark.parametrize(
    ("charset", "escaped", "translation"),
    [
        ("UTF-8", r"caf\303\251", "CAFÉ"),
        ("ISO-8859-1", r"caf\xe9", "CAFÉ"),
        ("UTF-8", 'a caf\\303"\n"\\251', "A CAFÉ"),
        ("UTF-8", r"caf\351", "CAF\ufffd"),
    ],
)
def test_numeric_escapes_are_bytes_in_the_charset(charset: str, escaped: str, translation: str) -> None:
    text = head(charset) + f'msgid "{escaped}"\nmsgstr ""\n'
    output = fill(".po", text.encode(charset), str.upper).data.decode(charset)
    assert output.partition("msgid")[2].partition("msgstr ")[2].replace('""\n', "").endswith(f'"{translation}"\n')


def test_a_string_on_several_lines_is_wrapped() -> None:
    text = head() + 'msgid ""\n"one \\"two\\"\\n"\n"' + "Word " * 30 + 'end"\nmsgstr ""\n'
    lines = fill(".po", text.encode()).data.decode().split("msgstr")[-1].splitlines()
    assert lines[:2] == [' ""', '"ONE \\"two\\"\\n"']
    assert max(map(len, lines)) <= 80
    assert "".join(line.strip('"') for line in lines[2:]) == "WORD " * 30 + "END"


@pytest.mark.parametrize(
    ("forms", "rule", "strings"),
    [
        (1, "0", ["%d FILES"]),
        (2, "n != 1", ["ONE FILE", "%d FILES"]),
        (2, "n>1", ["%d FILES", "%d FILES"]),  # the first form is used for 0 as well, so it needs the number
        (3, "n%10==1 ? 0 : 1", ["%d FILES", "%d FILES", "%d FILES"]),
    ],
)
def test_plurals(forms: int, rule: str, strings: list[str]) -> None:
    empty = "".join(f'msgstr[{place}] ""\n' for place in range(forms))
    text = head(forms=forms, rule=rule) + f'#, c-format\nmsgid "one file"\nmsgid_plural "%d files"\n{empty}'
    output = fill(".po", text.encode(), str.upper).data.decode()
    assert [line.partition(" ")[2].strip('"') for line in output.splitlines() if line.startswith("msgstr[")] == strings


def test_plurals_that_the_header_does_not_declare() -> None:
    result = fill(".po", b'msgid "a b"\nmsgid_plural "c d"\nmsgstr[0] ""\nmsgstr[1] ""\n')
    assert [report.reason for report in result.reports] == ["it has 2 plural forms, but the header declares none"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('msgid "a"\nmsgstr "b"\nnonsense\n', 3, "not a line of a PO file"),
        ('\nmsgid "a\nmsgstr ""\n', 2, "quotes"),
        ('msgid "a"\n\nmsgid "b"\nmsgstr ""\n', 3, "twice"),
        ('msgid "a"\n', 1, "no msgstr"),
        ('msgid "a"\nmsgstr[0] ""\n', 1, "does not match its msgid"),
    ],
)
def test_an_error_names_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_bytes(".po", text.encode())
    assert caught.value.where == f"a.po:{line}"


CATALOGUES = {"cpio": 314, "gnome-photos": 220, "installation-guide-welcome": 76}


@pytest.mark.skipif(not FORMATS.exists(), reason=f"{FORMATS} does not exist")
@pytest.mark.skipif(shutil.which("msgfmt") is None, reason="msgfmt is not installed")
@pytest.mark.parametrize("name", CATALOGUES)
def test_real_catalogues_pass_msgfmt(name: str, tmp_path: Path) -> None:
    data = (FORMATS / f"{name}.untranslated.po").read_bytes()
    result = fill(".po", data, uppercase)
    assert (result.entries, result.untranslated, result.already_translated) == (CATALOGUES[name], 0, 0)
    (path := tmp_path / "a.po").write_bytes(result.data)
    check = ["msgfmt", "--check", "--use-fuzzy", "-o", str(tmp_path / "a.mo"), str(path)]
    process = subprocess.run(check, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


@pytest.mark.skipif(not FORMATS.exists(), reason=f"{FORMATS} does not exist")
@pytest.mark.parametrize("name", CATALOGUES)
def test_published_catalogues_are_unchanged(name: str) -> None:
    data = (FORMATS / f"{name}.de.po").read_bytes()
    document = open_bytes(".po", data)
    assert document.fill([None] * len(document.segments)) == data
    assert len(document.segments) <= 1 < document.already_translated
