"""Glossaries of a translator and of the server, with a small trained run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from tests.end_to_end.helpers import call
from tests.unit.documents.containers.archives import body as read_body
from tests.unit.documents.containers.archives import word
from tests.unit.serving.clients import ask
from tests.unit.serving.test_files import FIELDS, deepl, fetch, send

from regard.cli.translate_document import translate_document
from regard.cli.translate_lines import translate_lines
from regard.cli.translate_options import DocumentOptions, OutputOptions, SearchRequest
from regard.cli.translator_options import TranslatorOptions
from regard.errors import ConfigError, DataError, DecodingError
from regard.inference import terms as inference_terms
from regard.inference.terms import RunTerms
from regard.inference.translator import Constraints, Translator
from regard.serving import glossary_store
from regard.serving.api_keys import ApiKeys
from regard.serving.glossary_store import Dictionary, GlossaryStore, StoreFullError
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service
from regard.terms import glossary_files
from regard.terms.glossary import Glossary
from regard.terms.tagging import MARKERS, TermTagger, WantedTerm

GLOSSARY = Glossary.of([("one", "zehn"), ("six", "eins")])
LINES = ["one two three", "four five", "six seven eight nine", "Six. Two.", "five"]


@pytest.fixture(scope="module")
def translator(models: Models) -> Translator:
    return models.served[0].translator


def texts(translator: Translator, lines: list[str] = LINES, **options: Any) -> list[str]:
    return [result.text for result in translator.translate(lines, **options)]


def test_terms_of_a_glossary_are_in_the_translation_instead_of_the_models_own(translator: Translator) -> None:
    plain, with_terms = texts(translator), texts(translator, glossary=GLOSSARY)
    assert "zehn" in with_terms[0].lower().split() and "eins" not in with_terms[0].lower().split()
    assert "eins" in with_terms[2].lower().split() and "sechs" not in with_terms[2].lower().split()
    assert "Eins" in with_terms[3]
    assert [with_terms[1], with_terms[4]] == [plain[1], plain[4]]
    assert texts(translator, glossary="none") == plain


def test_a_translation_does_not_depend_on_its_batch(translator: Translator) -> None:
    together = texts(translator, glossary=GLOSSARY)
    assert [texts(translator, [line], glossary=GLOSSARY)[0] for line in LINES] == together
    assert texts(translator, LINES[::-1], glossary=GLOSSARY)[::-1] == together
    assert texts(translator, glossary=GLOSSARY, batch_size=2) == together


def test_other_searches_require_terms_with_a_beam(translator: Translator) -> None:
    for strategy in ("sample", "lookahead"):
        (result,) = texts(translator, ["one two"], glossary=GLOSSARY, strategy=strategy)
        assert "zehn" in result.lower().split()


def test_more_samples_than_the_beam_has_places(translator: Translator) -> None:
    samples = 3 * translator.search.beam_size
    for strategy in ("sample", "mbr"):
        count = samples if strategy == "sample" else 1
        best = translator.translate("one two", glossary=GLOSSARY, strategy=strategy, top_beams=count)
        assert "zehn" in best.text.lower().split() and len(best.n_best) == count


def test_terms_go_with_other_constraints_and_attention(translator: Translator) -> None:
    constraints = [Constraints(prefix="zwei", forbid=("zehn",)), Constraints(require=("drei",))]
    first, second = translator.translate(
        ["one two", "one two"], glossary=GLOSSARY, constraints=constraints, with_attention=True, top_beams=2
    )
    assert first.text.startswith("zwei") and first.marks[-1] == "term"  # it may not have the term
    assert {"zehn", "drei"} <= {*second.text.lower().split()}
    assert second.attention is not None and second.attention.shape[1] == len(second.source_tokens)


def test_terms_go_with_numbers_that_are_kept(translator: Translator) -> None:
    lines = ["one two 1,234", "two three 1,234"]
    both = texts(translator, lines, glossary=GLOSSARY, keep_numbers=True)
    numbers = texts(translator, lines, keep_numbers=True)
    assert ["1.234" in text for text in texts(translator, lines, glossary=GLOSSARY)] == [False, False]
    assert "zehn" in both[0].lower().split() and both[0].endswith("1.234")
    assert both[1] == numbers[1] and numbers[1].endswith("1.234")


def test_a_glossary_in_the_folder_of_the_run_is_the_default(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.symlink_to(run)
    copied = tmp_path / "copy"
    copied.mkdir()
    for entry in run.iterdir():
        (copied / entry.name).symlink_to(entry.resolve())
    (copied / "glossary.csv").write_text("one,zehn\n")
    translator = Translator.load(copied, "cpu")
    assert "zehn" in translator.translate("one two").text.lower()
    assert "zehn" not in translator.translate("one two", glossary="none").text.lower()
    (tmp_path / "other.tsv").write_text("two\tneun\n")
    assert "neun" in translator.translate("one two", glossary=tmp_path / "other.tsv").text.lower()
    with pytest.raises(DataError, match=r"missing\.tsv"):
        translator.translate("one", glossary=tmp_path / "missing.tsv")
    with pytest.raises(DecodingError, match="trained without terms"):
        translator.translate("one", glossary_method="tags")
    with pytest.raises(ConfigError, match="unknown glossary_method"):
        translator.translate("one", glossary_method=cast(Any, "magic"))


def test_the_option_glossary_reads_its_file_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "terms.csv").write_text("one,zehn\none,neun\n")
    (tmp_path / "source.txt").write_text("one two\n\nfour five one\n")
    request = SearchRequest({}, glossary=str(tmp_path / "terms.csv"), workers=1)
    model, outputs = TranslatorOptions(run, "cpu"), OutputOptions(tmp_path / "target.txt")
    with mock.patch.object(glossary_files, "read_glossary", wraps=glossary_files.read_glossary) as read:
        with mock.patch.object(inference_terms, "read_glossary", side_effect=AssertionError):
            translate_lines(model, tmp_path / "source.txt", request, outputs)
            lines = (tmp_path / "target.txt").read_text().lower().splitlines()
            document = DocumentOptions(paragraphs=True)
            translate_document(model, tmp_path / "source.txt", request, outputs, document)
        assert read.call_count == 2  # once by each command
    assert ["zehn" in line.split() for line in lines] == [True, False, True]
    assert (tmp_path / "target.txt").read_text().lower().count("zehn") == 2
    assert "not 'neun': skipped" in capsys.readouterr().err


def test_a_source_with_tags_is_translated_as_its_own_words(translator: Translator) -> None:
    tokenizers = translator.tokenizers.without_tags().with_tags(MARKERS)
    terms = RunTerms(tokenizers)
    text = "one two three"
    ids = tokenizers.source.encode(text)
    tagged = terms.tag(ids, text, GLOSSARY.find(text, terms.forms))
    assert tagged.original == tuple(ids)
    tagger = TermTagger(tokenizers)
    length = len(tokenizers.source.encode("one"))
    expected = tagger.tag(ids, [WantedTerm(0, length, tagger.encode("zehn"))])
    assert list(tagged.tokens) == expected
    assert [tagged.origins.count(place) for place in range(len(ids))][length:] == [1] * (len(ids) - length)


@pytest.fixture
def store(tmp_path: Path) -> GlossaryStore:
    return GlossaryStore(tmp_path / "glossaries")


@pytest.fixture
def service(models: Models, store: GlossaryStore) -> Iterator[Service]:
    service = Service(models, Limits(gather=0.001), glossaries=store)
    yield service
    service.close()


RUN = '<w:r>{}<w:t xml:space="preserve">{}</w:t></w:r>'
PARAGRAPH = f"<w:p>{RUN.format('', 'six ')}{RUN.format('<w:rPr><w:b/></w:rPr>', '{}')}</w:p>"
FILES = [("a.json", b'{"a": "one two", "b": "five"}'), ("a.docx", word(PARAGRAPH.format("one")))]


def has_term(name: str, data: bytes) -> bool:
    """Return whether a translated file has the term of the glossary, and not the model's own word."""
    text = (read_body(data) if name.endswith(".docx") else data.decode()).lower()
    return "zehn" in text and "eins" not in text


@pytest.mark.parametrize(("name", "data"), FILES, ids=["json", "docx"])
def test_terms_are_in_files_that_the_command_translates(run: Path, tmp_path: Path, name: str, data: bytes) -> None:
    (terms := tmp_path / "terms.tsv").write_text("one\tzehn\n")
    (path := tmp_path / name).write_bytes(data)
    written = tmp_path / f"new-{name}"
    for options in ((), ("--glossary", terms)):
        result = call("translate", run, "-i", path, *options, "-o", written)
        assert result.code == 0, result.err
        assert has_term(name, written.read_bytes()) == bool(options)
    if name == "a.docx":
        assert PARAGRAPH.replace("six", "sechs").format("zehn") in read_body(written.read_bytes())


@pytest.mark.parametrize(("name", "data"), FILES, ids=["json", "docx"])
def test_terms_are_in_files_that_the_server_translates(service: Service, name: str, data: bytes) -> None:
    identifier = ask(service, "POST", "/v2/glossaries", json=BODY).json()["glossary_id"]
    for fields in ({}, {"glossary_id": identifier}):
        answer = send(service, name, data, {**FIELDS, **fields})
        assert has_term(name, fetch(service, answer).content) == bool(fields)
        _, status, result = deepl(service, {"source_lang": "EN", "target_lang": "DE", **fields}, name, data)
        assert (status.json()["status"], has_term(name, result.content)) == ("done", bool(fields))
    refused = send(service, name, data, {"source": "auto", "target": "de", "glossary_id": identifier})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "Invalid request: source is required with a glossary",
    )
    (refused,) = deepl(service, {"target_lang": "DE", "glossary_id": identifier}, name, data)
    assert (refused.status_code, "source_lang is required" in refused.json()["message"]) == (400, True)
    assert send(service, name, data, {**FIELDS, "glossary_id": "unknown"}).status_code == 404


BODY = {"name": "g", "source_lang": "en", "target_lang": "de", "entries": "one\tzehn", "entries_format": "tsv"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entries": "one"}, "entry 1 has no target"),
        ({"entries": "one\tzehn\none\tneun"}, "'one' is 'zehn' in line 1, not 'neun'"),
        ({"entries": "one\t"}, "the target of 'one' is empty"),
        ({"entries": "\n"}, "there are no entries"),
        ({"entries": '"one,zehn', "entries_format": "csv"}, "not valid CSV"),
        ({"entries": "one\tze\x00hn"}, "control character"),
        ({"entries": f"one\t{'x' * 1001}"}, "more than 1,000 characters"),
        ({"entries_format": "xml"}, "entries_format"),
        ({"name": "x" * 1025}, "the name has more than 1,024 characters"),
        ({"source_lang": ""}, "missing source_lang"),
        (
            {"source_lang": "klingon"},
            "a glossary from klingon to de is not supported; /v2/glossary-language-pairs lists",
        ),
        ({"source_lang": "FR"}, "a glossary from FR to de is not supported"),
        ({"target_lang": "en"}, "a glossary from en to en is not supported"),
    ],
)
def test_invalid_glossaries_are_rejected(service: Service, change: dict[str, str], message: str) -> None:
    answer = ask(service, "POST", "/v2/glossaries", json={**BODY, **change})
    assert answer.status_code == 400
    assert message in answer.json()["message"]


def test_an_error_names_the_field_of_a_dictionary_and_the_number_of_languages(service: Service) -> None:
    dictionary = {name: value for name, value in BODY.items() if name != "name"}
    body = {"name": "g", "dictionaries": [dictionary, {**dictionary, "source_lang": ""}]}
    answer = ask(service, "POST", "/v3/glossaries", json=body)
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid request: missing source_lang parameter")
    id = ask(service, "POST", "/v3/glossaries", json={"name": "g", "dictionaries": [dictionary]}).json()["glossary_id"]
    ask(service, "DELETE", f"/v3/glossaries/{id}/dictionaries?source_lang=en&target_lang=de")
    answer = ask(service, "GET", f"/v2/glossaries/{id}")
    assert (answer.status_code, answer.json()["message"]) == (
        404,
        "the glossary has 0 language pairs; use /v3/glossaries",
    )


def test_a_glossary_can_be_csv_or_a_form_and_serves_varieties(service: Service) -> None:
    csv = {**BODY, "entries": '"one",zehn,en,de\n', "entries_format": "csv", "target_lang": "DE-AT"}
    created = ask(service, "POST", "/v2/glossaries", data=csv)
    assert created.status_code == 201
    id = created.json()["glossary_id"]
    assert ask(service, "GET", f"/v2/glossaries/{id}/entries").text == "one\tzehn"
    fields = {"text": "one", "source_lang": "EN", "target_lang": "DE", "glossary_id": id}
    answer = ask(service, "POST", "/v2/translate", json=fields)
    assert answer.json()["translations"][0]["text"].lower() == "zehn"
    several = {**fields, "glossary_ids": [id, id]}
    assert ask(service, "POST", "/v2/translate", json=several).json() == answer.json()
    assert ask(service, "POST", "/v2/translate", json={**fields, "glossary_ids": [id] * 6}).status_code == 400
    assert service.glossaries is not None
    french = service.glossaries.create("fr", "", [Dictionary("fr", "de", (("un", "zehn"),))])  # by another server
    wrong = {**fields, "glossary_id": french.id}
    assert ask(service, "POST", "/v2/translate", json=wrong).status_code == 400
    assert len(ask(service, "GET", "/v2/glossaries").json()["glossaries"]) == 2


def test_a_dictionary_is_for_languages_that_a_model_has(service: Service) -> None:
    entries = {name: value for name, value in BODY.items() if name != "name"}
    unknown = {**entries, "source_lang": "xx"}
    id = ask(service, "POST", "/v3/glossaries", json={"name": "g", "dictionaries": [entries]}).json()["glossary_id"]
    for method, path, body in (
        ("POST", "/v3/glossaries", {"name": "g", "dictionaries": [entries, unknown]}),
        ("PATCH", f"/v3/glossaries/{id}", {"dictionaries": [unknown]}),
        ("PUT", f"/v3/glossaries/{id}/dictionaries", unknown),
    ):
        answer = ask(service, method, path, json=body)
        assert (answer.status_code, "xx to de is not supported" in answer.json()["message"]) == (400, True)
    (stored,) = ask(service, "GET", "/v3/glossaries").json()["glossaries"]
    assert [(entry["source_lang"], entry["target_lang"]) for entry in stored["dictionaries"]] == [("en", "de")]


def test_glossaries_belong_to_the_key_that_made_them(models: Models, store: GlossaryStore) -> None:
    service = Service(models, Limits(), ApiKeys(["first-key", "second-key"]), glossaries=store)
    first, second = ({"Authorization": f"DeepL-Auth-Key {key}"} for key in ("first-key", "second-key"))
    id = ask(service, "POST", "/v2/glossaries", json=BODY, headers=first).json()["glossary_id"]
    for method in ("GET", "DELETE"):
        assert ask(service, method, f"/v2/glossaries/{id}", headers=second).status_code == 404
        assert ask(service, method, f"/v2/glossaries/{id}").status_code == 403
    assert ask(service, "DELETE", f"/v3/glossaries/{id}", headers=first).status_code == 204
    service.close()


def test_a_store_survives_a_restart_shares_its_folder_and_ignores_damaged_files(
    store: GlossaryStore, caplog: pytest.LogCaptureFixture
) -> None:
    dictionary = Dictionary("en", "de", (("one", "zehn"),))
    created = store.create("g", "owner", [dictionary])
    second = GlossaryStore(store.folder)
    assert second.owned_by("owner") == [created]
    assert second.owned_by("another") == []
    second.replace(replace(created, name="h"))
    assert store.owned_by("owner")[0].name == "h"
    (store.folder / f"{created.id[:-1]}{'1' if created.id[-1] == '0' else '0'}.json").write_text("{")
    (store.folder / "notes.json").write_text("{}")
    assert [glossary.id for glossary in store.owned_by("owner")] == [created.id]
    assert "cannot be read" in caplog.text
    for id in ("../x", "notes", created.id.upper()):
        assert store.get(id, "owner") is None
    second.delete(created)
    assert store.get(created.id, "owner") is None


def test_the_store_is_bounded(store: GlossaryStore) -> None:
    entries = tuple((str(number), "x") for number in range(4))
    with mock.patch.object(glossary_store, "MAX_ENTRIES", 3), pytest.raises(StoreFullError, match="at most 3 entries"):
        store.create("g", "", [Dictionary("en", "de", entries)])
    assert list(store.folder.iterdir()) == []
    with mock.patch.object(glossary_store, "MAX_GLOSSARIES", 1):
        store.create("g", "", [Dictionary("en", "de", entries)])
        with pytest.raises(StoreFullError, match="1 glossaries"):
            store.create("h", "", [Dictionary("en", "de", entries)])


def test_a_failed_write_changes_nothing(service: Service, store: GlossaryStore) -> None:
    id = ask(service, "POST", "/v2/glossaries", json=BODY).json()["glossary_id"]
    before = (store.folder / f"{id}.json").read_text()
    with mock.patch.object(glossary_store, "write_atomic", side_effect=OSError(28, "No space left on device")):
        answer = ask(service, "PATCH", f"/v3/glossaries/{id}", json={"name": "h"})
        assert answer.status_code == 503 and answer.headers["retry-after"]
    assert (store.folder / f"{id}.json").read_text() == before
    assert json.loads(before)["name"] == "g"


def test_without_a_folder_glossaries_are_disabled(models: Models) -> None:
    service = Service(models, Limits())
    answer = ask(service, "GET", "/v2/glossaries")
    assert answer.status_code == 404 and "--glossaries" in answer.json()["message"]
    assert ask(service, "GET", "/frontend/settings").json()["glossaries"] is False
    service.close()
