"""Requests and responses of the endpoints for glossaries, in DeepL's format."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Text = Annotated[str, Field(min_length=1)]
EntriesFormat = Literal["tsv", "csv"]


class DictionaryRequest(BaseModel):
    """The entries of one language pair: a source term, a tab or comma, and a target term on each line."""

    source_lang: Text
    target_lang: Text
    entries: Text
    entries_format: EntriesFormat = "tsv"


class GlossaryRequest(DictionaryRequest):
    """POST /v2/glossaries."""

    name: Text


class GlossarySummary(BaseModel):
    """A glossary of one language pair."""

    glossary_id: str
    name: str
    ready: bool
    source_lang: str
    target_lang: str
    creation_time: str
    entry_count: int


class GlossaryList(BaseModel):
    """GET /v2/glossaries."""

    glossaries: list[GlossarySummary]


class LanguagePair(BaseModel):
    """A language pair that glossaries can have."""

    source_lang: str
    target_lang: str


class GlossaryLanguages(BaseModel):
    """GET /v2/glossary-language-pairs."""

    supported_languages: list[LanguagePair]


class MultilingualGlossaryRequest(BaseModel):
    """POST /v3/glossaries."""

    name: Text
    dictionaries: Annotated[list[DictionaryRequest], Field(min_length=1)]


class GlossaryPatch(BaseModel):
    """PATCH /v3/glossaries/ID: a new name, and entries to add or replace."""

    name: Text | None = None
    dictionaries: list[DictionaryRequest] | None = None


class DictionarySummary(BaseModel):
    """The languages and the size of a dictionary."""

    source_lang: str
    target_lang: str
    entry_count: int


class MultilingualGlossary(BaseModel):
    """A glossary with dictionaries for several language pairs."""

    glossary_id: str
    name: str
    creation_time: str
    dictionaries: list[DictionarySummary]


class MultilingualGlossaryList(BaseModel):
    """GET /v3/glossaries."""

    glossaries: list[MultilingualGlossary]


class GlossaryEntries(BaseModel):
    """GET /v3/glossaries/ID/entries."""

    dictionaries: list[DictionaryRequest]
