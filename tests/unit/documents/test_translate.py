"""Placeholders are preserved, or the entry stays untranslated and is reported."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from tests.unit.documents.scripted import fill, open_bytes, translator, uppercase

from regard.documents.splitting import wrap_lines
from regard.documents.translate import TranslatedText, TranslationRequest, fill_document
from regard.text.segments import has_letters, split_sentences


def po(*texts: str) -> bytes:
    return "\n".join(f'msgid "{text}"\nmsgstr ""\n' for text in texts).encode()


def test_a_lost_placeholder_is_required() -> None:
    received: list[TranslationRequest] = []

    def translate(requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        received.extend(requests)
        return [
            TranslatedText("Öffne " + " ".join(request.require) if request.require else "Öffne") for request in requests
        ]

    result = fill_document(open_bytes(".po", po("Open %s")), translate)
    assert 'msgstr "Öffne %s"' in result.data.decode()
    assert [request.require for request in received] == [(), ("%s",)]
    assert result.methods == {"required": 1}


def test_without_required_placeholders_a_sentence_is_translated_in_parts() -> None:
    result = fill_document(
        open_bytes(".po", po("open %s for %d")),
        translator(lambda text: uppercase(text.replace("%s", ""))),
        requires=False,
    )
    assert 'msgstr "OPEN %s FOR %d"' in result.data.decode()
    assert result.methods == {"parts": 1}


def test_a_placeholder_is_not_a_part_of_a_word() -> None:
    result = fill(
        ".po",
        po("open %d files", "{name} goes", "go%d there"),
        lambda text: text.replace("%d ", "%drucken ") if "files" in text else uppercase(text),
    )
    assert 'msgstr "OPEN %d files"' in result.data.decode()
    assert result.methods == {"parts": 1, "whole": 2}
    suffixed = fill(".po", po("{name} goes", "%d犬 go"), lambda text: text.replace("{name} goes", "{name}s Weg"))
    assert 'msgstr "{name}s Weg"' in suffixed.data.decode() and suffixed.untranslated == 0


def test_an_entry_with_broken_placeholders_stays_untranslated() -> None:
    data = po("Open %s", "Close")
    result = fill(".po", data, lambda text: text + " %d" if "lose" not in text else "Schließen")
    assert result.data == data.replace(b'"Close"\nmsgstr ""', b'"Close"\nmsgstr "Schlie\xc3\x9fen"').replace(
        b'msgid "Close"', b'#, fuzzy\nmsgid "Close"'
    )
    (report,) = [report for report in result.reports if report.reason]
    assert (report.line, report.reason, report.source) == (1, "the translation adds %d", "Open %s")
    assert (result.filled, result.untranslated, result.already_translated) == (1, 1, 0)


def test_an_empty_translation_is_refused() -> None:
    result = fill(".po", po("Open"), lambda text: " ")
    assert [report.reason for report in result.reports] == ["the translation is empty"]
    assert fill(".po", po("Open"), lambda text: "...").reports[0].reason == "the translation has no word"


def test_both_forms_of_a_plural_are_filled_or_none() -> None:
    data = b'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
    data += b'msgid "A file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    assert fill(".po", data, lambda text: "x %d" if "A" in text else "y").data == data
    assert b'msgstr[0] "A FILE"\nmsgstr[1] "%d FILES"' in fill(".po", data, lambda text: text.upper()).data


def test_white_space_and_text_without_letters_stay() -> None:
    result = fill(".po", po(r"  Usage:\n  -a  %s\n\nand more\nof it\n", "%s: %s"))
    assert r'msgstr "  Usage:\n  -a  %s\n\nAND MORE\nOF IT\n"' in result.data.decode()
    assert 'msgstr "%s: %s"' in result.data.decode()


def test_accelerators_are_moved() -> None:
    result = fill(".po", po("_Open File", "&Close"), {"Open File": "Datei öffnen", "Close": "Schließen"}.__getitem__)
    assert 'msgstr "_Datei öffnen"' in result.data.decode()  # no o: at the first word
    assert 'msgstr "S&chließen"' in result.data.decode()


@pytest.mark.parametrize(("mark", "filled_in"), [("short", 1), ("loop", 0), ("cut", 0)])
def test_a_degenerate_translation_is_reported_and_an_unusable_one_is_refused(mark: str, filled_in: int) -> None:
    data = po("Open")
    result = fill_document(
        open_bytes(".po", data), lambda requests: [TranslatedText("auf auf auf", (), (mark,)) for _ in requests]
    )
    assert result.filled == filled_in
    (report,) = result.reports
    if filled_in:
        assert report.marks == (mark,)
    else:
        assert report.reason.startswith("the translation")
        assert report.translation == "auf auf auf"
        assert result.data == data


def test_equal_sentences_are_translated_once() -> None:
    received: list[str] = []

    def echo(text: str) -> str:
        received.append(text)
        return text

    fill(".po", b'msgctxt "a"\nmsgid "Open"\nmsgstr ""\n\nmsgctxt "b"\nmsgid "Open"\nmsgstr ""\n', echo)
    assert received == ["Open"]


def test_a_very_long_segment_is_skipped() -> None:
    result = fill(".tsv", b"source\ttarget\n" + b"a " * 20_000 + b"\t\n")
    assert "more than 20,000 characters" in result.reports[0].reason


def test_sentences_do_not_end_inside_placeholders() -> None:
    text = "See {a. B}. Then go."
    spans = list(split_sentences(text, (0, len(text)), "en", [(4, 10)]))
    assert [text[start:end] for start, end in spans] == ["See {a. B}.", "Then go."]


def test_lines_have_similar_lengths() -> None:
    assert wrap_lines("one two three four", 2) == "one two\nthree four"
    assert wrap_lines("one", 3) == "one"
    assert wrap_lines("one two three four", 2, [(3, 13)]) == "one two three\nfour"
    assert not has_letters("12 %")


def test_a_lost_emoji_is_put_between_parts() -> None:
    text = "A dog 🐶 runs 👍🏽!\n".encode()
    result = fill(
        ".md", text, lambda part: uppercase("".join(character for character in part if ord(character) < 0x2000))
    )
    assert result.data.decode() == "A DOG 🐶 RUNS 👍🏽!\n"
    assert result.methods == {"parts": 1}
    assert fill(".md", text).methods == {"whole": 1}


def test_punctuation_after_a_placeholder_stays() -> None:
    def translate(text: str) -> str:  # it loses placeholders and punctuation, as weak models do
        return re.sub(r"%d|\W+", " ", text).upper()

    result = fill(".po", po("Figure %d: a man, and (no %d) a dog"), translate)
    assert 'msgstr "FIGURE %d: A MAN AND NO %d) A DOG"' in result.data.decode()
    assert result.methods == {"parts": 1}


def test_a_full_stop_that_the_source_lacks_is_removed() -> None:
    for source, translation, expected in (
        ("Two dogs", "Zwei Hunde.", "Zwei Hunde"),
        ("Two dogs.", "Zwei Hunde.", "Zwei Hunde."),
        ("(Two dogs.)", "Zwei Hunde.", "Zwei Hunde."),
        ("the 3rd", "der 3.", "der 3."),
        ("for example", "z. B.", "z. B."),
        ("and more", "und mehr...", "und mehr..."),
    ):
        result = fill(".po", f'msgid "{source}"\nmsgstr ""\n'.encode(), lambda _, text=translation: text)  # type: ignore[misc]
        assert f'msgstr "{expected}"' in result.data.decode()
