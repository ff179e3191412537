"""POST /suggest: what is kept, what is refused, and that the published client works unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.serving.clients import ask

from regard.corpus.corrections import Correction, CorrectionStore
from regard.serving.api_keys import ApiKeys
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

FIELDS = {"q": "one two", "s": "eins, zwei", "source": "en", "target": "de"}


@pytest.fixture
def store(tmp_path: Path) -> CorrectionStore:
    return CorrectionStore(tmp_path / "corrections.sqlite", create=True)


@pytest.fixture
def collecting(models: Models, store: CorrectionStore) -> Iterator[Service]:
    service = Service(models, Limits(gather=0.001), corrections=store)
    yield service
    service.close()


def corrections_in(store: CorrectionStore) -> list[Correction | None]:
    return [correction for _, correction in store.read()]


@pytest.mark.parametrize("way", ["json", "data", "params", "files"])
def test_a_suggestion_is_kept_with_the_translation_of_the_model(
    collecting: Service, store: CorrectionStore, way: str
) -> None:
    fields: Any = {name: (None, value) for name, value in FIELDS.items()} if way == "files" else FIELDS
    answer = ask(collecting, "POST", "/suggest", **{way: fields})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (correction,) = corrections_in(store)
    assert correction is not None and correction.time.endswith("Z")
    assert correction == Correction(
        "one two", "eins, zwei", "en", "de", "eins zwei", "small", 1, "suggest", correction.time
    )


def test_several_sentences_and_a_part_of_a_paragraph(collecting: Service, store: CorrectionStore) -> None:
    paragraph = {**FIELDS, "q": "one two. Three four.\n\nfive six", "s": "eins und zwei. Drei vier.\n\nfünf, sechs"}
    sentence = {**FIELDS, "q": "Three four.", "s": "Drei, vier.", "origin": "page", "model": "small"}
    for fields in (paragraph, sentence, sentence):
        assert ask(collecting, "POST", "/suggest", json=fields).status_code == 200
    first, second, third = corrections_in(store)
    assert first is not None and second is not None and third is not None
    assert (first.source, first.target) == (paragraph["q"], paragraph["s"])
    assert first.translation == "eins zwei. Drei vier.\n\nfünf sechs"
    assert second == Correction(
        "Three four.", "Drei, vier.", "en", "de", "Drei vier.", "small", 1, "page", second.time
    )  # the store keeps repeated ones; `regard improve` uses the last
    assert replace(third, time=second.time) == second


def test_the_source_is_detected_and_forms_end_lines_with_crlf(collecting: Service, store: CorrectionStore) -> None:
    fields = {"q": "one two three\r\nfour", "s": "eins zwei drei\r\nvier.", "source": "auto", "target": "de"}
    assert ask(collecting, "POST", "/suggest", data={**fields, "origin": "page"}).status_code == 200
    (correction,) = corrections_in(store)
    assert correction is not None
    assert (correction.source, correction.target) == ("one two three\nfour", "eins zwei drei\nvier.")
    assert (correction.source_language, correction.origin) == ("en", "page")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q": None}, "missing q parameter"),
        ({"s": None}, "missing s parameter"),
        ({"s": ""}, "missing s parameter"),
        ({"source": None}, "missing source parameter"),
        ({"target": None}, "missing target parameter"),
        ({"s": " "}, "target of the correction is blank"),
        ({"source": "xx"}, "xx is not supported"),
        ({"model": "none"}, "no such model"),
        ({"s": "x" * 20_001}, "exceeds text limit"),
        ({"origin": "x" * 41}, "origin"),
    ],
)
def test_what_is_invalid_is_refused(
    collecting: Service, store: CorrectionStore, changes: dict[str, str | None], message: str
) -> None:
    fields = {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}
    answer = ask(collecting, "POST", "/suggest", json=fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert not corrections_in(store)


def test_without_a_store_suggestions_are_off(service: Service, collecting: Service) -> None:
    answer = ask(service, "POST", "/suggest", json=FIELDS)
    assert answer.status_code == 403
    assert "--corrections FILE.sqlite" in answer.json()["error"]
    assert ask(service, "GET", "/frontend/settings").json()["suggestions"] is False
    assert ask(collecting, "GET", "/frontend/settings").json()["suggestions"] is True


def test_a_key_is_needed_where_there_are_keys(models: Models, store: CorrectionStore) -> None:
    service = Service(models, Limits(gather=0.001), ApiKeys(["a-long-enough-key"]), store)
    assert ask(service, "POST", "/suggest", json=FIELDS).status_code == 400
    assert ask(service, "POST", "/suggest", json={**FIELDS, "api_key": "wrong"}).status_code == 403
    assert ask(service, "POST", "/suggest", json={**FIELDS, "api_key": "a-long-enough-key"}).status_code == 200
    assert len(corrections_in(store)) == 1
    service.close()


def test_a_full_store_and_a_busy_model(models: Models, store: CorrectionStore) -> None:
    service = Service(models, Limits(gather=0.001, queue=0), corrections=store)
    assert ask(service, "POST", "/suggest", json=FIELDS).status_code == 200
    (correction,) = corrections_in(store)
    assert correction is not None and correction.translation is None
    store.max_bytes = 1
    answer = ask(service, "POST", "/suggest", json={**FIELDS, "s": "eins " * 3000})
    assert (answer.status_code, answer.json()["error"]) == (503, "the store of suggestions is full")
    service.close()
