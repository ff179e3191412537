"""Files of strings: each is read by a parser of its format, and has the structure of its source."""

from __future__ import annotations

import json
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jproperties
import pytest
import yaml
from fluent.syntax import FluentParser, FluentSerializer
from tests.unit.documents.scripted import fill, open_bytes, uppercase

from regard.documents.document import Columns, LanguagePair
from regard.errors import DataError

JSON = """{
  "title": "My files",   "icon": "img/logo.png", "id": "max_size", "name": "camelCase", "lang": "en",
  "list": ["one two", 3, null, {"see": "see {{name}} there, $t(title)"}],
  "html": "Click \\u003cb\\u003ehere now\\u003c/b\\u003e caf\\u00e9", "mixed": "a <b>word</b> \\u003cbr\\u003e",
  "empty": "", "count": "{n, plural, =0{no files} one{# file} other{# files}}",
  "around": "You have {n, plural, one{# message} other{# messages}} from {who}."
}
"""


def map_strings(value: Any) -> Any:
    """Return a JSON value with its strings in upper case as the scripted translator writes them."""
    if isinstance(value, dict):
        return {key: map_strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [map_strings(item) for item in value]
    return uppercase(value) if isinstance(value, str) else value


def test_json_keeps_its_layout_codes_and_escapes() -> None:
    result = fill(".json", JSON.encode())
    written = result.data.decode()
    expected = JSON.replace("My files", "MY FILES").replace("one two", "ONE TWO")
    expected = expected.replace("see {{name}} there, $t", "SEE {{name}} there, $t")
    expected = expected.replace("Click", "CLICK").replace("here now", "HERE NOW").replace("caf\\u00e9", "CAF\\u00c9")
    expected = expected.replace("a <b>word</b> \\u003cbr\\u003e", "A <b>WORD</b> <br>")
    expected = expected.replace("=0{no files} one{# file} other{# files}", "=0{NO FILES} one{# FILE} other{# FILES}")
    around = "{n, plural, one{YOU HAVE # MESSAGE FROM {who}.} other{YOU HAVE # MESSAGES FROM {who}.}}"
    expected = expected.replace("You have {n, plural, one{# message} other{# messages}} from {who}.", around)
    assert written == expected
    assert list(json.loads(written)) == list(json.loads(JSON))
    assert (result.entries, result.untranslated) == (7, 0)


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ('{"Open it": "", "Close it": "Close it", "a": "b c"}', Columns(keys_are_source=True),
         '{"Open it": "OPEN IT", "Close it": "CLOSE IT", "a": "b c"}'),
        ('{"a": {"t": "one", "d": "two"}, "b": {"t": "six"}}', Columns(keys=("*.t", "!b.*")),
         '{"a": {"t": "ONE", "d": "two"}, "b": {"t": "six"}}'),
        ('{"a": "x_y", "b": "one"}', Columns(keys=("a",)), '{"a": "x_y", "b": "one"}'),
        ('{"hi": {"message": "hello $NAME$ you", "description": "says hello"}}', Columns(),
         '{"hi": {"message": "HELLO $NAME$ YOU", "description": "says hello"}}'),
        ('\ufeff"one two"\r\n', Columns(), '\ufeff"ONE TWO"\r\n'),
        ('{"a": "he said \'\'one\'\' {x}", "b": "it {x}"}', Columns(),
         '{"a": "HE SAID \'\'one\'\' {x}", "b": "IT {x}"}'),
        ('{"a": "so {n, select, a{one {m, plural, other{# cats}}} other{two}}"}', Columns(),
         '{"a": "{n, select, a{{m, plural, other{SO ONE # CATS}}} other{SO TWO}}"}'),
    ],
)  # fmt: skip
def test_json_keys_and_messages(text: str, columns: Columns, expected: str) -> None:
    assert fill(".json", text.encode(), columns=columns).data.decode() == expected


def test_a_message_that_cannot_be_divided_is_reported() -> None:
    text = '{"a": "{n, plural, one{# x", "b": "No #1: {n, plural, other{# cats}}", "c": "\\ud800 x"}'
    result = fill(".json", text.encode())
    reasons = [report.reason for report in result.reports]
    assert (result.filled, result.data.decode()) == (0, text)
    assert reasons == ["a brace is not closed", "it has # next to a plural", "it has half of a surrogate pair"]
    assert fill(".json", b'{"a": "{n, plural, other{one}}"}', lambda _: "ein } Ding").untranslated == 1


def test_arb_metadata_stays_and_the_locale_is_the_target() -> None:
    text = '{"@@locale": "en_US", "hi": "hello {name}", "@hi": {"description": "says hello"}, "@@x-b": "c d"}'
    expected = text.replace("en_US", "de").replace("hello {", "HELLO {")
    assert fill(".arb", text.encode()).data.decode() == expected


YAML = """# a comment
en:
  title: My files   # trailing
  "quoted": "He said \\"hello\\" to %{name}"
  single: 'it''s one thing'
  yes: no
  number: 12
  code: max_size
  plain: one two three
    four five six
  literal: |
    line one
    Line two

    Line four
  # a comment after a block
  folded: >-
    some folded text that goes
    on here

    Second paragraph
  list:
    - first item
    - {a: one two, b: [three, "four five"]}
  anchor: &x some text
  alias: *x
  tagged: !ruby/object foo bar
"""


def test_yaml_keeps_everything_but_text() -> None:
    result = fill(".yaml", YAML.encode())
    written = result.data.decode()
    assert result.untranslated == 0
    tolerant: Any = type("Tolerant", (yaml.SafeLoader,), {})
    tolerant.add_constructor("!ruby/object", lambda loader, node: loader.construct_scalar(node))
    before, after = (yaml.load(text, Loader=tolerant) for text in (YAML, written))

    def compare(old: Any, new: Any) -> None:
        assert type(old) is type(new)
        if isinstance(old, dict):
            assert list(old) == list(new)
            for key in old:
                if key not in ("code", "tagged"):
                    compare(old[key], new[key])
        elif isinstance(old, list):
            for pair in zip(old, new, strict=True):
                compare(*pair)
        elif isinstance(old, str):
            assert uppercase(old) == " ".join(new.split())

    compare(before["en"], after["de"])
    assert [line for line in written.splitlines() if "#" in line] == [
        line.replace("My files", "MY FILES") for line in YAML.splitlines() if "#" in line
    ]
    for part in ("'it''s ONE THING'", "*x", "&x SOME", "!ruby/object foo bar", '[THREE, "FOUR FIVE"]', "yes: no\n"):
        assert part in written
    assert written.count("\n") == YAML.count("\n")


@pytest.mark.parametrize(
    ("text", "translation", "expected"),
    [
        ("k: one thing\n", "- eins: zwei # x", 'k: "- eins: zwei # x"\n'),
        ("k: {a: one}\n", "nein, [x]", 'k: {a: "nein, [x]"}\n'),
        ("k: one thing\n", "true", 'k: "true"\n'),
        ("k: 'one thing'\n", "l'un", "k: 'l''un'\n"),
        ("\ufeffk: >\r\n  one\r\n  thing\r\nb: 1\r\n", "a b", "\ufeffk: >\r\n  a b\r\nb: 1\r\n"),
        ("--- one thing\n", "ein Ding", "--- ein Ding\n"),
        ("a: 1\nen: one\n", "eins", "a: 1\nen: eins\n"),
        ("? [a, {b: c}]\n: one\n", "eins", "? [a, {b: c}]\n: eins\n"),
    ],
)
def test_yaml_is_quoted_where_that_is_needed(text: str, translation: str, expected: str) -> None:
    assert fill(".yaml", text.encode(), lambda _: translation).data.decode() == expected


PROPERTIES = """# comment here
! another
app.title = My files
  key\\ with\\ space : some text \\
      goes on here \\
      and ends
multi = First line\\n\\
   Second line\\n
empty =
arg = Can''t open {0} now
arg2=Open {0} now
uni = caf\\u00e9 there
bare
menu.file=&File
"""


@pytest.mark.parametrize(("data", "problem"), [("a=one".encode("utf-16"), "UTF-16"), (b"a=one\0 \xff", "not UTF-8")])
def test_properties_that_are_not_text(data: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_bytes(".properties", data)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_properties(encoding: str) -> None:
    source = PROPERTIES if encoding == "ascii" else PROPERTIES.replace("\\u00e9", "é").replace("\n", "\r\n")
    result = fill(".properties", source.encode(encoding), lambda text: uppercase(text).replace("OPEN", "l'Öffn€"))
    assert result.untranslated == 0
    before, after = jproperties.Properties(), jproperties.Properties()
    before.load(source.encode(encoding), encoding)
    after.load(result.data, encoding)
    expected = {key: uppercase(value.data).replace("OPEN", "l'Öffn€") for key, value in before.items()}
    expected |= {"arg": "CAN''T l''Öffn€ {0} NOW".replace("CAN''T", "Can''t"), "arg2": "l’Öffn€ {0} NOW"}
    expected["menu.file"] = "&FILE"
    expected["multi"] = "FIRST LINE\nSECOND LINE\n"
    assert {key: value.data for key, value in after.items()} == expected
    written = result.data.decode(encoding)
    assert written.count("\n") == source.count("\n")
    assert re.findall(r"(?m)^.*?[=:]", written) == re.findall(r"(?m)^.*?[=:]", source)


STRINGS = """/* Menu "x" */
"Open File" = "Open File";
// a comment = "no";
key.two = "He said \\"go\\" to %@ and %1$@\\n now";
"multi
line" = "two
 lines";
"only";
a = "b c" ;
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_apple_strings(encoding: str, tmp_path: Path) -> None:
    source = ("\ufeff" + STRINGS if encoding.startswith("utf-16") else STRINGS).encode(encoding)
    result = fill(".strings", source)
    assert (result.filled, result.untranslated) == (4, 0)
    written = result.data.decode(encoding)
    assert written.lstrip("\ufeff") == STRINGS.replace('= "Open File"', '= "OPEN FILE"').replace(
        'He said \\"go\\" to %@ and %1$@\\n now', 'HE SAID \\"go\\" TO %@ AND %1$@\\n NOW'
    ).replace('"two\n lines"', '"TWO\\n LINES"').replace('"b c"', '"B C"')
    if shutil.which("msgcat"):
        (path := tmp_path / "a.strings").write_bytes(result.data)
        subprocess.run(["msgcat", "--stringtable-input", "-o", "/dev/null", path], check=True)


STRINGSDICT = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
    <key>%d files</key>
    <dict>
        <key>NSStringLocalizedFormatKey</key>
        <string>copied %#@files@ &amp; more</string>
        <key>files</key>
        <dict>
            <key>NSStringFormatSpecTypeKey</key>
            <string>NSStringPluralRuleType</string>
            <key>NSStringFormatValueTypeKey</key>
            <string>ld</string>
            <key>zero</key><string><![CDATA[no <b>file</b>]]></string>
            <key>one</key>
            <string>%ld file</string>
            <key>other</key>
            <string>%ld files in %2$#@folders@</string>
        </dict>
    </dict>
    <!-- a comment -->
    <key>only</key><dict><key>NSStringLocalizedFormatKey</key><string>%#@files@</string></dict>
    <key>tap</key>
    <dict><key>NSStringDeviceSpecificRuleType</key>
        <dict><key>iphone</key><string>tap it</string><key>mac</key><string>click it</string></dict></dict>
    <key>wide</key>
    <dict><key>NSStringVariableWidthRuleType</key><dict><key>20</key><string>one word</string></dict></dict>
</dict>
</plist>
"""


def test_stringsdict() -> None:
    result = fill(".stringsdict", STRINGSDICT.encode())
    expected = STRINGSDICT.replace("<![CDATA[no <b>file</b>]]>", "NO &lt;b&gt;FILE&lt;/b&gt;")
    for old, new in (
        ("copied %", "COPIED %"), ("amp; more", "amp; MORE"), ("%ld file<", "%ld FILE<"), ("tap it", "TAP IT"),
        ("%ld files in %", "%ld FILES IN %"), ("click it", "CLICK IT"), ("one word", "ONE WORD"),
    ):  # fmt: skip
        expected = expected.replace(old, new)
    assert result.data.decode() == expected
    assert (result.entries, result.untranslated) == (3, 0)
    plistlib.loads(result.data)
    partial = fill(".stringsdict", STRINGSDICT.encode(), lambda text: "" if "zero" in text or "no " in text else text)
    assert partial.data.decode() == STRINGSDICT  # the texts of a plural are filled together
    chosen = fill(".stringsdict", STRINGSDICT.encode(), columns=Columns(keys=("w*",))).data.decode()
    assert chosen == STRINGSDICT.replace("one word", "ONE WORD")


CATALOG = """{
  "sourceLanguage" : "en",
  "strings" : {
    "" : {

    },
    "%lld" : {
      "comment" : "a number"
    },
    "a dog runs" : {

    },
    "brand name" : {
      "shouldTranslate" : false
    },
    "menu.title" : {
      "extractionState" : "manual",
      "localizations" : {
        "en" : {
          "stringUnit" : {
            "state" : "translated",
            "value" : "open \\"it\\" at http:\\/\\/a.b\\/c"
          }
        },
        "fr" : {
          "stringUnit" : {
            "state" : "translated",
            "value" : "ouvrir"
          }
        }
      }
    },
    "no longer there" : {
      "extractionState" : "stale"
    },
    "open" : {
      "localizations" : {
        "de" : { "stringUnit" : { "state" : "new", "value" : "open" } }
      }
    },
    "photos" : {
      "comment" : "%d photos",
      "localizations" : {
        "en" : {
          "substitutions" : { "n" : { "argNum" : 1, "variations" : { "plural" : {
            "one" : { "stringUnit" : { "state" : "translated", "value" : "%arg photo" } },
            "other" : { "stringUnit" : { "state" : "translated", "value" : "%arg photos" } }
          } } } },
          "stringUnit" : { "state" : "translated", "value" : "see %#@n@ here" }
        }
      }
    },
    "shut" : {
      "localizations" : { "de" : { "stringUnit" : { "state" : "needs_review", "value" : "zu" } } }
    },
    "tap" : {
      "localizations" : {
        "de" : { "variations" : { "device" : {
          "ipad" : { "stringUnit" : { "state" : "new", "value" : "" } },
          "mac" : { "stringUnit" : { "state" : "translated", "value" : "Klicken" } } } } },
        "en" : { "variations" : { "device" : {
          "ipad" : { "stringUnit" : { "state" : "translated", "value" : "tap it" } },
          "mac" : { "stringUnit" : { "state" : "translated", "value" : "click it" } } } } }
      }
    }
  },
  "version" : "1.0"
}
"""


def test_a_string_catalog_gets_the_target_language() -> None:
    result = fill(".xcstrings", CATALOG.encode())
    assert (result.entries, result.filled, result.already_translated, result.untranslated) == (6, 5, 1, 0)
    before, after = json.loads(CATALOG)["strings"], json.loads(result.data)["strings"]
    assert list(after) == list(before)
    german = {key: entry.get("localizations", {}).pop("de", None) for key, entry in after.items()}
    for entry in before.values():
        entry.get("localizations", {}).pop("de", None)
    assert after["a dog runs"].pop("localizations") == {}
    assert after == before
    plain = {"state": "needs_review"}
    assert german["a dog runs"] == {"stringUnit": {**plain, "value": "A DOG RUNS"}}
    assert german["open"] == {"stringUnit": {**plain, "value": "OPEN"}}
    assert german["menu.title"] == {"stringUnit": {**plain, "value": 'OPEN "it" AT http://a.b/c'}}
    assert german["photos"] == {
        "stringUnit": {**plain, "value": "SEE %#@n@ HERE"},
        "substitutions": {"n": {"argNum": 1, "variations": {"plural": {
            "one": {"stringUnit": {**plain, "value": "%arg PHOTO"}},
            "other": {"stringUnit": {**plain, "value": "%arg PHOTOS"}}}}}},
    }  # fmt: skip
    devices = german["tap"]["variations"]["device"]
    assert devices["ipad"] == {"stringUnit": {**plain, "value": "TAP IT"}}
    assert devices["mac"]["stringUnit"]["value"] == "Klicken"
    assert [key for key, value in german.items() if not value] == ["", "%lld", "brand name", "no longer there"]


def test_a_string_catalog_keeps_its_layout() -> None:
    german, english = '\n        "de" : {\n          ', '\n        "en" : {\n          '

    def new(value: str) -> str:
        members = f'\n            "state" : "needs_review",\n            "value" : "{value}"'
        return f'{german}"stringUnit" : {{{members}\n          }}\n        }}'

    source = CATALOG.partition('"substitutions"')[2].partition("\n        }\n      }\n    },")[0]
    copied = source.replace("translated", "needs_review").replace("photo", "PHOTO").replace("PHOTOs", "PHOTOS")
    copied = copied.replace("see %#@n@ here", "SEE %#@n@ HERE")
    expected = CATALOG
    for old, inserted in (
        ('"a dog runs" : {\n\n', '"a dog runs" : {\n      "localizations" : {' + new("A DOG RUNS") + "\n      }\n"),
        ('"manual",\n      "localizations" : {',
         '"manual",\n      "localizations" : {' + new(r'OPEN \"it\" AT http:\/\/a.b\/c') + ","),
        ('"new", "value" : "open"', '"needs_review", "value" : "OPEN"'),
        ('"new", "value" : ""', '"needs_review", "value" : "TAP IT"'),
        (english + '"substitutions"', f'{german}"substitutions"{copied}\n        }},{english}"substitutions"'),
    ):  # fmt: skip
        assert expected.count(old) == 1
        expected = expected.replace(old, inserted)
    result = fill(".xcstrings", CATALOG.encode()).data
    assert result.decode() == expected
    assert fill(".xcstrings", result).data == result


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{}", '{"localizations":{"de":{"stringUnit":{"state":"needs_review","value":"ONE TWO"}}}}'),
        ('{"comment":"c"}',
         '{"comment":"c","localizations":{"de":{"stringUnit":{"state":"needs_review","value":"ONE TWO"}}}}'),
        ('{"shouldTranslate":true}',
         '{"localizations":{"de":{"stringUnit":{"state":"needs_review","value":"ONE TWO"}}},"shouldTranslate":true}'),
        ('{"localizations":{"de":{}}}',
         '{"localizations":{"de":{"stringUnit":{"state":"needs_review","value":"ONE TWO"}}}}'),
        ('{"localizations":{"fr":{"stringUnit":{"state":"translated","value":"x"}}}}',
         '{"localizations":{"de":{"stringUnit":{"state":"needs_review","value":"ONE TWO"}},'
         '"fr":{"stringUnit":{"state":"translated","value":"x"}}}}'),
        ('{"localizations":{"en":{"stringSet":{"state":"new","values":["six ${a}","ten"]}}}}',
         '{"localizations":{"de":{"stringSet":{"state":"needs_review","values":["SIX ${a}","TEN"]}},'
         '"en":{"stringSet":{"state":"new","values":["six ${a}","ten"]}}}}'),
        ('{"localizations":{"de":{"variations":{"plural":{"few":{"stringUnit":{"state":"new","value":""}}}}},'
         '"en":{"variations":{"plural":{"other":{"stringUnit":{"state":"new","value":"all of it"}}}}}}}',
         '{"localizations":{"de":{"variations":{"plural":{"few":{"stringUnit":{"state":"needs_review",'
         '"value":"ALL OF IT"}}}}},'
         '"en":{"variations":{"plural":{"other":{"stringUnit":{"state":"new","value":"all of it"}}}}}}}'),
    ],
)  # fmt: skip
def test_a_string_of_a_minified_catalog(entry: str, expected: str) -> None:
    text = '{"sourceLanguage":"en","strings":{"one two":%s},"version":"1.0"}'
    assert fill(".xcstrings", (text % entry).encode()).data.decode() == text % expected


def test_a_catalog_in_another_language() -> None:
    text = (
        '{"sourceLanguage":"fr","strings":{"un":{},"b":{"localizations":{"en-GB":{"stringUnit":{"state":"translated",'
        '"value":"one"}},"de-AT":{"stringUnit":{"state":"new","value":""}}}}}}'
    )
    result = fill(".xcstrings", text.encode())
    assert result.data.decode() == text.replace('"new","value":""', '"needs_review","value":"ONE"')
    assert [report.reason for report in result.reports] == ["it has no text in en-GB"]


ANDROID = """<?xml version="1.0" encoding="utf-8"?>
<!-- copyright -->
<resources xmlns:xliff="urn:oasis:names:tc:xliff:document:1.2">
    <string name="app" translatable="false">My App</string>
    <string name="hi">Hello <b>big</b> <xliff:g id="n" example="3">%1$s</xliff:g> here &amp; there</string>
    <string name="ref">@string/app</string>
    <string name="space">"  keep   this space "</string>
    <string name="lines">First line\\n
        Second line\\n
        Third one</string>
    <string name="cdata"><![CDATA[Click <a href="x">here now</a>]]></string>
    <string name="escaped">&lt;b&gt;bold text&lt;/b&gt; now</string>
    <!-- a comment -->
    <plurals name="n">
        <item quantity="one">%d file</item>
        <item quantity="other">%d files</item>
    </plurals>
    <string-array name="a"><item>one thing</item><item>@string/hi</item><item>two</item></string-array>
    <dimen name="d">3dp</dimen>
    <string name="empty"></string>
</resources>
"""


def test_android_strings() -> None:
    result = fill(".xml", ANDROID.encode())
    expected = ANDROID
    for text in ("keep   this space", "First line", "Second line", "Third one", "bold text", "one thing"):
        expected = expected.replace(text, text.upper())
    for old, new in (
        ("Hello <b>big</b>", "HELLO <b>BIG</b>"), ("here &amp; there", "HERE &amp; THERE"),
        ("Click <a", "CLICK <a"), ("here now", "HERE NOW"), ("&gt; now", "&gt; NOW"), ("<item>two", "<item>TWO"),
        ("%d file<", "%d FILE<"), ("%d files<", "%d FILES<"),
    ):  # fmt: skip
        expected = expected.replace(old, new)
    assert result.data.decode() == expected
    assert (result.entries, result.untranslated) == (8, 0)
    ElementTree.fromstring(result.data)
    # Characters that Android reads as markup or references.
    result = fill(".xml", b"<resources><string name='a'>one</string></resources>", lambda _: '@l\'"x" \\ <y & z')
    assert ElementTree.fromstring(result.data)[0].text == r"\@l\'\"x\" \\ <y & z"


def test_resx() -> None:
    text = (
        '<?xml version="1.0" encoding="{}"?>\n<root>\n  <resheader name="version"><value>two words</value></resheader>'
        '\n  <data name="Title" xml:space="preserve">\n    <value>My &lt;b&gt;files&lt;/b&gt; {{0}}</value>\n'
        "    <comment>a comment</comment>\n  </data>\n"
        '  <data name="Menu"><value>&amp;Open file</value></data>\n'
        '  <data name="i" type="System.Drawing.Bitmap, System.Drawing" mimetype="x"><value>aGVs bG8=</value></data>\n'
        '  <data name="&gt;&gt;a.Name"><value>button one</value></data>\n</root>\n'
    )
    for encoding in ("utf-8", "utf-16"):
        source = text.format(encoding)
        expected = source.replace("My &lt;b&gt;files", "MY &lt;b&gt;FILES").replace("Open file", "OPEN FILE")
        assert fill(".resx", source.encode(encoding)).data.decode(encoding) == expected


FLUENT = """# comment one
-brand = Fire fox
hi = Hello { $n } to {-brand} and {"{"} there
long =
    First line { -brand }
      Second more
    Third
pick = You { $n ->
    [one] have one thing
   *[other] have { $n } things
 } now
nested =
    { $a ->
        [x] some { $b ->
            [one] cat
           *[other] cats
        }
       *[y] dog
    }
button = Open
    .label = Open it
    .accesskey = O

## A group
"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_fluent(line_end: str) -> None:
    result = fill(".ftl", FLUENT.replace("\n", line_end).encode())
    assert (result.entries, result.untranslated) == (6, 0)
    written = result.data.decode()
    expected = FLUENT
    for old, new in (
        ("Hello { $n } to {-brand} and {\"{\"} there", "HELLO { $n } TO {-brand} AND {\"{\"} THERE"),
        ("First line", "FIRST LINE"), ("Second more", "SECOND MORE"), ("Third", "THIRD"),
        ("You { $n", "{ $n"), ("have one thing", "YOU HAVE ONE THING NOW"), (" } now", " }"),
        ("have { $n } things", "YOU HAVE { $n } THINGS NOW"), ("some { $b", "{ $b"), ("[one] cat", "[one] SOME CAT"),
        ("[other] cats", "[other] SOME CATS"), ("] dog", "] DOG"), ("button = Open", "button = OPEN"),
        (".label = Open it", ".label = OPEN IT"),
    ):  # fmt: skip
        expected = expected.replace(old, new)
    assert written.replace("\r\n", "\n") == expected
    assert written.count("\r") == (FLUENT.count("\n") if line_end == "\r\n" else 0)
    resource = FluentParser().parse(written)
    assert not [entry for entry in resource.body if type(entry).__name__ == "Junk"]
    assert FluentSerializer().serialize(resource).count("->") == 3


def test_fluent_terms_are_translated_on_request_and_marks_are_escaped() -> None:
    assert fill(".ftl", b"-brand = Fire fox\na = b c\n", columns=Columns(keys=("-*",))).data == (
        b"-brand = FIRE FOX\na = b c\n"
    )
    text = b"a =\n    one\n    two\n"
    assert fill(".ftl", text, lambda _: ". [x] *").data == b'a =\n    {"."} [x]\n    {"*"}\n'
    assert fill(".ftl", b"a = one\n", lambda _: "ein } Ding").untranslated == 1


HOSTILE = [
    (".json", '{"a": 1,\n "a": 2}', "a.json:2: this is not valid JSON: the key 'a' occurs twice"),
    (".json", "[" * 100_000, "a.json:1: this is not valid JSON: more than 256"),
    (".json", '{"a":\n"b', "a.json:2: this is not valid JSON: unterminated string"),
    (".json", '{"a": "b"} x', "there is text after the end"),
    (".json", b'{"a":\n"\xff"}', "a.json:2: it is not UTF-8 (byte 0xFF)"),
    (".json", '{"a": [1 2]}', "a comma or a closing bracket is missing"),
    (".json", "{a: 1}", "a key must be a string in double quotes"),
    (".json", '{"a" 1}', "a colon is missing"),
    (".json", "", "the file ends too early"),
    (".arb", '["a b"]', "an ARB file is a JSON object"),
    (".yaml", "a: b\na: c\n", "a.yaml:2: this is not valid YAML: the key 'a' occurs twice"),
    (".yaml", "a: x\n" + "- " * 1000, "a.yaml:2: "),
    (".yaml", "[" * 100_000, "more than 256 collections"),
    (".yaml", "a: [b\nc: d", "a.yaml:2: this is not valid YAML: "),
    (".yaml", "a: \x01", "this is not valid YAML: "),
    (".yaml", b"a: b\nc: \xff", "a.yaml:2: it is not UTF-8"),
    (".yaml", b"a: " + b"b" * (1 << 22), "more than 4,194,304 bytes"),
    (".strings", '"a" = "b"', "a.strings:1: this is not a .strings file: a semicolon is missing"),
    (".strings", '"a" = "b";\n"c" = "d', "a.strings:2: this is not a .strings file: a string is missing"),
    (".strings", b"bplist00", "it is a binary property list"),
    (".strings", "<?xml version='1.0'?><plist/>", "it is a property list in XML"),
    (".strings", b"\xff\xfe\x00", "it is not UTF-16-LE"),
    (".stringsdict", b"bplist00", "it is a binary property list"),
    (".stringsdict", "<plist><array/></plist>", "it has no <dict> in <plist>"),
    (".stringsdict", "<plist><dict>\n<key>a</key><key>b</key><dict/></dict></plist>",
     "a.stringsdict:2: each key must have a value"),
    (".stringsdict", "<plist><dict><key>a</key><dict/>\n<key>a</key><dict/></dict></plist>",
     "a.stringsdict:2: the key 'a' occurs twice"),
    (".stringsdict", "<!DOCTYPE plist [<!ENTITY a 'b'>]><plist><dict><key>&a;</key></dict></plist>",
     "a.stringsdict:1: the file declares entities"),
    (".stringsdict", "<plist>" + "<dict><key>a</key>" * 300, "more than 256 elements"),
    (".stringsdict", "<plist><dict>\n<key>a", "a.stringsdict:2: this is not well-formed XML"),
    (".xcstrings", "{}", "it has no sourceLanguage or no strings"),
    (".xcstrings", '{"sourceLanguage": "en", "strings": []}', "it has no sourceLanguage or no strings"),
    (".xcstrings", '{"strings": {"a":\n{}, "a": {}}}', "a.xcstrings:2: this is not valid JSON: the key 'a' occurs"),
    (".xcstrings", '{"strings": ' + "[" * 100_000, "more than 256 objects"),
    (".xml", "<a/>", "not XML of a supported kind: its first element is <a>"),
    (".xml", "", "it has no element"),
    (".xml", "<resources><string name='a'>x</string>\n<string name='a'>y</string></resources>",
     "a.xml:2: the name 'a' occurs twice"),
    (".xml", "<resources>\n<string name='a'>x", "a.xml:2: this is not well-formed XML"),
    (".xml", "<resources>" + "<string name='x'>" * 300, "more than 256 elements"),
    (".xml", "<!DOCTYPE r [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><resources><string name='a'>&c;</string></resources>",
     "a.xml:1: "),
    (".resx", "<root><data name='a'><value>b c</value></data>\n<data name='A'><value>c</value></data></root>",
     "a.resx:2: the name 'A' occurs twice"),
    (".ftl", "a = b\nc\n", 'a.ftl:2: this is not Fluent: expected token: "="'),
    (".ftl", "a = " + "{ " * 100_000, "a.ftl:1: its braces are nested too deeply"),
    (".ftl", "a = b }", "unbalanced closing brace"),
    (".ftl", "a = b\n\0", "a.ftl:2: it has a null character"),
    (".vtt", "1\n00:01.000 --> 00:02.000\nx\n", "a.vtt:1: it does not start with WEBVTT"),
    (".vtt", "WEBVTT\n\nfoo\nbar\n", "a.vtt:3: a cue must have a line of times"),
    (".ipynb", "{}", "it has no cells"),
    (".ipynb", "{", "a.ipynb:1: this is not valid JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "text", "message"), HOSTILE, ids=lambda value: str(value)[:24])
def test_a_hostile_file_is_refused(suffix: str, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        open_bytes(suffix, text if isinstance(text, bytes) else text.encode())
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"a{suffix}") and "what to do: " in str(caught.value)


def test_aliases_are_not_expanded() -> None:
    levels = [chr(98 + index) for index in range(20)]
    lines = [
        "a: &a [some text]",
        *(f"{name}: &{name} [{', '.join([f'*{chr(ord(name) - 1)}'] * 9)}]" for name in levels),
    ]
    result = fill(".yaml", "\n".join(lines).encode())
    assert result.data.decode() == "\n".join(lines).replace("some text", "SOME TEXT")


def test_more_strings_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.documents.strings.MAX_STRINGS", 3)
    monkeypatch.setattr("regard.documents.string_catalog.MAX_STRINGS", 3)
    monkeypatch.setattr("regard.documents.stringsdict.MAX_STRINGS", 3)
    with pytest.raises(DataError, match="more than 3 strings"):
        open_bytes(".json", b'["a b", "c d", "e f",\n"g h"]')
    catalog = '{"sourceLanguage": "en", "strings": {%s}}'
    with pytest.raises(DataError, match="more than 3 strings"):
        open_bytes(".xcstrings", (catalog % ", ".join(f'"{name} b": {{}}' for name in "abcd")).encode())
    with pytest.raises(DataError, match="a string has more than 3 values"):
        open_bytes(".xcstrings", (catalog % '"a": {"x": [1, 2, 3, 4]}').encode())
    with pytest.raises(DataError, match="more than 3 strings"):
        open_bytes(".stringsdict", STRINGSDICT.encode())


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from regard.errors import ConfigError

    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(ConfigError) as caught:
        open_bytes(".yaml", b"a: b", languages=LanguagePair())
    assert "regard[documents]" in str(caught.value)


def test_the_number_of_a_plural_is_translated_as_a_number() -> None:
    text = '{"a": "{n, plural, =0{no} one{<b># file</b> of #, 1 more} other{# <i>files</i>}}"}'
    sources: list[str] = []

    def translate(source: str) -> str:
        sources.append(source)
        return uppercase(source)

    result = fill(".json", text.encode(), translate)
    assert sources == ["no", "2 file of 2, 1 more", "5 files"]
    expected = '{"a": "{n, plural, =0{NO} one{<b># FILE</b> OF #, 1 MORE} other{# <i>FILES</i>}}"}'
    assert result.data.decode() == expected
