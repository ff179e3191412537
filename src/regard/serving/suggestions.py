"""POST /suggest: keep a better translation of a text, as LibreTranslate's clients send it."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request

from regard.corpus.corrections import (
    MAX_CHARACTERS,
    Correction,
    CorrectionStore,
    InvalidCorrectionError,
    StoreFullError,
)
from regard.errors import DataError, RegardError
from regard.serving import translate as translation
from regard.serving.batcher import Ticket
from regard.serving.limits import RequestRejected, invalid
from regard.serving.models import ServedModel
from regard.serving.openapi import error_responses, request_body
from regard.serving.request_parsing import read_fields, validate_fields
from regard.serving.schema import Error, SuggestAnswer, SuggestRequest
from regard.serving.service import CHARACTERS, Service

log = logging.getLogger("regard.serving")
DISABLED = "Suggestions are disabled on this server; `regard serve --corrections FILE.sqlite` accepts them"


def router(service: Service) -> APIRouter:
    """Return the router of the endpoint."""
    routes = APIRouter(tags=["LibreTranslate"])
    errors = error_responses(Error, 400, 403, 408, 413, 415, 503)

    @routes.post("/suggest", response_model=SuggestAnswer, responses=errors, openapi_extra=request_body(SuggestRequest))
    async def suggest(request: Request) -> Any:
        """Keep a better translation, with the model's own. Given as JSON, a form or a query string."""
        fields = await read_fields(request)
        store = service.corrections
        if store is None:
            raise RequestRejected(403, DISABLED)
        body = validate_fields(SuggestRequest, fields)
        service.check_texts([body.q, body.s], fields, request)
        setattr(request.state, CHARACTERS, len(body.q))
        source = body.source
        if source == "auto":
            source = (await service.run_job(request, lambda _: service.detector.detect(body.q)))[0].language
        served = service.models.pick(source, body.target, body.model)
        await service.run_job(request, lambda ticket: _keep(service, store, served, body, ticket))
        return SuggestAnswer(success=True)

    return routes


def _keep(service: Service, store: CorrectionStore, served: ServedModel, body: SuggestRequest, ticket: Ticket) -> None:
    """Translate the text, and add the correction to the store. Raise RequestRejected if it cannot be kept."""
    correction = Correction(
        source=_without_crlf(body.q),
        target=_without_crlf(body.s),
        source_language=served.source,
        target_language=served.target,
        translation=_translate(service, served, _without_crlf(body.q), ticket),
        model=served.name,
        step=served.step,
        origin=body.origin,
    )
    try:
        store.add(correction)
    except StoreFullError as error:
        log.warning("%s: %s", store.path, error.message)
        raise RequestRejected(503, "the store of suggestions is full") from None
    except InvalidCorrectionError as error:
        raise invalid(error.message) from None
    except DataError as error:
        log.warning("%s: %s", store.path, error.message)
        raise RequestRejected(503, "the suggestion cannot be kept; see the log of the server", retry_after=2) from None


def _translate(service: Service, served: ServedModel, text: str, ticket: Ticket) -> str | None:
    """Return the model's own translation; None if it cannot be had now: the correction is kept without it."""
    try:
        task = translation.Task(served, [text])
        translated = translation.translate(service.batcher, service.limits, task, ticket).texts[0]
    except (RequestRejected, RegardError):
        return None
    return translated if len(translated) <= MAX_CHARACTERS else None


def _without_crlf(text: str) -> str:
    return text.replace("\r\n", "\n")  # forms end lines with CRLF
