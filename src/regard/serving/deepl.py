"""Endpoints compatible with DeepL clients: translation of texts, languages, usage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from regard.corpus.language_pairs import language_name
from regard.serving import translate as translation
from regard.serving.glossaries import find_glossary
from regard.serving.limits import RequestRejected, invalid
from regard.serving.openapi import DEEPL_ERRORS, request_body
from regard.serving.pivot import pivot_of, translate_through
from regard.serving.request_parsing import read_fields, validate_fields
from regard.serving.schema import DeepLAnswer, DeepLLanguage, DeepLRequest, DeepLTranslation, DeepLUsage
from regard.serving.service import Service

_TYPE = {"name": "type", "in": "query", "schema": {"enum": ["source", "target"], "default": "source"}}
UNLIMITED = 10**12  # characters; the value that DeepL reports for unlimited accounts


def router(service: Service) -> APIRouter:
    """Return the router of the endpoints."""
    routes = APIRouter(prefix="/v2", tags=["DeepL"], responses=DEEPL_ERRORS)

    @routes.post(
        "/translate",
        response_model=DeepLAnswer,
        response_model_exclude_none=True,
        openapi_extra=request_body(DeepLRequest),
    )
    async def translate(request: Request) -> Any:
        """Translate texts, given as JSON or as a form."""
        fields = await read_fields(request)
        service.keys.check(request, {})
        body = validate_fields(DeepLRequest, fields)
        service.check_texts(body.text, fields, request)
        _check_supported(body)
        source, target = await _languages(service, request, body)
        route = service.models.route(source, target)
        ids = body.glossary_ids or ([body.glossary_id] if body.glossary_id else [])
        glossary = find_glossary(service, request, {}, ids, (source, target))
        task = translation.Task(
            route[0],
            body.text,
            html=body.tag_handling == "html",
            split_sentences=None if body.split_sentences is None else body.split_sentences != "0",
            join_lines=body.split_sentences == "nonewlines",
            glossary=glossary,
        )
        result = await service.run_job(
            request, lambda ticket: translate_through(service.batcher, service.limits, route, task, ticket)
        )
        return DeepLAnswer(
            translations=[
                DeepLTranslation(
                    detected_source_language=source.upper(),
                    text=text,
                    billed_characters=len(source_text),
                    pivot=pivot_of(route),
                )
                for source_text, text in zip(body.text, result.texts, strict=True)
            ]
        )

    _add_account_endpoints(routes, service)
    return routes


def _add_account_endpoints(routes: APIRouter, service: Service) -> None:
    """Add the endpoints for languages and usage."""

    @routes.get("/languages", response_model=list[DeepLLanguage], openapi_extra={"parameters": [_TYPE]})
    async def languages(request: Request) -> Any:
        """List the source or the target languages. DeepL's own client sends the type in the body."""
        service.keys.check(request, {})
        kind = (await read_fields(request)).get("type", "source")
        if kind not in ("source", "target"):
            raise invalid("type must be source or target")
        codes = service.models.sources if kind == "source" else service.models.all_targets
        return [DeepLLanguage(language=code.upper(), name=language_name(code)) for code in codes]

    @routes.post("/usage", response_model=DeepLUsage)  # some clients use POST
    @routes.get("/usage", response_model=DeepLUsage)
    async def usage(request: Request) -> Any:
        """Return the number of characters translated since the server started."""
        service.keys.check(request, {})
        return DeepLUsage(character_count=service.metrics.characters, character_limit=UNLIMITED)


async def _languages(service: Service, request: Request, body: DeepLRequest) -> tuple[str, str]:
    """Return the codes of source and target. Detect the source if the request does not name it."""
    models = service.models
    target = match_code(body.target_lang, models.all_targets, "target_lang")
    if body.source_lang:
        return match_code(body.source_lang, models.sources, "source_lang"), target
    text = "\n".join(body.text)
    return (await service.run_job(request, lambda _: service.detector.detect(text)))[0].language, target


def _check_supported(body: DeepLRequest) -> None:
    check_formality(body.formality)
    if (body.glossary_id or body.glossary_ids) and not body.source_lang:
        raise invalid("source_lang is required with a glossary")


def check_formality(formality: str | None) -> None:
    """Raise RequestRejected if a formality is required."""
    if formality not in (None, "", "default", "prefer_more", "prefer_less"):
        raise invalid("formality is not supported")


def match_code(requested: str, served: Sequence[str], name: str) -> str:
    """Return the served code: `EN-US` matches `en-us`, or else `en`. Raise RequestRejected if none matches."""
    exact = requested.replace("_", "-").lower()
    for code in (exact, exact.split("-")[0]):
        if code in served:
            return code
    variants = [code for code in served if code.split("-")[0] == exact.split("-")[0]]
    if variants:
        return variants[0]
    raise RequestRejected(400, f"Value for '{name}' not supported.")
