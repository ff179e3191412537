"""The interface of DeepL, as its clients speak it: texts, languages, usage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from regard.serving import translate as work
from regard.serving.limits import Refused, invalid
from regard.serving.models import language_name
from regard.serving.openapi import answers, asks
from regard.serving.request_parsing import fields, parsed
from regard.serving.schema import DeepLAnswer, DeepLLanguage, DeepLRequest, DeepLTranslation, DeepLUsage, Message
from regard.serving.service import Service

_TYPE = {"name": "type", "in": "query", "schema": {"enum": ["source", "target"], "default": "source"}}
ENDLESS = 10**12  # characters; DeepL's own for who has no limit


def router(service: Service) -> APIRouter:
    """Its endpoints."""
    routes = APIRouter(prefix="/v2", tags=["DeepL"])
    refusals = answers(Message, 400, 403, 404, 408, 413, 415, 503)

    @routes.post("/translate", response_model=DeepLAnswer, responses=refusals, openapi_extra=asks(DeepLRequest))
    async def translate(request: Request) -> Any:
        """Translate texts: JSON or a form."""
        said = await fields(request)
        service.keys.check(request, {})
        asked = parsed(DeepLRequest, said)
        service.count(asked.text, said, request)
        _supported(asked)
        source, target = await _languages(service, request, asked)
        task = work.Task(
            service.models.pick(source, target),
            asked.text,
            html=asked.tag_handling == "html",
            split_sentences=None if asked.split_sentences is None else asked.split_sentences != "0",
            flows=asked.split_sentences == "nonewlines",
        )
        done = await service.work(request, lambda ticket: work.translate(service.batcher, service.limits, task, ticket))
        return DeepLAnswer(
            translations=[
                DeepLTranslation(detected_source_language=source.upper(), text=text, billed_characters=len(given))
                for given, text in zip(asked.text, done.texts, strict=True)
            ]
        )

    @routes.get(
        "/languages", response_model=list[DeepLLanguage], responses=refusals, openapi_extra={"parameters": [_TYPE]}
    )
    async def languages(request: Request) -> Any:
        """The languages of sources, or of targets; DeepL's own client says which in a body."""
        service.keys.check(request, {})
        kind = (await fields(request)).get("type", "source")
        if kind not in ("source", "target"):
            raise invalid("type is source or target")
        models = service.models
        codes = models.sources
        if kind == "target":
            codes = list(dict.fromkeys(target for source in codes for target in models.targets(source)))
        return [DeepLLanguage(language=code.upper(), name=language_name(code)) for code in codes]

    @routes.api_route("/usage", methods=["GET"], response_model=DeepLUsage, responses=answers(Message, 403))
    async def usage(request: Request) -> Any:
        """How many characters were translated since the server began."""
        service.keys.check(request, {})
        return DeepLUsage(character_count=service.metrics.characters, character_limit=ENDLESS)

    @routes.post("/usage", response_model=DeepLUsage, responses=answers(Message, 403))
    async def usage_posted(request: Request) -> Any:
        """The same."""
        service.keys.check(request, {})
        return DeepLUsage(character_count=service.metrics.characters, character_limit=ENDLESS)

    return routes


async def _languages(service: Service, request: Request, asked: DeepLRequest) -> tuple[str, str]:
    """Return the codes of source and target; the source is detected where the request leaves it out."""
    models = service.models
    targets = dict.fromkeys(target for source in models.sources for target in models.targets(source))
    target = _code(asked.target_lang, targets, "target_lang")
    if asked.source_lang:
        return _code(asked.source_lang, models.sources, "source_lang"), target
    text = "\n".join(asked.text)
    return (await service.work(request, lambda _: service.detector.detect(text)))[0].language, target


def _supported(asked: DeepLRequest) -> None:
    if asked.formality not in (None, "", "default", "prefer_more", "prefer_less"):
        raise invalid("formality is not supported")
    if asked.glossary_id:
        raise Refused(404, "there is no such glossary")


def _code(said: str, served: Iterable[str], name: str) -> str:
    """As it is served: `EN-US` is `en-us`, or else `en`. Raises Refused."""
    exact = said.replace("_", "-").lower()
    codes = list(served)
    for code in (exact, exact.split("-")[0]):
        if code in codes:
            return code
    near = [code for code in codes if code.split("-")[0] == exact.split("-")[0]]
    if near:
        return near[0]
    raise Refused(400, f"Value for '{name}' not supported.")
