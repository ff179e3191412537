"""Files: /translate_file and /download_file as LibreTranslate has them, /v2/document as DeepL has it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.unit.documents.pdfs import write_pdf
from tests.unit.serving.clients import ask, ask_all

from regard.serving import deepl_documents, file_translation
from regard.serving.api_keys import ApiKeys
from regard.serving.app import create_app
from regard.serving.file_store import FileStore
from regard.serving.file_translation import clean_name, supported_suffixes
from regard.serving.limits import Limits, RequestRejected
from regard.serving.models import Models
from regard.serving.service import Service

FIELDS = {"source": "en", "target": "de"}


@pytest.fixture
def limited(models: Models, service: Service) -> Iterator[Service]:
    """Return a service with small limits for files, which shares the batcher of `service`."""
    limits = replace(service.limits, file=300, files=2, stored=600, documents=1, file_characters=100)
    small = Service(models, limits)
    yield small
    small.close()


def send(service: Service, name: str, data: bytes, fields: dict[str, str] = FIELDS, **options: Any) -> httpx.Response:
    return ask(service, "POST", "/translate_file", data=fields, files={"file": (name, data)}, **options)


def fetch(service: Service, answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 200, answer.text
    return ask(service, "GET", answer.json()["translatedFileUrl"].removeprefix("http://here"))


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.json", b'{"a": "one two", "b": 3}', b'{"a": "eins zwei", "b": 3}'),
        ("B.PO", b'msgid "one"\nmsgstr ""\n', b'#, fuzzy\nmsgid "one"\nmsgstr "eins"\n'),
        ("a.txt", b"one two\n\nsix\n", b"eins zwei\n\nsechs\n"),
        ("a.html", b"<p>one <b>six</b></p>", b"<p>eins <b>sechs</b></p>"),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\none\n", b"WEBVTT\n\n00:01.000 --> 00:02.000\neins\n"),
        ("a.pdf", write_pdf([[(60, 700, 11, "F1", "one two")]]), b"eins zwei\n"),
    ],
)
def test_a_file_is_translated_in_its_format(service: Service, name: str, data: bytes, expected: bytes) -> None:
    answer = send(service, name, data)
    file = fetch(service, answer)
    assert (file.status_code, file.content) == (200, expected)
    stem, _, suffix = name.rpartition(".")
    translated = f"{stem}.de.{'md' if suffix == 'pdf' else suffix}"
    assert answer.json()["translatedFileUrl"].endswith(f"/{translated}")
    assert f"filename*=UTF-8''{translated}" in file.headers["content-disposition"]
    assert file.headers["content-disposition"].startswith("attachment") and "sandbox" in str(file.headers)


def test_the_source_is_detected_and_the_settings_name_the_formats(service: Service) -> None:
    answer = send(service, "a.txt", b"one two three four\n", {"source": "auto", "target": "de"})
    assert fetch(service, answer).content == b"eins zwei drei vier\n"
    settings = ask(service, "GET", "/frontend/settings").json()
    assert (settings["filesTranslation"], settings["fileLimit"]) == (True, service.limits.file)
    assert {".txt", ".json", ".docx", ".pdf", ".yaml"} <= set(settings["supportedFilesFormat"])


@pytest.mark.parametrize(
    ("name", "data", "fields", "status", "message"),
    [
        ("a.exe", b"x", FIELDS, 400, "file format '.exe' not supported"),
        ("a", b"x", FIELDS, 400, "not supported"),
        ("x/y/a.json", b'{"a": 1,\n"a": 2}', FIELDS, 400, "a.json:2: this is not valid JSON: the key 'a' occurs twice"),
        ("a.json", b"{}", {"source": "en", "target": "xx"}, 400, "xx is not supported"),
        ("a.json", b"{}", {"source": "en"}, 400, "missing target parameter"),
        ("a.json", b'"' + b"a " * 60 + b'"', FIELDS, 413, "the limit is 100"),
        ("a.json", b'"' + b"a " * 200 + b'"', FIELDS, 413, "more than 300 bytes"),
    ],
)
def test_a_file_that_cannot_be_translated_is_rejected(
    limited: Service, name: str, data: bytes, fields: dict[str, str], status: int, message: str
) -> None:
    answer = send(limited, name, data, fields)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert limited.files.running == 0 and not len(limited.files)


def test_other_requests_are_rejected(service: Service) -> None:
    assert ask(service, "POST", "/translate_file", json=FIELDS).status_code == 415
    missing = ask(service, "POST", "/translate_file", data=FIELDS, files={"other": ("a.txt", b"x")})
    assert (missing.status_code, "missing file" in missing.json()["error"]) == (400, True)
    kind = {"content-type": "multipart/form-data; boundary=x"}
    assert ask(service, "POST", "/translate_file", content=b"--x\r\nnonsense", headers=kind).status_code == 400


def test_files_are_bounded_secret_and_deleted(limited: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    first = send(limited, "a.txt", b"one\n")
    assert fetch(limited, first).content == b"eins\n"
    path = first.json()["translatedFileUrl"].removeprefix("http://here")
    assert len(path.split("/")[2]) >= 40
    for wrong in (path.replace("a.de", "b.de"), re.sub("/[^/]{40,}/", "/" + "x" * 43 + "/", path), "/download_file/a"):
        assert ask(limited, "GET", wrong).status_code == 404
    send(limited, "a.txt", b"two\n")
    full = send(limited, "a.txt", b"six\n")
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    limited.files.running = 1
    assert send(limited, "a.txt", b"six\n").status_code == 503
    limited.files.running = 0
    monkeypatch.setattr("time.monotonic", lambda: 1e12)
    limited.files.prune()
    assert len(limited.files) == 0
    assert ask(limited, "GET", path).status_code == 404


def test_a_key_is_needed_for_files(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "keys", ApiKeys(["correct-key"]))
    assert send(service, "a.txt", b"one\n").status_code == 403
    answer = send(service, "a.txt", b"one\n", {**FIELDS, "api_key": "correct-key"})
    assert fetch(service, answer).content == b"eins\n"  # the URL is the secret
    for path, options in (
        ("/v2/document", {"data": {"target_lang": "DE"}, "files": {"file": ("a.txt", b"one")}}),
        ("/v2/document/x", {"json": {"document_key": "k"}}),
        ("/v2/document/x/result", {"json": {"document_key": "k"}}),
    ):
        headers = {"authorization": "DeepL-Auth-Key wrong"}
        assert ask(service, "POST", path, headers=headers, **options).status_code == 403


def test_a_large_upload_is_accepted_for_files_only(service: Service) -> None:
    data = b'{"a": "one", "b": "' + b"1" * 2_000_000 + b'"}'
    assert fetch(service, send(service, "a.json", data)).content == data.replace(b"one", b"eins")
    assert ask(service, "POST", "/translate", content=data).status_code == 413
    assert send(service, "a.json", b" " * 12_000_000).status_code == 413


def test_metrics_and_usage_count_files(models: Models) -> None:
    service = Service(models, Limits(gather=0.001))
    fetch(service, send(service, "a.json", b'{"a": "one", "b": "two"}'))
    deepl(service, {"target_lang": "DE"}, "a.txt", b"three")
    metrics = ask(service, "GET", "/metrics").text
    for endpoint in ("/translate_file", "/download_file", "/v2/document"):
        assert f'regard_requests_total{{endpoint="{endpoint}",status="200"}}' in metrics
    assert "regard_characters_total 11.0" in metrics
    service.close()


def deepl(service: Service, fields: dict[str, str], name: str, data: bytes) -> list[httpx.Response]:
    """Send a document, wait until it is done, and return the answers: sent, last status, result."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=120) as client:
            sent = await client.post("/v2/document", data=fields, files={"file": (name, data)})
            if sent.status_code != 200:
                return [sent]
            path, key = f"/v2/document/{sent.json()['document_id']}", {"document_key": sent.json()["document_key"]}
            while True:
                status = await client.post(path, json=key)
                if status.json()["status"] not in ("queued", "translating"):
                    return [sent, status, await client.post(f"{path}/result", json=key)]
                early = await client.post(f"{path}/result", json=key)
                assert early.status_code in (200, 400, 503), early.text
                await asyncio.sleep(0.01)

    return asyncio.run(run())


@pytest.mark.parametrize(("data", "outcome"), [(b"[]", "complete"), (b"[", "fail")])
def test_a_document_that_is_done_is_not_counted(
    service: Service, monkeypatch: pytest.MonkeyPatch, data: bytes, outcome: str
) -> None:
    running, original = [], getattr(service.files, outcome)

    def note(*arguments: Any) -> None:
        running.append(service.files.running)
        original(*arguments)

    monkeypatch.setattr(service.files, outcome, note)
    deepl(service, {"target_lang": "DE", "source_lang": "EN"}, "a.json", data)
    assert running == [0]


def test_a_document_as_deepl_translates_it(service: Service) -> None:
    sent, status, result = deepl(service, {"target_lang": "DE", "source_lang": "EN"}, "a.json", b'["one two"]')
    identifier = sent.json()["document_id"]
    assert status.json() == {"document_id": identifier, "status": "done", "billed_characters": 7}
    assert result.content == b'["eins zwei"]'
    assert "a.de.json" in result.headers["content-disposition"]
    for path, key in ((identifier, "wrong"), ("unknown", sent.json()["document_key"])):
        answer = ask(service, "POST", f"/v2/document/{path}", json={"document_key": key})
        assert (answer.status_code, "no such file" in answer.json()["message"]) == (404, True)
    assert ask(service, "POST", f"/v2/document/{identifier}", json={}).status_code == 400
    assert service.files.running == 0


def test_a_document_that_fails(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _, status, result = deepl(service, {"target_lang": "DE"}, "a.json", b'{"a"')
    assert status.json()["status"] == "error"
    assert status.json()["error_message"].startswith("a.json:1: this is not valid JSON")
    assert (result.status_code, "not valid JSON" in result.json()["message"]) == (400, True)
    monkeypatch.setattr(deepl_documents, "translate_file", lambda *arguments: 1 / 0)
    _, status, _ = deepl(service, {"target_lang": "DE"}, "a.json", b"{}")
    assert status.json()["error_message"] == "the translation failed; see the log of the server"
    assert service.files.running == 0


@pytest.mark.parametrize(
    ("fields", "name", "status", "message"),
    [
        ({"target_lang": "XX"}, "a.txt", 400, "target_lang"),
        ({"target_lang": "DE", "source_lang": "FR"}, "a.txt", 400, "source_lang"),
        ({"target_lang": "DE"}, "a.exe", 400, "not supported"),
        ({"target_lang": "DE", "formality": "more"}, "a.txt", 400, "formality"),
        ({"target_lang": "DE", "output_format": "pdf"}, "a.txt", 400, "output_format"),
        ({}, "a.txt", 400, "missing target_lang"),
    ],
)
def test_documents_that_are_rejected(
    service: Service, fields: dict[str, str], name: str, status: int, message: str
) -> None:
    (answer,) = deepl(service, fields, name, b"one")
    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text
    assert service.files.running == 0


def test_many_sentences_are_translated_in_chunks(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_translation, "CHUNK", 2)
    monkeypatch.setattr(service.batcher, "_limits", replace(service.limits, queue=3))
    texts = ["one", "two", "three", "four", "five", "six", "seven"]
    answers = ask_all(
        service,
        [("POST", "/translate_file", {"data": FIELDS, "files": {"file": ("a.json", json.dumps(texts).encode())}})] * 1,
    )
    translated = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben"]
    assert json.loads(fetch(service, answers[0]).content) == translated


def test_a_store_counts_bytes() -> None:
    store = FileStore(Limits(files=3, stored=10))
    store.add("a", b"12345678")
    with pytest.raises(RequestRejected):
        store.add("b", b"123")
    identifier, key = store.create()
    store.complete(identifier, "c", b"123", 1)
    assert store.get(identifier, key).status == "error"
    with pytest.raises(RequestRejected):
        store.get(identifier, "é")
    store.create()
    with pytest.raises(RequestRejected):
        store.create()


def test_names_are_cleaned() -> None:
    assert clean_name('../../etc/x\r\n"y.json') == "xy.json"
    assert clean_name("C:\\a\\b.docx") == "b.docx"
    assert len(clean_name("a" * 500 + ".json")) == 100
    assert ".yaml" in supported_suffixes()
