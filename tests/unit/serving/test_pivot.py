"""A language pair without a model is served through a third language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.serving.clients import ask
from tests.unit.serving.runs import make_run
from tests.unit.serving.test_files import deepl, fetch, send

from regard.documents.results import TranslatedText
from regard.serving.file_translation import _compose
from regard.serving.glossary_store import GlossaryStore
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service


@pytest.fixture(scope="module")
def chain(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with models from English to German and from German to French, which knows no German."""
    second = make_run(tmp_path_factory.mktemp("pivot") / "de-fr", steps=30, languages=("de", "fr"))
    service = Service(Models([run, second], "cpu"), Limits(gather=0.001))
    yield service
    service.close()


def expected(service: Service, text: str) -> str:
    """Return the translation of a text by both models."""
    first, second = (model.translator for model in service.models.served)
    return second.translate(first.translate(text, shortlist=False).text, shortlist=False).text


def test_the_languages_and_the_answer_say_so(chain: Service) -> None:
    languages = {entry["code"]: entry["targets"] for entry in ask(chain, "GET", "/languages").json()}
    assert languages == {"en": ["de", "fr"], "de": ["fr"], "fr": []}
    body = {"q": "one two", "source": "en", "target": "fr", "alternatives": 1, "confidence": True, "sentences": True}
    answer = ask(chain, "POST", "/translate", json=body).json()
    assert answer["translatedText"] == expected(chain, "one two")
    assert answer["pivot"] == "de" and len(answer["alternatives"]) == 1
    length = len(answer["translatedText"])
    assert answer["sentences"] == [{"start": 0, "end": 7, "target_start": 0, "target_end": length}]
    assert "confidence" not in answer
    assert "pivot" not in ask(chain, "POST", "/translate", json={**body, "target": "de"}).json()
    texts = {"text": ["one", "two"], "source_lang": "EN", "target_lang": "FR"}
    translations = ask(chain, "POST", "/v2/translate", json=texts).json()["translations"]
    assert [(entry["text"], entry["pivot"]) for entry in translations] == [
        (expected(chain, text), "de") for text in ("one", "two")
    ]
    assert "FR" in {entry["language"] for entry in ask(chain, "GET", "/v2/languages?type=target").json()}


def test_what_needs_one_model_is_rejected(chain: Service) -> None:
    attention = ask(chain, "POST", "/attention", json={"q": "one", "source": "en", "target": "fr"})
    assert (attention.status_code, "translated through de" in attention.json()["error"]) == (400, True)
    body = {"q": "one", "source": "en", "target": "fr"}
    assert ask(chain, "POST", "/translate", json={**body, "min_confidence": 0.5}).status_code == 400
    assert ask(chain, "POST", "/translate", json={**body, "model": "small"}).status_code == 400
    assert ask(chain, "POST", "/translate", json={**body, "source": "fr", "target": "de"}).status_code == 400


def test_glossaries_have_the_language_pairs_of_the_models(chain: Service, tmp_path: Path) -> None:
    service = Service(chain.models, Limits(), glossaries=GlossaryStore(tmp_path))
    pairs = ask(service, "GET", "/v2/glossary-language-pairs").json()["supported_languages"]
    assert [(pair["source_lang"], pair["target_lang"]) for pair in pairs] == [("en", "de"), ("de", "fr")]
    dictionaries = [{**pair, "entries": "a\tb"} for pair in pairs]
    answer = ask(service, "POST", "/v3/glossaries", json={"name": "g", "dictionaries": dictionaries})
    assert (answer.status_code, len(answer.json()["dictionaries"])) == (201, 2)
    through = [{"source_lang": "en", "target_lang": "fr", "entries": "a\tb"}]
    assert ask(service, "POST", "/v3/glossaries", json={"name": "g", "dictionaries": through}).status_code == 400
    service.close()


def test_files_are_translated_through_it(chain: Service) -> None:
    answer = send(chain, "a.json", b'["one two", "..."]', {"source": "en", "target": "fr"})
    assert answer.json()["pivot"] == "de"
    text = expected(chain, "one two")
    file = fetch(chain, answer).json()
    assert file == [text, "..."] or answer.json()["untranslated"] == 1
    _, status, _ = deepl(chain, {"source_lang": "EN", "target_lang": "FR"}, "a.txt", b"one\n")
    assert status.json()["status"] == "done"


def test_alignments_are_composed() -> None:
    first = TranslatedText("b a", ((0, 1), (1, 0), (2, 0)), ("x",))
    second = TranslatedText("c d", ((0, 1), (1, 0)), ("y", "x"))
    composed = _compose(first, second)
    assert (composed.text, set(composed.alignment)) == ("c d", {(0, 0), (1, 1), (2, 1)})
    assert composed.marks == ("x", "y")
