"""Endpoints for glossaries as DeepL clients call them: /v2/glossaries for one language pair, /v3 for several."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from regard.corpus.language_codes import base_code
from regard.serving.glossary_schema import (
    DictionaryRequest,
    DictionarySummary,
    GlossaryEntries,
    GlossaryLanguages,
    GlossaryList,
    GlossaryPatch,
    GlossaryRequest,
    GlossarySummary,
    LanguagePair,
    MultilingualGlossary,
    MultilingualGlossaryList,
    MultilingualGlossaryRequest,
)
from regard.serving.glossary_store import (
    MAX_NAME,
    Dictionary,
    GlossaryStore,
    StoredGlossary,
    StoreFullError,
    StoreWriteError,
)
from regard.serving.limits import RequestRejected, invalid
from regard.serving.openapi import DEEPL_ERRORS, request_body
from regard.serving.request_parsing import read_fields, validate_fields
from regard.serving.service import Service
from regard.terms.glossary import Entry, Glossary, clean_entries
from regard.terms.glossary_files import check_term

TSV = "text/tab-separated-values"
DISABLED = "Glossaries are disabled on this server; `regard serve --glossaries DIR` stores them"
NOT_FOUND = "Glossary not found"
MAX_USED = 5  # glossaries of one request

T = TypeVar("T")
_PAIR = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("source_lang", "target_lang")]


def routers(service: Service) -> list[APIRouter]:
    """Return the routers of the endpoints."""
    return [_version_2(service), _version_3(service)]


def find_glossary(
    service: Service, request: Request, fields: dict[str, Any], ids: Sequence[str], languages: tuple[str, str]
) -> Glossary | None:
    """Return the terms of the glossaries that a request names; earlier ones take precedence.

    Raises:
        RequestRejected: There is no such glossary, or one has no dictionary for these languages.
    """
    if not ids:
        return None
    if len(ids) > MAX_USED:
        raise invalid(f"at most {MAX_USED} glossaries can be used at a time")
    store, owner = _store(service), service.keys.owner(request, fields)
    entries: list[Entry] = []
    for id in ids:
        dictionary = _get(store, id, owner).find(*languages)
        if dictionary is None:
            raise invalid(f"the glossary has no dictionary for {languages[0]} to {languages[1]}")
        entries += dictionary.glossary.entries
    return clean_entries(entries, "glossary")


def _version_2(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v2", tags=["DeepL"], responses=DEEPL_ERRORS)

    @routes.post(
        "/glossaries",
        response_model=GlossarySummary,
        status_code=201,
        openapi_extra=request_body(GlossaryRequest),
    )
    async def create(request: Request) -> Any:
        """Store a glossary of one language pair, given as JSON or as a form."""
        store, owner, fields = await _open(service, request)
        body = validate_fields(GlossaryRequest, fields)
        dictionary = _dictionary(service, body)
        return _summary(_change(lambda: store.create(_name(body.name), owner, [dictionary])))

    @routes.get("/glossaries", response_model=GlossaryList)
    async def glossaries(request: Request) -> Any:
        """List the glossaries that have one language pair."""
        store, owner, _ = await _open(service, request)
        single = [glossary for glossary in store.owned_by(owner) if len(glossary.dictionaries) == 1]
        return GlossaryList(glossaries=[_summary(glossary) for glossary in single])

    @routes.get("/glossaries/{id}", response_model=GlossarySummary)
    async def get(request: Request, id: str) -> Any:
        """Return the name, the languages and the size of a glossary."""
        store, owner, _ = await _open(service, request)
        return _summary(_get(store, id, owner))

    _add_entry_endpoints(routes, service)
    return routes


def _add_entry_endpoints(routes: APIRouter, service: Service) -> None:
    @routes.get(
        "/glossaries/{id}/entries",
        response_class=Response,
        responses={200: {"content": {TSV: {"schema": {"type": "string"}}}}},
    )
    async def entries(request: Request, id: str) -> Response:
        """Return the entries of a glossary as TSV."""
        store, owner, _ = await _open(service, request)
        return Response(_tsv(_single(_get(store, id, owner))), media_type=TSV)

    @routes.delete("/glossaries/{id}", status_code=204, response_class=Response)
    async def delete(request: Request, id: str) -> Response:
        """Delete a glossary."""
        store, owner, _ = await _open(service, request)
        glossary = _get(store, id, owner)
        _change(lambda: store.delete(glossary))
        return Response(status_code=204)

    @routes.get("/glossary-language-pairs", response_model=GlossaryLanguages)
    async def languages(request: Request) -> Any:
        """List the language pairs that glossaries can have: those of the models."""
        service.keys.check(request, {})
        pairs = _language_pairs(service)
        return GlossaryLanguages(
            supported_languages=[LanguagePair(source_lang=source, target_lang=target) for source, target in pairs]
        )


def _version_3(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v3/glossaries", tags=["DeepL"], responses=DEEPL_ERRORS)
    _add_glossary_endpoints(routes, service)
    _add_dictionary_endpoints(routes, service)
    return routes


def _add_glossary_endpoints(routes: APIRouter, service: Service) -> None:
    @routes.post(
        "",
        response_model=MultilingualGlossary,
        status_code=201,
        openapi_extra=request_body(MultilingualGlossaryRequest),
    )
    async def create(request: Request) -> Any:
        """Store a glossary with dictionaries for several language pairs."""
        store, owner, fields = await _open(service, request)
        body = validate_fields(MultilingualGlossaryRequest, fields)
        dictionaries = [_dictionary(service, dictionary) for dictionary in body.dictionaries]
        return _multilingual(_change(lambda: store.create(_name(body.name), owner, dictionaries)))

    @routes.get("", response_model=MultilingualGlossaryList)
    async def glossaries(request: Request) -> Any:
        """List all glossaries."""
        store, owner, _ = await _open(service, request)
        return MultilingualGlossaryList(glossaries=[_multilingual(glossary) for glossary in store.owned_by(owner)])

    @routes.get("/{id}", response_model=MultilingualGlossary)
    async def get(request: Request, id: str) -> Any:
        """Return the name of a glossary, and the languages and sizes of its dictionaries."""
        store, owner, _ = await _open(service, request)
        return _multilingual(_get(store, id, owner))

    @routes.patch("/{id}", response_model=MultilingualGlossary, openapi_extra=request_body(GlossaryPatch))
    async def update(request: Request, id: str) -> Any:
        """Change the name of a glossary, or add entries to its dictionaries; new entries replace old ones."""
        store, owner, fields = await _open(service, request)
        body, glossary = validate_fields(GlossaryPatch, fields), _get(store, id, owner)
        if body.name is not None:
            glossary = replace(glossary, name=_name(body.name))
        for dictionary in (_dictionary(service, entries) for entries in body.dictionaries or ()):
            old = glossary.find(dictionary.source, dictionary.target)
            merged = {**dict(old.entries if old else ()), **dict(dictionary.entries)}
            glossary = glossary.with_dictionary(replace(dictionary, entries=tuple(merged.items())))
        _change(lambda: store.replace(glossary))
        return _multilingual(glossary)

    @routes.delete("/{id}", status_code=204, response_class=Response)
    async def delete(request: Request, id: str) -> Response:
        """Delete a glossary."""
        store, owner, _ = await _open(service, request)
        glossary = _get(store, id, owner)
        _change(lambda: store.delete(glossary))
        return Response(status_code=204)


def _add_dictionary_endpoints(routes: APIRouter, service: Service) -> None:
    @routes.get("/{id}/entries", response_model=GlossaryEntries, openapi_extra={"parameters": _PAIR})
    async def entries(request: Request, id: str) -> Any:
        """Return the entries of a glossary for one language pair as TSV."""
        store, owner, fields = await _open(service, request)
        dictionary = _find(_get(store, id, owner), fields)
        listed = DictionaryRequest(
            source_lang=dictionary.source, target_lang=dictionary.target, entries=_tsv(dictionary)
        )
        return GlossaryEntries(dictionaries=[listed])

    @routes.put(
        "/{id}/dictionaries",
        response_model=DictionarySummary,
        openapi_extra=request_body(DictionaryRequest),
    )
    async def put(request: Request, id: str) -> Any:
        """Replace the dictionary of one language pair, or add it."""
        store, owner, fields = await _open(service, request)
        dictionary = _dictionary(service, validate_fields(DictionaryRequest, fields))
        glossary = _get(store, id, owner).with_dictionary(dictionary)
        _change(lambda: store.replace(glossary))
        return _dictionary_summary(dictionary)

    @routes.delete(
        "/{id}/dictionaries",
        status_code=204,
        response_class=Response,
        openapi_extra={"parameters": _PAIR},
    )
    async def delete_dictionary(request: Request, id: str) -> Response:
        """Delete the dictionary of one language pair."""
        store, owner, fields = await _open(service, request)
        glossary = _get(store, id, owner)
        dictionary = _find(glossary, fields)
        _change(lambda: store.replace(glossary.without(dictionary.source, dictionary.target)))
        return Response(status_code=204)


async def _open(service: Service, request: Request) -> tuple[GlossaryStore, str, dict[str, Any]]:
    """Return the store, the owner that the API key of a request identifies, and the fields of the request."""
    service.keys.check(request, {})
    return _store(service), service.keys.owner(request, {}), await read_fields(request)


def _store(service: Service) -> GlossaryStore:
    if service.glossaries is None:
        raise RequestRejected(404, DISABLED)
    return service.glossaries


def _get(store: GlossaryStore, id: str, owner: str) -> StoredGlossary:
    glossary = store.get(id, owner)
    if glossary is None:
        raise RequestRejected(404, NOT_FOUND)
    return glossary


def _find(glossary: StoredGlossary, fields: dict[str, Any]) -> Dictionary:
    dictionary = glossary.find(str(fields.get("source_lang", "")), str(fields.get("target_lang", "")))
    if dictionary is None:
        raise RequestRejected(404, "the glossary has no dictionary for these languages")
    return dictionary


def _single(glossary: StoredGlossary) -> Dictionary:
    if len(glossary.dictionaries) != 1:
        raise RequestRejected(404, f"the glossary has {len(glossary.dictionaries)} language pairs; use /v3/glossaries")
    return glossary.dictionaries[0]


def _change(change: Callable[[], T]) -> T:
    try:
        return change()
    except StoreFullError as error:
        raise invalid(str(error)) from None
    except StoreWriteError as error:
        raise RequestRejected(503, str(error), retry_after=2) from None


def _name(name: str) -> str:
    if len(name) > MAX_NAME:
        raise invalid(f"the name has more than {MAX_NAME:,} characters")
    return name


def _language_pairs(service: Service) -> list[tuple[str, str]]:
    """Return the language pairs that glossaries can have: those of the models."""
    return list(dict.fromkeys((base_code(source), base_code(target)) for source, target in service.models.pairs))


def _dictionary(service: Service, body: DictionaryRequest) -> Dictionary:
    """Return the entries of a request. Raise RequestRejected if one is not valid, or no model has the languages."""
    languages = base_code(body.source_lang), base_code(body.target_lang)
    if languages not in _language_pairs(service):
        raise invalid(
            f"a glossary from {body.source_lang[:40]} to {body.target_lang[:40]} is not supported; "
            "/v2/glossary-language-pairs lists the language pairs"
        )
    reader = csv.reader(StringIO(body.entries), strict=True) if body.entries_format == "csv" else None
    rows = reader or (line.split("\t") for line in body.entries.splitlines())
    entries: list[Entry] = []
    try:
        for number, row in enumerate(rows, start=1):
            if any(map(str.strip, row)):
                if len(row) < 2:
                    raise invalid(f"entry {number} has no target")
                if problem := check_term(row[0]) or check_term(row[1]):
                    raise invalid(f"entry {number}: {problem}")
                entries.append(Entry(row[0], row[1], number))
    except csv.Error as error:
        raise invalid(f"the entries are not valid CSV: {error}") from None
    glossary = clean_entries(entries, "entry")
    if glossary.problems:
        raise invalid(glossary.problems[0].removesuffix(": skipped"))
    if not glossary.entries:
        raise invalid("there are no entries")
    pairs = tuple((entry.source, entry.target) for entry in glossary.entries)
    return Dictionary(*languages, pairs)


def _tsv(dictionary: Dictionary) -> str:
    return "\n".join(f"{source}\t{target}" for source, target in dictionary.entries)


def _summary(glossary: StoredGlossary) -> GlossarySummary:
    dictionary = _single(glossary)
    return GlossarySummary(
        glossary_id=glossary.id,
        name=glossary.name,
        ready=True,
        source_lang=dictionary.source,
        target_lang=dictionary.target,
        creation_time=glossary.created,
        entry_count=len(dictionary.entries),
    )


def _dictionary_summary(dictionary: Dictionary) -> DictionarySummary:
    return DictionarySummary(
        source_lang=dictionary.source, target_lang=dictionary.target, entry_count=len(dictionary.entries)
    )


def _multilingual(glossary: StoredGlossary) -> MultilingualGlossary:
    return MultilingualGlossary(
        glossary_id=glossary.id,
        name=glossary.name,
        creation_time=glossary.created,
        dictionaries=[_dictionary_summary(dictionary) for dictionary in glossary.dictionaries],
    )
