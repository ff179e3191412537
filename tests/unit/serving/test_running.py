"""A server in a separate process: published clients, broken clients, concurrency, reloading, startup errors."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from unittest import mock

import deepl
import httpx
import pytest
import schemathesis
from deepl.api_data import MultilingualGlossaryDictionaryEntries
from hypothesis import HealthCheck, Phase, given, settings
from libretranslate_aio import LibreTranslate
from libretranslate_aio.exceptions import BadRequestError
from libretranslatepy import LibreTranslateAPI
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.end_to_end.helpers import call, refused
from tests.unit.serving.running import KEY, REQUEST, Running
from tests.unit.serving.runs import add_checkpoint

from regard.checkpoints.run_folder import RunFolder
from regard.corpus.corrections import CorrectionStore

OTHER_KEY = "another-key-of-a-test"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the run, to which a test adds a checkpoint."""
    return shutil.copytree(run, tmp_path_factory.mktemp("served") / "small", symlinks=True)


@pytest.fixture(scope="module")
def glossaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("glossaries")


@pytest.fixture(scope="module")
def server(folder: Path, glossaries: Path) -> Iterator[Running]:
    corrections = folder.with_name("corrections.sqlite")
    options = ("--corrections", str(corrections), "--glossaries", str(glossaries))
    running = Running(folder, "--port", "0", *options, REGARD_API_KEYS=f"{KEY} {OTHER_KEY}")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in "".join(running.output), "".join(running.output)


def test_the_libretranslate_client(server: Running) -> None:
    client = LibreTranslateAPI(server.url, api_key=KEY)
    assert client.translate("one two three", "en", "de") == "eins zwei drei"
    assert client.translate("One. Two.", "auto", "de") == "Eins. Zwei."
    assert client.detect("this is English")[0]["language"] == "en"
    assert [language["targets"] for language in client.languages() if language["code"] == "en"] == [["de"]]


def test_a_client_of_libretranslate_that_suggests(server: Running, folder: Path) -> None:
    with LibreTranslate(server.url, api_key=KEY) as client:
        assert client.frontend_settings().suggestions
        assert client.suggest("one two", "eins und zwei", "en", "de")
        with pytest.raises(BadRequestError, match="missing s parameter"):
            client.suggest("one two", "", "en", "de")
    with LibreTranslate(server.url) as client, pytest.raises(BadRequestError, match="API key"):
        client.suggest("one two", "eins", "en", "de")
    (_, correction), *_ = CorrectionStore(folder.with_name("corrections.sqlite")).read()
    assert correction is not None
    assert (correction.target, correction.translation) == ("eins und zwei", "eins zwei")


def test_the_deepl_client(server: Running) -> None:
    client = deepl.DeepLClient(KEY, server_url=server.url)
    assert str(client.translate_text("one two", target_lang="DE")) == "eins zwei"
    several = client.translate_text(["one", "six."], source_lang="EN", target_lang="DE")
    assert isinstance(several, list)
    assert [result.text for result in several] == ["eins", "sechs."]
    assert several[0].detected_source_lang == "EN"
    marked = client.translate_text("one <b>six</b>", target_lang="DE", tag_handling="html")
    assert str(marked) == "eins <b>sechs</b>"
    assert [language.code for language in client.get_source_languages()] == ["EN"]
    assert [language.code for language in client.get_target_languages()] == ["DE"]
    assert client.get_usage().character.valid
    with pytest.raises(deepl.AuthorizationException):
        deepl.DeepLClient("another", server_url=server.url).get_usage()
    with pytest.raises(deepl.DeepLException, match="not supported"):
        client.translate_text("one", target_lang="FR")


def test_the_clients_translate_files(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(0.01))  # DeepL's client waits for 5 seconds
    (source := tmp_path / "a.json").write_text('{"a": "one two", "b": ["six"]}')
    with LibreTranslate(server.url, api_key=KEY, timeout=120) as client:
        url = client.translate_file(source, "en", "de").translated_file_url
        settings = client.frontend_settings()
    assert ".json" in settings.supported_files_format
    assert httpx.get(url, timeout=120).json() == {"a": "eins zwei", "b": ["sechs"]}
    deepl_client = deepl.DeepLClient(KEY, server_url=server.url)
    status = deepl_client.translate_document_from_filepath(source, target := tmp_path / "b.json", target_lang="DE")
    assert (status.done, status.billed_characters) == (True, 10)
    assert json.loads(target.read_text()) == {"a": "eins zwei", "b": ["sechs"]}
    with pytest.raises(deepl.DocumentTranslationException, match="not valid JSON"):
        deepl_client.translate_document(b"{", io.BytesIO(), target_lang="DE", filename="a.json")
    with pytest.raises(deepl.DeepLException, match="not supported"):
        deepl_client.translate_document_upload(b"x", target_lang="DE", filename="a.exe")
    with pytest.raises(deepl.AuthorizationException):
        deepl.DeepLClient("another", server_url=server.url).translate_document_upload(
            b"x", target_lang="DE", filename="a.txt"
        )


def test_the_deepl_client_with_glossaries_of_one_language_pair(server: Running, glossaries: Path) -> None:
    client = deepl.DeepLClient(KEY, server_url=server.url)
    glossary = client.create_glossary("numbers", "EN", "DE", {"one": "zehn", "two": "vier"})
    assert (glossary.name, glossary.ready, glossary.entry_count) == ("numbers", True, 2)
    assert client.get_glossary_entries(glossary) == {"one": "zehn", "two": "vier"}
    assert [listed.glossary_id for listed in client.list_glossaries()] == [glossary.glossary_id]
    assert client.get_glossary(glossary.glossary_id).name == "numbers"
    assert [(pair.source_lang, pair.target_lang) for pair in client.get_glossary_languages()] == [("en", "de")]
    options: dict[str, Any] = {"source_lang": "EN", "target_lang": "DE", "glossary": glossary}
    assert {"zehn", "vier"} <= {*str(client.translate_text("one two", **options)).lower().split()}
    assert "zehn" in str(client.translate_text_with_glossary("one six", glossary)).lower()
    assert "zehn" in str(client.translate_text("six <b>one</b>", tag_handling="html", **options)).lower()
    assert str(client.translate_text("one two", source_lang="EN", target_lang="DE")) == "eins zwei"
    another = deepl.DeepLClient(OTHER_KEY, server_url=server.url)
    assert another.list_glossaries() == []
    with pytest.raises(deepl.GlossaryNotFoundException):
        another.get_glossary(glossary.glossary_id)
    body = {**REQUEST, "glossary_id": glossary.glossary_id, "api_key": KEY}
    assert "zehn" in httpx.post(f"{server.url}/translate", json=body).json()["translatedText"].lower()
    assert httpx.post(f"{server.url}/translate", json={**body, "api_key": OTHER_KEY}).status_code == 404
    assert httpx.get(f"{server.url}/frontend/settings").json()["glossaries"] is True
    client.delete_glossary(glossary)
    with pytest.raises(deepl.GlossaryNotFoundException):
        client.get_glossary_entries(glossary)
    assert list(glossaries.iterdir()) == []


def test_the_deepl_client_with_multilingual_glossaries(server: Running, glossaries: Path) -> None:
    client = deepl.DeepLClient(KEY, server_url=server.url)
    entries = MultilingualGlossaryDictionaryEntries
    english, french = entries("EN", "DE", {"one": "zehn"}), entries("FR", "DE", {"un": "zehn"})
    with pytest.raises(deepl.DeepLException, match="a glossary from FR to DE is not supported"):
        client.create_multilingual_glossary("numbers", [english, french])
    created = client.create_multilingual_glossary("numbers", [english])
    (path,) = glossaries.iterdir()  # a server with more models adds French
    content = json.loads(path.read_text())
    content["dictionaries"].append({"source": "fr", "target": "de", "entries": [["un", "zehn"]]})
    path.write_text(json.dumps(content))
    glossary = client.get_multilingual_glossary(created.glossary_id)
    assert [dictionary.source_lang.lower() for dictionary in glossary.dictionaries] == ["en", "fr"]
    updated = client.update_multilingual_glossary_dictionary(glossary, entries("EN", "DE", {"two": "vier"}))
    assert sorted(dictionary.entry_count for dictionary in updated.dictionaries) == [1, 2]
    renamed = client.update_multilingual_glossary_name(glossary, "all numbers")
    assert client.get_multilingual_glossary(glossary.glossary_id).name == renamed.name == "all numbers"
    result = client.translate_text("one two", source_lang="EN", target_lang="DE", glossary=renamed)
    assert {"zehn", "vier"} <= {*str(result).lower().split()}
    assert client.replace_multilingual_glossary_dictionary(glossary, english).entry_count == 1
    (listed,) = client.get_multilingual_glossary_entries(glossary, "EN", "DE").dictionaries
    assert cast(object, listed.entries) == "one\tzehn"
    client.delete_multilingual_glossary_dictionary(glossary, source_lang="FR", target_lang="DE")
    assert [len(entry.dictionaries) for entry in client.list_multilingual_glossaries()] == [1]
    client.delete_multilingual_glossary(glossary)
    assert client.list_multilingual_glossaries() == []


def _status(server: Running, sent: bytes) -> bytes:
    """Return the status of the response; empty if the server closed the connection before it read the request."""
    received = b""
    with server.connect() as connection, suppress(ConnectionError):
        with suppress(ConnectionError):
            connection.sendall(sent)
        while not received.endswith(b"}") and (part := connection.recv(65536)):
            received += part
    return received.split(b"\r\n")[0][9:12]


def test_broken_clients_do_not_harm_the_server(server: Running) -> None:
    head = b"POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    half = head + b"content-length: 1000\r\n\r\n" + b'{"q": "one'
    for sent in (b"", b"GET", b"\x00\xff\x16\x03", half, head + b"transfer-encoding: chunked\r\n\r\nzz\r\n"):
        with server.connect() as connection:
            connection.sendall(sent)  # and disconnect
    assert _status(server, b"\xff\xfe nonsense\r\n\r\n") == b"400"
    assert _status(server, head + b"content-length: 99999999999\r\n\r\n{") == b"413"
    chunks = b"10000\r\n%b\r\n" % (b"x" * 65536) * 20
    assert _status(server, head + b"transfer-encoding: chunked\r\n\r\n" + chunks) in (b"413", b"")
    broken = head.replace(b"localhost", b"elsewhere") + b"transfer-encoding: chunked\r\n\r\nzz\r\n"
    assert _status(server, broken) == b"400"  # one response, not a second one about the host
    assert _status(server, b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n") in (b"400", b"")
    body = json.dumps({**REQUEST, "q": ["one two"] * 100, "api_key": KEY}).encode()
    for _ in range(5):  # large requests whose clients disconnect
        with server.connect() as connection:
            connection.sendall(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
    assert server.translates()


def test_responses_match_the_openapi_document(server: Running) -> None:
    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    tried = 0
    for result in document.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @settings(
            max_examples=10,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case[Any]) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {KEY}"})

        check()
    assert tried > 30


def test_concurrent_requests_get_the_same_responses(server: Running) -> None:
    bodies: list[dict[str, Any]] = [
        {**REQUEST, "api_key": KEY, "q": "one two three four five six"[: 3 + 4 * (n % 6)], "alternatives": n % 2}
        for n in range(60)
    ]
    with httpx.Client(base_url=server.url, timeout=120) as client, ThreadPoolExecutor(12) as pool:
        concurrent = list(pool.map(lambda body: client.post("/translate", json=body).json(), bodies))
        alone = [client.post("/translate", json=body).json() for body in bodies[:12]]
    assert concurrent[:12] == alone
    assert concurrent == (concurrent[:12] * 5)[:60]


def test_a_better_checkpoint_is_served_without_a_restart(server: Running, folder: Path) -> None:
    add_checkpoint(folder, 2, steps=1)
    deadline = time.monotonic() + 120
    while server.translates() or "small: now serving a new checkpoint\n" not in server.output:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run = RunFolder(folder)
    run.set_best(run.checkpoint(1))


def test_a_port_in_use_is_reported(server: Running, folder: Path) -> None:
    refused(call("serve", folder, "--device", "cpu", "--port", str(server.port)), "cannot listen on port")


def test_startup_errors_are_reported(folder: Path, tmp_path: Path) -> None:
    refused(call("serve", tmp_path / "none"), "there is no such folder")
    refused(call("serve", folder, "--precision", "int3"), "int3", "is not one of", code=2)
    refused(call("serve", folder, "--api-keys", tmp_path / "none"), "none")
    with mock.patch.dict(sys.modules, {"uvicorn": None}):
        refused(call("serve", folder), "uvicorn", "pip install 'regard[serve]'")
