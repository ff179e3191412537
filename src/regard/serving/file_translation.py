"""Translate an uploaded file in its own format, a few sentences at a time, so that other requests need not wait."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import PurePath

from regard.corpus.language_codes import base_code
from regard.documents.document import Columns, Document, LanguagePair
from regard.documents.open import CONVERTED, OPENERS, Opener
from regard.documents.paragraphs import ParagraphDocument
from regard.documents.translate import TranslatedText, TranslateFunction, TranslationRequest, fill_document
from regard.errors import RegardError
from regard.serving.batcher import Ticket
from regard.serving.limits import RequestRejected, invalid
from regard.serving.service import Service
from regard.serving.translate import Task, make_document_translator
from regard.terms.glossary import Glossary
from regard.text.segments import Alignment

CHUNK = 64  # sentences of a file that wait or are translated at a time, for each worker
MAX_NAME = 100  # characters of a file name
DETECTED_SEGMENTS = 50  # from which the language is detected
_PACKAGES = {".yaml": "yaml", ".yml": "yaml", ".ftl": "fluent", ".pdf": "pypdf"}


@dataclass(frozen=True)
class Upload:
    """An uploaded file, and the glossary for its translation; None for that of the run."""

    name: str
    data: bytes
    glossary: Glossary | None = None


@dataclass(frozen=True)
class TranslatedFile:
    """A translated file.

    Attributes:
        name: Its name, with the target language.
        data: Its content.
        characters: The number of characters that were translated.
        untranslated: The number of entries that stay untranslated.
        pivot: The language through which it was translated; empty if none.
    """

    name: str
    data: bytes
    characters: int
    untranslated: int
    pivot: str


@cache
def supported_suffixes() -> tuple[str, ...]:
    """Return the suffixes of the files that can be translated with the installed packages."""
    missing = {suffix for suffix, package in _PACKAGES.items() if find_spec(package) is None}
    return (".txt", *(suffix for suffix in OPENERS if suffix not in missing))


def clean_name(name: str) -> str:
    """Return the last part of a file name, without characters that a path or a header could misread."""
    last = re.split(r"[\\/]", name)[-1]
    cleaned = "".join(character for character in last if character.isprintable() and character not in '"<>|:*?')
    suffix = PurePath(cleaned).suffix[:20]
    return cleaned.removesuffix(suffix)[: MAX_NAME - len(suffix)] + suffix


def check_format(name: str) -> str:
    """Return the suffix of a file. Raise RequestRejected if files of this format are not translated."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in supported_suffixes():
        raise invalid(f"file format {suffix or name!r} not supported; give one of {', '.join(supported_suffixes())}")
    return suffix


def translate_file(service: Service, upload: Upload, languages: tuple[str, str], ticket: Ticket) -> TranslatedFile:
    """Translate a file; block until that is done. The source language may be `auto`.

    Raises:
        RequestRejected: The file is not valid or too large, its languages are not served, or the deadline has passed.
        RegardError: The translation failed.
    """
    source, target = languages
    suffix = check_format(upload.name)
    opener: Opener = ParagraphDocument if suffix == ".txt" else OPENERS[suffix]
    document = _open(opener, upload, LanguagePair("" if source == "auto" else source, target))
    if source == "auto":
        texts = (segment.content.text for segment in document.segments[:DETECTED_SEGMENTS])
        source = service.detector.detect("\n".join(texts))[0].language
        document = _open(opener, upload, LanguagePair(source, target))
    characters = sum(len(segment.content.text) for segment in document.segments)
    if characters > service.limits.file_characters:
        raise RequestRejected(
            413, f"the file has {characters:,} characters to translate; the limit is {service.limits.file_characters:,}"
        )
    route = service.models.route(source, target)
    if upload.glossary is not None and len(route) > 1:
        raise invalid(f"a glossary is not available through a third language ({route[0].target})")
    tasks = [Task(served, (), glossary=upload.glossary) for served in route]
    translator = _RouteTranslator(service, tasks, document, ticket)
    first = route[0].translator
    result = fill_document(
        document,
        translator,
        language=base_code(source),
        split=not first.trained_on_several,
        requires=translator.requires,
    )
    name = PurePath(upload.name)
    return TranslatedFile(
        name=f"{name.stem}.{target}{CONVERTED.get(suffix, name.suffix)}",
        data=result.data,
        characters=characters,
        untranslated=result.untranslated,
        pivot=route[0].target if len(route) > 1 else "",
    )


def _open(opener: Opener, upload: Upload, languages: LanguagePair) -> Document:
    try:
        return opener(upload.data, upload.name, languages, Columns())
    except RegardError as error:
        raise RequestRejected(400, f"{error.where}: {error.message}" if error.where else error.message) from None


class _RouteTranslator:
    """Translates requests by each model of a route in turn, in chunks."""

    def __init__(self, service: Service, tasks: Sequence[Task], document: Document, ticket: Ticket) -> None:
        has_markup = any(segment.content.tags for segment in document.segments)
        make = make_document_translator
        self._legs: list[TranslateFunction] = []
        self.requires = True
        for task in tasks:
            translate = make(service.batcher, service.limits, task, ticket, with_attention=has_markup)
            self._legs.append(translate)
            self.requires = self.requires and translate.requires
        self._chunk = CHUNK * service.models.workers

    def __call__(self, requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        """See regard.documents.translate."""
        results: list[TranslatedText] = []
        for start in range(0, len(requests), self._chunk):
            results += self._translate(requests[start : start + self._chunk])
        return results

    def _translate(self, requests: Sequence[TranslationRequest]) -> list[TranslatedText]:
        results = list(self._legs[0](requests))
        for leg in self._legs[1:]:
            following = [
                TranslationRequest(result.text, request.require)
                for request, result in zip(requests, results, strict=True)
            ]
            is_empty = [not request.text.strip() for request in following]
            translated = iter(leg([request for request in following if request.text.strip()]))
            results = [
                result if empty else _compose(result, next(translated))
                for result, empty in zip(results, is_empty, strict=True)
            ]
        return results


def _compose(first: TranslatedText, second: TranslatedText) -> TranslatedText:
    """Return the second of two translations in a row, with the alignment and the marks of both."""
    targets: dict[int, list[int]] = {}
    for middle, target in second.alignment:
        targets.setdefault(middle, []).append(target)
    alignment: Alignment = tuple(
        (source, target) for source, middle in first.alignment for target in targets.get(middle, ())
    )
    marks = tuple(dict.fromkeys((*first.marks, *second.marks)))
    return TranslatedText(second.text, alignment, marks)
