from __future__ import annotations

import pytest
from tests.unit.serving.runs import said, sentences

from regard.serving.batcher import Ticket
from regard.serving.service import Service
from regard.serving.translate import Done, Task, translate


def done(service: Service, *texts: str, html: bool = False, alternatives: int = 0) -> Done:
    task = Task(service.models.pick("en", "de"), texts, html, alternatives)
    return translate(service.batcher, service.limits, task, Ticket(60))


def test_it_has_learned(service: Service) -> None:
    lines = sentences(40, 5)
    right = sum(one == said(line) for one, line in zip(done(service, *lines).texts, lines, strict=True))
    assert right > 30


def test_a_line_is_translated_as_by_translate(service: Service) -> None:
    lines = sentences(20, 2)
    alone = [best.text for best in service.models.served[0].translator.translate(lines)]
    assert done(service, *lines).texts == alone


@pytest.mark.parametrize("text", ["  one \t", "\ntwo\n\n", "One. Two.\n\n   six", "one two\r\n\r\nsix", "", " \n "])
def test_white_space_stays(service: Service, text: str) -> None:
    (translated,) = done(service, text).texts
    assert [one for one in translated if one.isspace()] == [one for one in text if one.isspace()]


def test_sentences_of_a_text_are_translated_apart(service: Service) -> None:
    text = "One two. Six ten.\n\nFour five."
    assert done(service, text).texts == ["Eins zwei. Sechs zehn.\n\nVier fünf."]


def test_many_texts_keep_their_order(service: Service) -> None:
    texts = [
        text for pair in zip(sentences(20, 3), ["One. Six nine.", "", "two\n\nten"] * 7, strict=False) for text in pair
    ]
    alone = [done(service, text).texts[0] for text in texts]
    assert done(service, *texts).texts == alone


def test_tags_go_around_their_words(service: Service) -> None:
    text = '<p class="x">one <b>four</b> six</p>\n<script>one</script><meta charset="latin-1"><p>two&nbsp;&lt;</p>'
    found = done(service, text, html=True).texts[0]
    assert '<p class="x">' in found
    assert "eins <b>vier</b> sechs" in found
    assert "<script>one</script>" in found
    assert found.count("<p") == found.count("</p>") == 2
    assert not found.startswith(("\ufeff", "<hr>"))


def test_alternatives_are_others(service: Service) -> None:
    found = done(service, "one two", "Six. One nine.", alternatives=2)
    for text, others in zip(found.texts, found.alternatives, strict=True):
        assert others
        assert len({text, *others}) == len(others) + 1
    assert done(service, "one two").alternatives == [[]]


def test_what_cannot_be_filled_is_told_and_stays(service: Service) -> None:
    text = "one %s. " + "one %(a)s two " * 2000  # more than anybody writes
    found = done(service, "one", text)
    assert found.texts[1] == text
    assert [(one.text, one.source) for one in found.left] == [(2, text.strip())]
    assert found.left[0].why


def test_a_sentence_that_is_too_long_is_divided(service: Service) -> None:
    words = service.models.served[0].translator.longest + 100
    (translated,) = done(service, "one " * words).texts
    assert len(translated.split()) > 10  # it was taught no more than six words in a row, so it loses many
    (both,) = done(service, "one " * words + "http://example.org").texts
    assert both.endswith("http://example.org")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["six", "six http://example.org"])
def test_lines_stay_lines(service: Service, end: str, last: str) -> None:
    lines = [
        *(line for line in ("one two three", "Six.", "two two. Nine.", "  four five six") for _ in range(2)),
        "",
        last,
    ]
    (translated,) = done(service, end.join(lines)).texts
    expected = [done(service, line).texts[0] for line in lines]
    assert translated.split(end) == expected


def test_sentences_of_a_run_that_learned_several_a_line_stay_together(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = service.models.served[0].translator
    monkeypatch.setattr(translator, "several_sentences", 0.5)
    (translated,) = done(service, "One two.\nTwo six.").texts
    assert translated == "Eins zwei.\nZwei sechs."
    assert len(translator.segments("One two. Two six.")) == 1


def test_best_alternatives_of_several_sentences(service: Service) -> None:
    found = done(service, "One two. Six ten.", alternatives=2)
    best = service.models.served[0].translator.translate("One two. Six ten.", top_beams=3)
    assert [found.texts[0], *found.alternatives[0]] == [one.text for one in best.n_best]
