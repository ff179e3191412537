from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.serving.clients import ask, ask_all
from tests.unit.serving.runs import reference, sentences

from regard.serving import libretranslate
from regard.serving import translate as translation
from regard.serving.api_keys import ApiKeys
from regard.serving.service import Service
from regard.text.numbers import Difference

PAIR = {"source": "en", "target": "de"}


def translated(service: Service, **fields: Any) -> Any:
    answer = ask(service, "POST", "/translate", json={**PAIR, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("way", ["json", "data", "params", "files"])
def test_a_text_in_each_request_format(service: Service, way: str) -> None:
    fields = {"q": "one two", **PAIR}
    options: dict[str, Any] = {
        way: {name: (None, value) for name, value in fields.items()} if way == "files" else fields
    }
    answer = ask(service, "POST", "/translate", **options)
    assert answer.json() == {"translatedText": "eins zwei"}


def test_a_list_gives_a_list(service: Service) -> None:
    assert translated(service, q=["one", "six."]) == {"translatedText": ["eins", "sechs."]}
    assert translated(service, q=["one"], alternatives=1)["alternatives"][0]
    form = ask(service, "POST", "/translate", data={"q": ["one", "two"], **PAIR})
    assert form.json() == {"translatedText": ["eins", "zwei"]}


def test_alternatives(service: Service) -> None:
    response = translated(service, q="one two", alternatives=2)
    assert response["translatedText"] == "eins zwei"
    assert 1 <= len(response["alternatives"]) <= 2


def test_numbers_that_differ_are_reported(service: Service) -> None:
    answer = translated(service, q=["one two", "one 1234 two"])
    assert {"text": 2, "kind": "number", "source": "1234"}.items() <= answer["numbers"][0].items()
    assert {difference["text"] for difference in answer["numbers"]} == {2}


def test_the_source_is_detected(service: Service) -> None:
    response = translated(service, q="one two three four", source="auto")
    assert response["translatedText"] == "eins zwei drei vier"
    assert response["detectedLanguage"]["language"] == "en"
    several = translated(service, q=["one", "two"], source="auto")
    assert [language["language"] for language in several["detectedLanguage"]] == ["en", "en"]
    detected = ask(service, "POST", "/detect", data={"q": "this is a sentence in English"}).json()
    assert detected[0]["language"] == "en"
    assert detected[0]["confidence"] > 50


def test_markup_is_preserved(service: Service) -> None:
    assert translated(service, q="<p>one <b>six</b></p>", format="html") == {
        "translatedText": "<p>eins <b>sechs</b></p>"
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": "en", "target": "de"}, "missing q parameter"),
        ({"q": "", "source": "en", "target": "de"}, "missing q parameter"),
        ({"q": [], "source": "en", "target": "de"}, "missing q parameter"),
        ({"q": "one", "target": "de"}, "missing source parameter"),
        ({"q": "one", "source": "en"}, "missing target parameter"),
        ({"q": "one", "source": "xx", "target": "de"}, "xx is not supported"),
        ({"q": "one", "source": "de", "target": "en"}, "not available as a target language"),
        ({"q": "one", "source": "en", "target": "de", "format": "pdf"}, "format"),
        ({"q": "one", "source": "en", "target": "de", "alternatives": "many"}, "alternatives"),
        ({"q": "one", "source": "en", "target": "de", "alternatives": 99}, "alternatives parameter must be <= 8"),
        ({"q": 3, "source": "en", "target": "de"}, "q"),
        ({"q": "one", "source": "en", "target": "de", "model": "none"}, "no such model"),
        ({"q": "one " * 5001, "source": "en", "target": "de"}, "exceeds text limit"),
        ({"q": ["one"] * 129, "source": "en", "target": "de"}, "exceeds text limit"),
    ],
)
def test_invalid_requests_are_rejected(service: Service, fields: dict[str, Any], message: str) -> None:
    answer = ask(service, "POST", "/translate", json=fields)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"q": "\\ud800", "source": "en", "target": "de"}',
        b"[" * 100_000,
        b"1" * 5000,
        b"NaN",
    ],
)
def test_invalid_json_is_rejected(service: Service, body: bytes) -> None:
    answer = ask(service, "POST", "/translate", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]


@pytest.mark.parametrize("body", [b"q=%ff&source=en&target=de", b"q=\xff", b"&".join([b"q=a"] * 2000)])
def test_invalid_forms_are_rejected(service: Service, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = ask(service, "POST", "/translate", content=body, headers=headers)
    assert answer.status_code == 400
    assert "form" in answer.json()["error"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/xml", b"<q/>", 415),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"--b\r\nnonsense", 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="q"; filename="f"\r\n\r\n1',
            400,
        ),
    ],
)
def test_other_bodies_are_rejected(service: Service, kind: str, body: bytes, status: int) -> None:
    answer = ask(service, "POST", "/translate", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]


def test_languages_health_and_settings(service: Service) -> None:
    assert ask(service, "GET", "/languages").json() == [
        {"code": "en", "name": "English", "targets": ["de"]},
        {"code": "de", "name": "German", "targets": []},
    ]
    assert ask(service, "GET", "/health").json() == {"status": "ok"}
    settings = ask(service, "GET", "/frontend/settings").json()
    assert settings["charLimit"] == service.limits.characters
    assert settings["language"]["target"] == {"code": "de", "name": "German"}
    assert settings["keyRequired"] is False


def test_concurrent_requests_do_not_change_translations(service: Service) -> None:
    texts = sentences(60, 7)
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/translate", {"json": {"q": text, **PAIR, "alternatives": n % 3}}) for n, text in enumerate(texts)
    ]
    concurrent = [answer.json() for answer in ask_all(service, requests)]
    alone = [ask_all(service, [request])[0].json() for request in requests]
    assert concurrent == alone
    assert sum(answer["translatedText"] == reference(text) for answer, text in zip(alone, texts, strict=True)) > 45


def test_a_key_is_required_if_keys_are_set(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "keys", ApiKeys(["correct-key"]))
    fields = {"q": "one", **PAIR}
    for key, status in (({}, 400), ({"api_key": "wrong-key"}, 403), ({"api_key": "correct-key"}, 200)):
        assert ask(service, "POST", "/translate", json={**fields, **key}).status_code == status
        assert ask(service, "POST", "/detect", data={"q": "one", **key}).status_code == status
        assert ask(service, "POST", "/attention", json={**fields, **key}).status_code == status
    headers = {"authorization": "Bearer correct-key"}
    assert ask(service, "POST", "/translate", json=fields, headers=headers).status_code == 200
    assert ask(service, "GET", "/metrics").status_code == 403
    assert ask(service, "GET", "/metrics", headers=headers).status_code == 200
    assert ask(service, "GET", "/frontend/settings").json()["keyRequired"] is True
    assert ask(service, "GET", "/languages").status_code == 200


def test_too_many_concurrent_requests_are_rejected(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    translate, request_ended = translation.translate, service.metrics.request
    rejections = threading.Semaphore(0)

    def blocked(*arguments: Any) -> translation.TranslationResult:
        for _ in range(7):
            assert rejections.acquire(timeout=50)
        return translate(*arguments)

    def count_rejections(endpoint: str, status: int, seconds: float) -> None:
        request_ended(endpoint, status, seconds)
        if status == 503:
            rejections.release()

    monkeypatch.setattr(service, "limits", replace(service.limits, requests=1))
    monkeypatch.setattr(translation, "translate", blocked)
    monkeypatch.setattr(service.metrics, "request", count_rejections)
    request = ("POST", "/translate", {"json": {"q": "one two three four five", **PAIR}})
    answers = ask_all(service, [request] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [503] * 7
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_sentences_and_a_prefix_on_request(service: Service) -> None:
    body = {"q": "One two. Six ten.", "source": "en", "target": "de"}
    answer = ask(service, "POST", "/translate", json={**body, "sentences": True}).json()
    spans = [answer["translatedText"][part["target_start"] : part["target_end"]] for part in answer["sentences"]]
    assert spans == ["Eins zwei.", "Sechs zehn."]
    answers = ask(service, "POST", "/translate", json={**body, "q": ["One two.", "six"], "sentences": True}).json()
    assert [len(sentences) for sentences in answers["sentences"]] == [1, 1]
    assert "sentences" not in ask(service, "POST", "/translate", json=body).json()
    answer = ask(service, "POST", "/translate", json={**body, "prefix": "Vier "}).json()
    assert answer["translatedText"].startswith("Vier ")
    for wrong in ({"q": ["one", "two"]}, {"format": "html"}, {"prefix": "a " * 11_000}, {"prefix": "a " * 99}):
        assert ask(service, "POST", "/translate", json={**body, "prefix": "Vier ", **wrong}).status_code == 400


def test_a_request_may_have_as_many_texts_as_the_limit(service: Service) -> None:
    texts = ["one"] * service.limits.texts
    assert translated(service, q=texts)["translatedText"] == ["eins"] * len(texts)
    answer = ask(service, "POST", "/translate", json={**PAIR, "q": [*texts, "one"]})
    assert (answer.status_code, "(129) exceeds text limit (128 texts)" in answer.json()["error"]) == (400, True)


def test_numbers_are_compared_while_other_requests_are_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def note(*_: object) -> list[Difference]:
        threads.append(threading.current_thread())
        return []

    monkeypatch.setattr(libretranslate, "find_differences", note)
    translated(service, q="one 1234 two")
    assert threads and threading.main_thread() not in threads
