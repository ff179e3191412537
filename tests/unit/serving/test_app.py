from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.serving.clients import ask, ask_all

from regard.errors import ConfigError
from regard.serving import attention, translate, web_page
from regard.serving.api_keys import ApiKeys, load_api_keys
from regard.serving.batcher import Ticket
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

SENTENCE = {"q": "one two three", "source": "en", "target": "de"}


def test_attention_of_a_translation(service: Service) -> None:
    answer = ask(service, "POST", "/attention", json={**SENTENCE, "alternatives": 2}).json()
    assert answer["translatedText"] == "eins zwei drei"
    assert answer["model"] == ask(service, "GET", "/models").json()[0]
    assert answer["alternatives"][0]["text"] == "eins zwei drei"
    assert len(answer["alternatives"]) == 3
    assert answer["alternatives"][0]["tokens"] == ["eins", "zwei", "drei"]
    scores = [alternative["score"] for alternative in answer["alternatives"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["score"] == scores[0]
    maps = answer["looks"]
    assert maps["target"]["words"] == ["eins", "zwei", "drei", "</s>"]
    np.testing.assert_allclose(np.sum(maps["mean"], 1), 1, atol=1e-3)


def test_attention_of_a_forced_translation(service: Service) -> None:
    answer = ask(service, "POST", "/attention", json={**SENTENCE, "target_text": "zehn acht"}).json()
    assert answer["translatedText"] == "zehn acht"
    assert answer["looks"]["target"]["words"] == ["zehn", "acht", "</s>"]
    (expected,) = service.models.served[0].translator.score([("one two three", "zehn acht")])
    assert answer["score"] == pytest.approx(expected, abs=1e-4)


def test_attention_translates_all_sentences_and_shows_the_first(service: Service) -> None:
    text = "😀 One two.  Six ten.\n\nFour."
    answer = ask(service, "POST", "/attention", json={**SENTENCE, "q": text, "alternatives": 1}).json()
    translated = ask(service, "POST", "/translate", json={**SENTENCE, "q": text}).json()["translatedText"]
    assert answer["translatedText"] == translated
    assert translated.endswith("zwei.  Sechs zehn.\n\nVier.")
    spans = [(text[span["start"] : span["end"]], span) for span in answer["sentences"]]
    assert [source for source, _ in spans] == ["😀 One two.", "Six ten.", "Four."]
    assert [translated[span["target_start"] : span["target_end"]] for _, span in spans][1:] == ["Sechs zehn.", "Vier."]
    first = ask(service, "POST", "/attention", json={**SENTENCE, "q": "😀 One two.", "split_sentences": False}).json()
    assert answer["looks"]["source"] == first["looks"]["source"]
    assert len(first["sentences"]) == 1
    forced = ask(service, "POST", "/attention", json={**SENTENCE, "q": text, "target_text": "zehn"}).json()
    assert forced["translatedText"] == "zehn  Sechs zehn.\n\nVier."


PLACEHOLDERS = [
    "One http://example.org/a?b=1 six.",
    "😀 One two. Six http://example.org/a ten.\n\n  Four %s five. {name} nine.\r\nwww.example.org\n",
    "one two three %(count)d",
    "One %s %s.\n12 {x}",
    "One --two.",
]


@pytest.mark.parametrize("split", [None, False])
@pytest.mark.parametrize("text", PLACEHOLDERS, ids=lambda text: text[:20])
def test_placeholders_are_preserved_with_attention_as_without(service: Service, text: str, split: bool | None) -> None:
    task = translate.Task(service.models.pick("en", "de"), [text], split_sentences=split)
    (expected,) = translate.translate(service.batcher, service.limits, task, Ticket(60)).texts
    fields = {**SENTENCE, "q": text, "split_sentences": split, "alternatives": 2}
    answer = ask(service, "POST", "/attention", json=fields).json()
    assert answer["translatedText"] == expected
    first, *_ = answer["sentences"]
    first_translation = expected[first["target_start"] : first["target_end"]]
    assert answer["alternatives"][0]["text"] == first_translation
    assert answer["alternatives"][0]["score"] == answer["score"]
    assert len({alternative["text"] for alternative in answer["alternatives"]}) == len(answer["alternatives"])
    for span in answer["sentences"]:
        source = text[span["start"] : span["end"]]
        alone = ask(service, "POST", "/attention", json={**SENTENCE, "q": source, "split_sentences": False}).json()
        assert alone["translatedText"] == expected[span["target_start"] : span["target_end"]]


@pytest.mark.parametrize("count", [1, 2000])
def test_a_text_whose_segments_translate_differently_alone_is_one_segment(
    service: Service, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def different(*arguments: Any) -> translate.TranslationResult:
        result = translate.translate(*arguments)
        return translate.TranslationResult(
            [f" {text} different " if not index else text for index, text in enumerate(result.texts)], []
        )

    monkeypatch.setattr(attention, "translate", different)
    text = " One %s. Six ten. " + "two " * count
    answer = ask(service, "POST", "/attention", json={**SENTENCE, "q": text}).json()
    assert answer["translatedText"].endswith("different" + " " * (len(text) - len(text.rstrip())))
    (segment,) = answer["sentences"]
    assert text[segment["start"] : segment["end"]] == text.strip()
    assert (answer["looks"] is None) == (count > 1)


def test_attention_of_a_forced_translation_with_placeholders(service: Service) -> None:
    fields = {**SENTENCE, "q": "One %s.\nSix http://example.org", "target_text": "zehn %s"}
    answer = ask(service, "POST", "/attention", json=fields).json()
    assert answer["translatedText"].startswith("zehn %s\n")
    assert answer["translatedText"].endswith("http://example.org")
    assert answer["looks"]["target"]["words"][0] == "zehn"


def test_a_sentence_too_long_for_attention_is_still_translated(service: Service) -> None:
    answer = ask(service, "POST", "/attention", json={**SENTENCE, "q": "one " * 101 + "\nSix."}).json()
    assert answer["looks"] is None
    assert "up to 100 tokens, and this sentence has" in answer["note"]
    assert answer["translatedText"].endswith("\nSechs.")


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"q": " "}, "missing q"), ({"alternatives": 9}, "alternatives")],
)
def test_attention_rejects_invalid_fields(service: Service, fields: dict[str, Any], message: str) -> None:
    answer = ask(service, "POST", "/attention", json={**SENTENCE, **fields})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_the_page_and_its_files(service: Service) -> None:
    index = ask(service, "GET", "/")
    assert index.status_code == 200
    assert "'unsafe-inline'" not in index.headers["content-security-policy"]
    assert index.headers["x-content-type-options"] == "nosniff"
    for name in re.findall(r'(?:src|href)="/?(static/[^"]+)"', index.text):
        assert ask(service, "GET", f"/{name}").status_code == 200, name
    script = ask(service, "GET", "/static/explorer.js")
    assert "class Explorer" in script.text
    assert script.headers["content-encoding"] == "gzip"  # httpx accepts it
    plain = ask(service, "GET", "/static/explorer.js", headers={"accept-encoding": "identity"})
    assert plain.text == script.text
    assert plain.headers["etag"] != script.headers["etag"]
    again = ask(service, "GET", "/static/explorer.js", headers={"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e%2fapp.py", "..%2f..%2f..%2fpyproject.toml", "x", "index.html"])
def test_no_other_file_is_served(service: Service, name: str) -> None:
    answer = ask(service, "GET", f"/static/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_cross_origin_requests_need_an_allowed_origin(service: Service) -> None:
    request = ("GET", "/health", {"headers": {"origin": "http://there"}})
    assert "access-control-allow-origin" not in ask_all(service, [request])[0].headers
    allowed = ask_all(service, [request], origins=["http://there"])[0]
    assert allowed.headers["access-control-allow-origin"] == "http://there"


def test_metrics_count(service: Service) -> None:
    ask(service, "POST", "/translate", json=SENTENCE)
    ask(service, "POST", "/translate", json={})
    ask(service, "GET", "/nowhere/else")
    text = ask(service, "GET", "/metrics").text
    for line in (
        'regard_requests_total{endpoint="/translate",status="200"}',
        'regard_requests_total{endpoint="/translate",status="400"}',
        'regard_requests_total{endpoint="other",status="404"}',
        'regard_request_seconds_bucket{endpoint="/translate",le="0.1"}',
        "regard_batch_sentences_count",
        "regard_characters_total",
        "regard_queue_sentences 0.0",
    ):
        assert line in text
    assert "nowhere" not in text


def test_an_oversized_body_is_rejected_before_it_is_read(service: Service) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1 << 14
            yield b"x" * (1 << 14)

    declared = ask(service, "POST", "/translate", content=b"x", headers={"content-length": str(10**9)})
    assert declared.status_code == 413
    answer = ask(service, "POST", "/translate", content=endless(), headers={"transfer-encoding": "chunked"})
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert ask(service, "POST", "/v2/translate", content=b"", headers={"content-length": "-1"}).status_code == 413


def test_a_slow_body_times_out(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "limits", replace(service.limits, receive=0.1))

    async def slow() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    answer = ask(service, "POST", "/translate", content=slow(), headers={"transfer-encoding": "chunked"})
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"


def test_internal_errors_reveal_no_details(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("a secret in /a/path")

    monkeypatch.setattr(translate, "translate", broken)
    answer = ask(service, "POST", "/translate", json=SENTENCE)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    monkeypatch.setattr(service, "check_texts", broken)
    answer = ask(service, "POST", "/translate", json=SENTENCE)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert ask(service, "GET", "/health").status_code == 200


def test_requests_are_rejected_during_shutdown(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "is_draining", True)
    for path in ("/health", "/translate", "/v2/translate"):
        answer = ask(service, "POST", path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_keys_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load_api_keys(None)
    file = tmp_path / "keys"
    file.write_text("one-two-three\n\nfour-five-six\n")
    assert load_api_keys(file)
    monkeypatch.setenv("REGARD_API_KEYS", "seven-eight")
    assert load_api_keys(None)
    for wrong in ("\n", "short\n", "has a space in it\n"):
        file.write_text(wrong)
        monkeypatch.delenv("REGARD_API_KEYS", raising=False)
        with pytest.raises(ConfigError):
            load_api_keys(file)
    assert not ApiKeys()


def test_the_files_of_the_page_include_the_index() -> None:
    assert web_page.INDEX in web_page._read_files()


def test_the_openapi_document_lists_every_endpoint_and_each_schema_once(service: Service) -> None:
    answer = ask(service, "GET", "/openapi.json")
    document, paths = answer.json(), answer.json()["paths"]
    schemas = document["components"]["schemas"]
    references = set(re.findall(r'"\$ref":"([^"]*)"', answer.text))
    assert references == {f"#/components/schemas/{name}" for name in schemas}
    operations = [operation for methods in paths.values() for operation in methods.values()]
    assert not any(
        "422" in operation["responses"] for operation in operations
    )  # invalid requests are answered with 400
    bodies = [operation["requestBody"]["content"] for operation in operations if "requestBody" in operation]
    assert all([*content["schema"]] == ["$ref"] for body in bodies for content in body.values())
    assert "file" in schemas["FileRequest"]["required"]
    assert schemas["GlossaryPatch"]["properties"]["dictionaries"]["anyOf"][0]["items"] == {
        "$ref": "#/components/schemas/DictionaryRequest"
    }
    assert set(paths) == {
        *("/translate", "/detect", "/languages", "/health", "/frontend/settings", "/suggest"),
        *("/v2/translate", "/v2/languages", "/v2/usage", "/models", "/attention", "/alternatives", "/examples"),
        *("/translate_file", "/download_file/{identifier}/{name}"),
        *("/v2/document", "/v2/document/{document_id}", "/v2/document/{document_id}/result"),
        *("/v2/glossaries", "/v2/glossaries/{id}", "/v2/glossaries/{id}/entries", "/v2/glossary-language-pairs"),
        *("/v3/glossaries", "/v3/glossaries/{id}", "/v3/glossaries/{id}/entries", "/v3/glossaries/{id}/dictionaries"),
    }


@pytest.mark.parametrize("path", ["/", "/health", "/languages", "/static/page.js", "/metrics", "/nowhere"])
def test_head_matches_get_without_a_body(service: Service, path: str) -> None:
    got, head = ask(service, "GET", path), ask(service, "HEAD", path)
    assert head.status_code == got.status_code
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":  # the counters change between the requests
        assert head.headers["content-length"] == got.headers["content-length"]
    assert head.content == b""


def test_head_is_not_allowed_without_get(service: Service) -> None:
    answer = ask(service, "HEAD", "/translate")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("scheme", ["Bearer", "DeepL-Auth-Key"])
def test_a_key_can_contain_non_ascii_letters(
    service: Service, monkeypatch: pytest.MonkeyPatch, encoding: str, scheme: str
) -> None:
    monkeypatch.setattr(service, "keys", ApiKeys(["schlüssel-der-tür"]))

    def status(key: str) -> int:
        header = f"{scheme} {key}".encode(encoding)
        return ask(service, "GET", "/v2/usage", headers=[(b"authorization", header)]).status_code

    assert status("schlüssel-der-tür") == 200
    assert status("schlüssel-der-tor") == status("schluessel-der-tuer") == 403


def test_only_texts_of_accepted_requests_are_counted(models: Models) -> None:
    service = Service(models, Limits(gather=0.001), ApiKeys(["a-right-key"]))
    right = {"headers": {"authorization": "Bearer a-right-key"}}

    def character_count() -> int:
        return int(ask(service, "GET", "/v2/usage", **right).json()["character_count"])

    try:
        for path, body in (
            ("/translate", SENTENCE),
            ("/translate", {**SENTENCE, "target": "xx"}),
            ("/translate", {**SENTENCE, "alternatives": 99}),
            ("/translate", {**SENTENCE, "q": "one " * 6000}),  # more than Limits.characters
            ("/attention", {**SENTENCE, "q": "one " * 6000}),
            ("/v2/translate", {"text": ["one"], "target_lang": "XX"}),
        ):
            wrong = {} if body is SENTENCE else right
            assert ask(service, "POST", path, json=body, **wrong).status_code >= 400
        assert character_count() == 0
        assert ask(service, "POST", "/translate", json=SENTENCE, **right).status_code == 200
        assert character_count() == len(SENTENCE["q"])
        assert (
            ask(service, "POST", "/v2/translate", json={"text": ["one"], "target_lang": "DE"}, **right).status_code
            == 200
        )
        assert character_count() == len(SENTENCE["q"]) + len("one")
    finally:
        service.close()
