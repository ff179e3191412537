"""Endpoints compatible with LibreTranslate clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from regard.corpus.language_pairs import language_name
from regard.serving import translate as translation
from regard.serving.batcher import Ticket
from regard.serving.file_translation import supported_suffixes
from regard.serving.glossaries import find_glossary
from regard.serving.limits import invalid
from regard.serving.models import ServedModel
from regard.serving.openapi import error_responses, request_body
from regard.serving.pivot import pivot_of, translate_through
from regard.serving.request_parsing import read_fields, validate_fields
from regard.serving.schema import (
    Detected,
    DetectRequest,
    Error,
    Health,
    Language,
    LanguageName,
    Languages,
    NumberDifference,
    Segment,
    Settings,
    TranslateAnswer,
    TranslateRequest,
    Untranslated,
    WordConfidence,
)
from regard.serving.service import Service
from regard.text.numbers import find_differences

TYPING_DELAY = 500  # milliseconds
DIGITS = 4  # of a confidence


def router(service: Service) -> APIRouter:
    """Return the router of the endpoints."""
    routes = APIRouter(tags=["LibreTranslate"])
    _add_text_endpoints(routes, service)
    _add_detection(routes, service)
    _add_server_endpoints(routes, service)
    return routes


def _add_text_endpoints(routes: APIRouter, service: Service) -> None:
    errors = error_responses(Error, 400, 403, 404, 408, 413, 415, 503)

    @routes.post(
        "/translate",
        response_model=TranslateAnswer,
        response_model_exclude_none=True,
        responses=errors,
        openapi_extra=request_body(TranslateRequest),
    )
    async def translate(request: Request) -> Any:
        """Translate one text or several, given as JSON, a form or a query string."""
        fields = await read_fields(request)
        body = validate_fields(TranslateRequest, fields)
        texts = body.q if isinstance(body.q, list) else [body.q]
        if not isinstance(body.q, list) and "json" not in request.headers.get("content-type", ""):
            texts = [body.q.replace("\r\n", "\n")]  # forms end lines with CRLF
        service.check_texts([*texts, body.prefix] if body.prefix else texts, fields, request)
        alternatives = service.check_alternatives(body.alternatives)
        if body.prefix and (len(texts) > 1 or body.format == "html"):
            raise invalid("prefix is for a single text without HTML")
        detected = None
        source = body.source
        if source == "auto":
            detected = (await service.run_job(request, lambda _: service.detector.detect("\n".join(texts))))[0]
            source = detected.language
        route = service.models.route(source, body.target, body.model)
        ids = [body.glossary_id] if body.glossary_id else []
        task = translation.Task(
            route[0],
            texts,
            body.format == "html",
            alternatives,
            with_confidence=body.confidence,
            min_confidence=body.min_confidence,
            prefix=body.prefix,
            with_sentences=body.sentences,
            glossary=find_glossary(service, request, fields, ids, (route[0].source, route[-1].target)),
        )

        def job(ticket: Ticket) -> tuple[translation.TranslationResult, list[NumberDifference]]:
            result = translate_through(service.batcher, service.limits, route, task, ticket)
            return result, _number_differences(route, texts, result.texts)  # slow for a text of numbers

        result, numbers = await service.run_job(request, job)
        is_list = isinstance(body.q, list)
        return TranslateAnswer(
            translatedText=result.texts if is_list else result.texts[0],
            detectedLanguage=[detected] * len(texts) if detected and is_list else detected,
            alternatives=(result.alternatives if is_list else result.alternatives[0]) if alternatives else None,
            untranslated=[
                Untranslated(text=entry.text, source=entry.source, why=entry.reason) for entry in result.skipped
            ]
            or None,
            pivot=pivot_of(route),
            sentences=_sentences(result, is_list=is_list) if body.sentences else None,
            numbers=numbers or None,
            **(_confidence(result, is_list=is_list) if body.confidence and len(route) == 1 else {}),
        )


def _add_detection(routes: APIRouter, service: Service) -> None:
    errors = error_responses(Error, 400, 403, 408, 413, 415, 503)

    @routes.post("/detect", response_model=list[Detected], responses=errors, openapi_extra=request_body(DetectRequest))
    async def detect(request: Request) -> Any:
        """Detect the language of a text among the source languages, most likely first."""
        fields = await read_fields(request)
        body = validate_fields(DetectRequest, fields)
        service.check_texts([body.q], fields, request)
        return await service.run_job(request, lambda _: service.detector.detect(body.q))


def _add_server_endpoints(routes: APIRouter, service: Service) -> None:
    @routes.get("/languages", response_model=list[Language])
    async def languages() -> Any:
        """List all languages of the models, each with its target languages."""
        return [
            Language(code=code, name=language_name(code), targets=service.models.targets(code))
            for code in service.models.languages
        ]

    @routes.get("/health", response_model=Health, responses=error_responses(Error, 503))
    async def health() -> Any:
        """Report whether the server accepts requests."""
        service.reject_if_draining()
        return Health(status="ok")

    @routes.get("/frontend/settings", response_model=Settings)
    async def settings() -> Any:
        """Return the settings for a web page."""
        default = service.models.served[0]
        return Settings(
            charLimit=service.limits.characters,
            frontendTimeout=TYPING_DELAY,
            apiKeys=bool(service.keys),
            keyRequired=bool(service.keys),
            suggestions=service.corrections is not None,
            filesTranslation=True,
            supportedFilesFormat=list(supported_suffixes()),
            fileLimit=service.limits.file,
            glossaries=service.glossaries is not None,
            confidence=any(model.translator.confidence is not None for model in service.models.served),
            language=Languages(source=_language_name(default.source), target=_language_name(default.target)),
        )


def _sentences(result: translation.TranslationResult, *, is_list: bool) -> list[Segment] | list[list[Segment]]:
    segments = [
        [
            Segment(start=source[0], end=source[1], target_start=target[0], target_end=target[1])
            for source, target in sentences
        ]
        for sentences in result.sentences
    ]
    return segments if is_list else segments[0]


def _confidence(result: translation.TranslationResult, *, is_list: bool) -> dict[str, Any]:
    """Return the fields of an answer with the confidence of its texts and words."""
    assert result.confidence is not None
    values = [round(value, DIGITS) for value in result.confidence.texts]
    words = [
        [
            WordConfidence(start=word.start, end=word.end, confidence=round(word.confidence, DIGITS))
            for word in text_words
        ]
        for text_words in result.confidence.words
    ]
    return {"confidence": values, "words": words} if is_list else {"confidence": values[0], "words": words[0]}


def _language_name(code: str) -> LanguageName:
    return LanguageName(code=code, name=language_name(code))


def _number_differences(
    route: Sequence[ServedModel], texts: Sequence[str], translations: Sequence[str]
) -> list[NumberDifference]:
    languages = route[0].translator.source_language, route[-1].translator.target_language
    return [
        NumberDifference(text=number, kind=difference.kind, source=difference.source, target=difference.target)
        for number, pair in enumerate(zip(texts, translations, strict=True), start=1)
        for difference in find_differences(*pair, languages)
    ]
