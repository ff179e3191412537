from __future__ import annotations

import pytest
from tests.unit.serving.runs import reference, sentences

from regard.serving.batcher import Ticket
from regard.serving.limits import RequestRejected
from regard.serving.service import Service
from regard.serving.translate import Task, TranslationResult, translate


def run(service: Service, *texts: str, html: bool = False, alternatives: int = 0) -> TranslationResult:
    task = Task(service.models.pick("en", "de"), texts, html, alternatives)
    return translate(service.batcher, service.limits, task, Ticket(60))


def test_the_model_has_learned(service: Service) -> None:
    lines = sentences(40, 5)
    right = sum(text == reference(line) for text, line in zip(run(service, *lines).texts, lines, strict=True))
    assert right > 30


def test_lines_are_translated_as_by_the_translator(service: Service) -> None:
    lines = sentences(20, 2)
    alone = [best.text for best in service.models.served[0].translator.translate(lines)]
    assert run(service, *lines).texts == alone


@pytest.mark.parametrize("text", ["  one \t", "\ntwo\n\n", "One. Two.\n\n   six", "one two\r\n\r\nsix", "", " \n "])
def test_whitespace_is_preserved(service: Service, text: str) -> None:
    (translated,) = run(service, text).texts
    assert list(filter(str.isspace, translated)) == list(filter(str.isspace, text))


def test_sentences_are_translated_separately(service: Service) -> None:
    text = "One two. Six ten.\n\nFour five."
    assert run(service, text).texts == ["Eins zwei. Sechs zehn.\n\nVier fünf."]


def test_many_texts_keep_their_order(service: Service) -> None:
    texts = [
        text for pair in zip(sentences(20, 3), ["One. Six nine.", "", "two\n\nten"] * 7, strict=False) for text in pair
    ]
    alone = [run(service, text).texts[0] for text in texts]
    assert run(service, *texts).texts == alone


def test_tags_go_around_their_words(service: Service) -> None:
    text = '<p class="x">one <b>four</b> six</p>\n<script>one</script><meta charset="latin-1"><p>two&nbsp;&lt;</p>'
    html = run(service, text, html=True).texts[0]
    assert '<p class="x">' in html
    assert "eins <b>vier</b> sechs" in html
    assert "<script>one</script>" in html
    assert html.count("<p") == html.count("</p>") == 2
    assert not html.startswith(("\ufeff", "<hr>"))


def test_alternatives_are_distinct(service: Service) -> None:
    result = run(service, "one two", "Six. One nine.", alternatives=2)
    for text, alternatives in zip(result.texts, result.alternatives, strict=True):
        assert alternatives
        assert len({text, *alternatives}) == len(alternatives) + 1
    assert run(service, "one two").alternatives == [[]]


def test_text_that_cannot_be_filled_in_is_reported_and_unchanged(service: Service) -> None:
    text = "one %s. " + "one %(a)s two " * 2000  # too many to fill in
    result = run(service, "one", text)
    assert result.texts[1] == text
    assert [(entry.text, entry.source) for entry in result.skipped] == [(2, text.strip())]
    assert result.skipped[0].reason


def test_long_sentences_are_split(service: Service) -> None:
    words = service.models.served[0].translator.longest + 100
    (translated,) = run(service, "one " * words).texts
    assert len(translated.split()) > 10  # it was trained on at most six words and drops the rest
    (both,) = run(service, "one " * words + "http://example.org").texts
    assert both.endswith("http://example.org")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["six", "six http://example.org"])
def test_line_breaks_are_preserved(service: Service, end: str, last: str) -> None:
    lines = [
        *(line for line in ("one two three", "Six.", "two two. Nine.", "  four five six") for _ in range(2)),
        "",
        last,
    ]
    (translated,) = run(service, end.join(lines)).texts
    expected = [run(service, line).texts[0] for line in lines]
    assert translated.split(end) == expected


def test_sentences_of_a_run_that_learned_several_a_line_stay_together(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = service.models.served[0].translator
    monkeypatch.setattr(translator, "several_sentences", 0.5)
    (translated,) = run(service, "One two.\nTwo six.").texts
    assert translated == "Eins zwei.\nZwei sechs."
    assert len(translator.segments("One two. Two six.")) == 1


def test_best_alternatives_of_several_sentences(service: Service) -> None:
    result = run(service, "One two. Six ten.", alternatives=2)
    best = service.models.served[0].translator.translate("One two. Six ten.", top_beams=3)
    assert [result.texts[0], *result.alternatives[0]] == [translation.text for translation in best.n_best]


def test_sentences_are_found_in_text_with_and_without_placeholders(service: Service) -> None:
    texts = ["  One two. Six ten.\n\nFour.", "One http://example.org/a six. Two.\nThree", ""]
    task = Task(service.models.pick("en", "de"), texts, with_sentences=True)
    result = translate(service.batcher, service.limits, task, Ticket(60))
    assert result.texts == run(service, *texts).texts
    for text, translated, spans in zip(texts, result.texts, result.sentences, strict=True):
        for (start, end), (target_start, target_end) in spans:
            assert run(service, text[start:end]).texts == [translated[target_start:target_end]]
    assert [len(spans) for spans in result.sentences] == [3, 3, 0]


def test_sentences_are_found_where_documents_are_translated_differently(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regard.documents.translate._strip_added_stop", lambda source, translation: f"{translation}!")
    task = Task(service.models.pick("en", "de"), ["One\n\U0001f6b2 six.\nTwo"], with_sentences=True)
    result = translate(service.batcher, service.limits, task, Ticket(60))
    assert result.texts == ["Eins!\n\U0001f6b2 sechs.!\nZwei!"]
    assert [target for _, target in result.sentences[0]] == [(0, 5), (6, 15), (16, 21)]


@pytest.mark.parametrize("strategy", ["beam", "sample"])
def test_a_translation_begins_with_the_prefix(service: Service, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    served = service.models.pick("en", "de")
    monkeypatch.setattr(served.translator, "search", served.translator.search.model_copy(update={"strategy": strategy}))

    def after(prefix: str, text: str) -> str:
        task = Task(served, [text], prefix=prefix)
        return translate(service.batcher, service.limits, task, Ticket(60)).texts[0]

    assert after("zwei ", "one two three").startswith("zwei ")
    with pytest.raises(RequestRejected, match="lacks http"):  # its vocabulary has only words
        after("neun", "one http://example.org/a six")
    first, second = after("zehn ", "One two.\nFour.").split("\n")
    assert first.startswith("zehn ")
    assert second
