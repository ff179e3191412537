from __future__ import annotations

from typing import Any

import pytest
from tests.unit.serving.clients import ask

from regard.serving.api_keys import ApiKeys
from regard.serving.service import Service


def test_texts_keep_their_order(service: Service) -> None:
    body = {"text": ["one", "two."], "target_lang": "DE", "source_lang": "EN", "show_billed_characters": True}
    answer = ask(service, "POST", "/v2/translate", json=body).json()
    assert answer == {
        "translations": [
            {"detected_source_language": "EN", "text": "eins", "billed_characters": 3},
            {"detected_source_language": "EN", "text": "zwei.", "billed_characters": 4},
        ]
    }
    form = ask(service, "POST", "/v2/translate", data={"text": ["one", "two"], "target_lang": "de"}).json()
    assert [translation["text"] for translation in form["translations"]] == ["eins", "zwei"]
    variant = ask(service, "POST", "/v2/translate", data={"text": "one", "target_lang": "DE-CH"}).json()
    assert variant["translations"][0]["text"] == "eins"


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (None, "Eins zwei. Sechs\nzehn. Vier."),
        ("1", "Eins zwei. Sechs\nzehn. Vier."),
        ("nonewlines", "Eins zwei. Sechs\nzehn. Vier."),
    ],
)
def test_sentences_are_split_as_requested(service: Service, split: str | None, expected: str) -> None:
    body = {"text": "One two. Six\nten. Four.", "target_lang": "DE", "source_lang": "EN", "split_sentences": split}
    answer = ask(service, "POST", "/v2/translate", json=body).json()
    assert answer["translations"][0]["text"] == expected


def test_splitting_can_be_turned_off(service: Service) -> None:
    text = "One two. Six\nten. Four."
    body = {"text": text, "target_lang": "DE", "source_lang": "EN", "split_sentences": "0"}
    answer = ask(service, "POST", "/v2/translate", json=body).json()
    translator = service.models.served[0].translator
    assert answer["translations"][0]["text"] == translator.translate(text, split_sentences=False).text
    assert ask(service, "POST", "/v2/translate", json={**body, "split_sentences": "2"}).status_code == 400


def test_markup(service: Service) -> None:
    body = {"text": "one <b>six</b>", "target_lang": "DE", "tag_handling": "html"}
    answer = ask(service, "POST", "/v2/translate", json=body).json()
    assert answer["translations"][0]["text"] == "eins <b>sechs</b>"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"target_lang": "DE"}, 400),
        ({"text": "one"}, 400),
        ({"text": "one", "target_lang": "XX"}, 400),
        ({"text": "one", "target_lang": "DE", "source_lang": "FR"}, 400),
        ({"text": "one", "target_lang": "DE", "tag_handling": "xml"}, 400),
        ({"text": "one", "target_lang": "DE", "formality": "more"}, 400),
        ({"text": "one", "target_lang": "DE", "glossary_id": "g"}, 400),
        ({"text": "one", "target_lang": "DE", "source_lang": "EN", "glossary_id": "g"}, 404),
    ],
)
def test_invalid_requests_are_rejected(service: Service, fields: dict[str, Any], status: int) -> None:
    answer = ask(service, "POST", "/v2/translate", json=fields)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_languages_and_usage(service: Service) -> None:
    sources = ask(service, "GET", "/v2/languages").json()
    assert sources == [{"language": "EN", "name": "English", "supports_formality": False}]
    assert ask(service, "GET", "/v2/languages?type=target").json()[0]["language"] == "DE"
    assert ask(service, "GET", "/v2/languages?type=other").status_code == 400
    before = ask(service, "GET", "/v2/usage").json()["character_count"]
    ask(service, "POST", "/v2/translate", json={"text": ["three"], "target_lang": "DE"})
    assert ask(service, "POST", "/v2/usage").json()["character_count"] == before + 5


def test_keys(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "keys", ApiKeys(["correct-key"]))
    body = {"json": {"text": "one", "target_lang": "DE"}}
    for key, status in (("", 403), ("wrong", 403), ("correct-key", 200)):
        headers = {"authorization": f"DeepL-Auth-Key {key}"} if key else {}
        assert ask(service, "POST", "/v2/translate", headers=headers, **body).status_code == status
        assert ask(service, "GET", "/v2/usage", headers=headers).status_code == status
        assert ask(service, "GET", "/v2/languages", headers=headers).status_code == status
