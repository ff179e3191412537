"""Placeholders come through, or the entry is left and told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.documents.scripted import by, filled, loud, opened

from regard.documents.splitting import wrap_lines
from regard.documents.translate import TranslatedText, TranslationRequest, fill_document
from regard.text.segments import has_letters, split_sentences


def po(*texts: str) -> bytes:
    return "\n".join(f'msgid "{text}"\nmsgstr ""\n' for text in texts).encode()


def test_a_placeholder_that_is_lost_is_required() -> None:
    asked: list[TranslationRequest] = []

    def ask(requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        asked.extend(requests)
        return [TranslatedText("Öffne " + " ".join(one.require) if one.require else "Öffne") for one in requests]

    outcome = fill_document(opened(".po", po("Open %s")), ask)
    assert 'msgstr "Öffne %s"' in outcome.data.decode()
    assert [one.require for one in asked] == [(), ("%s",)]
    assert outcome.methods == {"required": 1}


def test_what_is_not_required_is_translated_in_parts() -> None:
    outcome = fill_document(
        opened(".po", po("open %s for %d")), by(lambda text: loud(text.replace("%s", ""))), requires=False
    )
    assert 'msgstr "OPEN %s FOR %d"' in outcome.data.decode()
    assert outcome.methods == {"parts": 1}


def test_what_is_broken_all_the_same_is_left_and_told() -> None:
    data = po("Open %s", "Close")
    outcome = filled(".po", data, lambda text: text + " %d" if "lose" not in text else "Schließen")
    assert outcome.data == data.replace(b'"Close"\nmsgstr ""', b'"Close"\nmsgstr "Schlie\xc3\x9fen"').replace(
        b'msgid "Close"', b'#, fuzzy\nmsgid "Close"'
    )
    (report,) = [report for report in outcome.reports if report.reason]
    assert (report.line, report.reason, report.source) == (1, "it has more of %d", "Open %s")
    assert (outcome.filled, outcome.untranslated, outcome.already_translated) == (1, 1, 0)


def test_an_empty_translation_is_none() -> None:
    outcome = filled(".po", po("Open"), lambda text: " ")
    assert [report.reason for report in outcome.reports] == ["the translation is empty"]
    assert filled(".po", po("Open"), lambda text: "...").reports[0].reason == "the translation has no word"


def test_of_a_plural_both_or_none() -> None:
    data = b'msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
    data += b'msgid "A file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    assert filled(".po", data, lambda text: "x %d" if "A" in text else "y").data == data
    assert b'msgstr[0] "A FILE"\nmsgstr[1] "%d FILES"' in filled(".po", data, lambda text: text.upper()).data


def test_white_space_lines_and_what_has_no_letters_stay() -> None:
    outcome = filled(".po", po(r"  Usage:\n  -a  %s\n\nand more\nof it\n", "%s: %s"))
    assert r'msgstr "  Usage:\n  -a  %s\n\nAND MORE\nOF IT\n"' in outcome.data.decode()
    assert 'msgstr "%s: %s"' in outcome.data.decode()


def test_accelerators_are_taken_off_and_put_on() -> None:
    outcome = filled(".po", po("_Open File", "&Close"), {"Open File": "Datei öffnen", "Close": "Schließen"}.__getitem__)
    assert 'msgstr "_Datei öffnen"' in outcome.data.decode()  # no o: at the first word
    assert 'msgstr "S&chließen"' in outcome.data.decode()


@pytest.mark.parametrize(("mark", "filled_in"), [("short", 1), ("loop", 0), ("cut", 0)])
def test_a_degenerate_translation_is_told_and_one_without_sense_is_not_filled(mark: str, filled_in: int) -> None:
    data = po("Open")
    outcome = fill_document(
        opened(".po", data), lambda requests: [TranslatedText("auf auf auf", (), (mark,)) for _ in requests]
    )
    assert outcome.filled == filled_in
    (report,) = outcome.reports
    if filled_in:
        assert report.marks == (mark,)
    else:
        assert report.reason.startswith("the translation")
        assert report.translation == "auf auf auf"
        assert outcome.data == data


def test_the_same_sentence_is_asked_for_once() -> None:
    asked: list[str] = []

    def say(text: str) -> str:
        asked.append(text)
        return text

    filled(".po", b'msgctxt "a"\nmsgid "Open"\nmsgstr ""\n\nmsgctxt "b"\nmsgid "Open"\nmsgstr ""\n', say)
    assert asked == ["Open"]


def test_a_segment_without_bound_is_left() -> None:
    outcome = filled(".tsv", b"source\ttarget\n" + b"a " * 20_000 + b"\t\n")
    assert "more than 20,000 characters" in outcome.reports[0].reason


def test_sentences_end_at_no_placeholder() -> None:
    text = "See {a. B}. Then go."
    spans = list(split_sentences(text, (0, len(text)), "en", [(4, 10)]))
    assert [text[start:end] for start, end in spans] == ["See {a. B}.", "Then go."]


def test_lines_are_of_like_length() -> None:
    assert wrap_lines("one two three four", 2) == "one two\nthree four"
    assert wrap_lines("one", 3) == "one"
    assert wrap_lines("one two three four", 2, [(3, 13)]) == "one two three\nfour"
    assert not has_letters("12 %")


def test_an_emoji_that_is_lost_is_put_between_parts() -> None:
    text = "A dog 🐶 runs 👍🏽!\n".encode()
    outcome = filled(".md", text, lambda said: loud("".join(one for one in said if ord(one) < 0x2000)))
    assert outcome.data.decode() == "A DOG 🐶 RUNS 👍🏽!\n"
    assert outcome.methods == {"parts": 1}
    assert filled(".md", text).methods == {"whole": 1}
