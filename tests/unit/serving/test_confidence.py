"""The confidence of translations in POST /translate, and the sentences that it leaves untranslated."""

from __future__ import annotations

from typing import Any

from tests.unit.serving.clients import ask

from regard.serving.service import Service

PAIR = {"source": "en", "target": "de"}


def translate(service: Service, **fields: Any) -> Any:
    answer = ask(service, "POST", "/translate", json={**PAIR, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_text_and_word_has_a_confidence(calibrated: Service) -> None:
    answer = translate(calibrated, q="one two. three", confidence=True)
    text = answer["translatedText"]
    assert [text[word["start"] : word["end"]] for word in answer["words"]] == text.split()
    assert all(0 < word["confidence"] < 1 for word in answer["words"])
    assert 0 < answer["confidence"] < 1
    several = translate(
        calibrated, q=["one two. three", " ", "one %s two", "<b>one</b> https://a.org/b"], confidence=True
    )
    assert several["confidence"][0] == answer["confidence"]
    assert several["words"][0] == answer["words"]
    assert several["confidence"][1] == 1
    assert several["words"][1] == []
    for placeholders in several["translatedText"][2:], several["words"][2:]:
        assert len(placeholders) == 2
    text = several["translatedText"][2]
    assert {text[word["start"] : word["end"]] for word in several["words"][2]} <= set(text.split())
    assert several["words"][2]
    assert "words" not in translate(calibrated, q="one two")


def test_confidence_changes_no_translation(calibrated: Service, service: Service) -> None:
    for fields in ({"q": "one two. three"}, {"q": "one <b>two</b>", "format": "html"}, {"q": "six", "alternatives": 2}):
        plain = translate(service, **fields)
        answer = translate(calibrated, **fields, confidence=True)
        assert answer["translatedText"] == plain["translatedText"]
        assert answer.get("alternatives") == plain.get("alternatives")


def test_too_little_confidence_leaves_a_sentence_untranslated(calibrated: Service) -> None:
    answer = translate(calibrated, q=["one two.", "one %s two"], min_confidence=0.999)
    assert answer["translatedText"] == ["one two.", "one %s two"]
    assert [entry["text"] for entry in answer["untranslated"]] == [2, 1]
    assert all("below 0.999" in entry["why"] for entry in answer["untranslated"])
    html = translate(calibrated, q="<p>one <b>two</b></p>", format="html", min_confidence=0.999, confidence=True)
    assert html["translatedText"] == "<p>one <b>two</b></p>"
    assert html["words"] == []
    assert "untranslated" not in translate(calibrated, q="one two.", min_confidence=0)


def test_a_run_that_has_learned_none_says_so(calibrated: Service, service: Service) -> None:
    assert ask(calibrated, "GET", "/frontend/settings").json()["confidence"] is True
    assert ask(service, "GET", "/frontend/settings").json()["confidence"] is False
    refused = ask(service, "POST", "/translate", json={**PAIR, "q": "one", "confidence": True})
    assert refused.status_code == 400
    assert "regard calibrate" in refused.json()["error"]
