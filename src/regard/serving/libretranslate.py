"""The interface of LibreTranslate, as its clients speak it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from regard.serving import translate as work
from regard.serving.models import language_name
from regard.serving.openapi import answers, asks
from regard.serving.request_parsing import fields, parsed
from regard.serving.schema import (
    Detected,
    DetectRequest,
    Error,
    Health,
    Language,
    Languages,
    Named,
    Settings,
    TranslateAnswer,
    TranslateRequest,
    Untranslated,
)
from regard.serving.service import Service

TIMEOUT = 500  # milliseconds


def router(service: Service) -> APIRouter:
    """Its endpoints."""
    routes = APIRouter(tags=["LibreTranslate"])
    _of_texts(routes, service)
    _of_the_server(routes, service)
    return routes


def _of_texts(routes: APIRouter, service: Service) -> None:
    refusals = answers(Error, 400, 403, 408, 413, 415, 503)

    @routes.post(
        "/translate",
        response_model=TranslateAnswer,
        response_model_exclude_none=True,
        responses=refusals,
        openapi_extra=asks(TranslateRequest),
    )
    async def translate(request: Request) -> Any:
        """Translate a text, or several: JSON, a form, or the query of the address."""
        said = await fields(request)
        asked = parsed(TranslateRequest, said)
        texts = asked.q if isinstance(asked.q, list) else [asked.q]
        if not isinstance(asked.q, list) and "json" not in request.headers.get("content-type", ""):
            texts = [asked.q.replace("\r\n", "\n")]  # as forms end their lines
        service.count(texts, said, request)
        alternatives = service.alternatives(asked.alternatives)
        detected = None
        source = asked.source
        if source == "auto":
            detected = (await service.work(request, lambda _: service.detector.detect("\n".join(texts))))[0]
            source = detected.language
        served = service.models.pick(source, asked.target, asked.model)
        task = work.Task(served, texts, asked.format == "html", alternatives)
        done = await service.work(request, lambda ticket: work.translate(service.batcher, service.limits, task, ticket))
        several = isinstance(asked.q, list)
        return TranslateAnswer(
            translatedText=done.texts if several else done.texts[0],
            detectedLanguage=[detected] * len(texts) if detected and several else detected,
            alternatives=(done.alternatives if several else done.alternatives[0]) if alternatives else None,
            untranslated=[Untranslated(text=one.text, source=one.source, why=one.why) for one in done.left] or None,
        )

    @routes.post("/detect", response_model=list[Detected], responses=refusals, openapi_extra=asks(DetectRequest))
    async def detect(request: Request) -> Any:
        """Say which of the languages that can be translated from a text is in, likeliest first."""
        said = await fields(request)
        asked = parsed(DetectRequest, said)
        service.count([asked.q], said, request)
        return await service.work(request, lambda _: service.detector.detect(asked.q))


def _of_the_server(routes: APIRouter, service: Service) -> None:
    @routes.get("/languages", response_model=list[Language])
    async def languages() -> Any:
        """All languages of the models, and to which each can be translated: to none, where it is only a target."""
        return [
            Language(code=code, name=language_name(code), targets=service.models.targets(code))
            for code in service.models.languages
        ]

    @routes.get("/health", response_model=Health, responses=answers(Error, 503))
    async def health() -> Any:
        """Whether it serves."""
        service.refuse_if_draining()
        return Health(status="ok")

    @routes.get("/frontend/settings", response_model=Settings)
    async def settings() -> Any:
        """What a page has to know."""
        first = service.models.served[0]
        return Settings(
            charLimit=service.limits.characters,
            frontendTimeout=TIMEOUT,
            apiKeys=bool(service.keys),
            keyRequired=bool(service.keys),
            suggestions=False,
            filesTranslation=False,
            supportedFilesFormat=[],
            language=Languages(source=_named(first.source), target=_named(first.target)),
        )


def _named(code: str) -> Named:
    return Named(code=code, name=language_name(code))
