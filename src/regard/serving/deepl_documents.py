"""Endpoints for files, compatible with DeepL clients: send a document, ask for its status, and download the result."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from regard.errors import RegardError
from regard.serving.batcher import Ticket
from regard.serving.deepl import check_formality, match_code
from regard.serving.file_store import StoredFile
from regard.serving.file_translation import Upload, check_format, clean_name, translate_file
from regard.serving.files import file_response
from regard.serving.glossaries import find_glossary
from regard.serving.limits import RequestRejected, invalid
from regard.serving.openapi import DEEPL_ERRORS, file_body, request_body
from regard.serving.request_parsing import read_fields, read_upload, validate_fields
from regard.serving.schema import DeepLDocument, DeepLDocumentKey, DeepLDocumentRequest, DeepLDocumentStatus
from regard.serving.service import Service

log = logging.getLogger("regard.serving")


def router(service: Service) -> APIRouter:
    """Return the router of the endpoints."""
    routes = APIRouter(prefix="/v2/document", tags=["DeepL"], responses=DEEPL_ERRORS)

    @routes.post("", response_model=DeepLDocument, openapi_extra=file_body(DeepLDocumentRequest))
    async def send(request: Request) -> Any:
        """Accept a document, given as a multipart form, and start its translation."""
        service.keys.check(request, {})
        service.files.start()
        try:
            identifier, key = await _start(service, request)
        except BaseException:
            service.files.finish()
            raise
        return DeepLDocument(document_id=identifier, document_key=key)

    @routes.post(
        "/{document_id}",
        response_model=DeepLDocumentStatus,
        response_model_exclude_none=True,
        openapi_extra=request_body(DeepLDocumentKey),
    )
    async def status(request: Request, document_id: str) -> Any:
        """Return the status of a document."""
        file = await _find(service, request, document_id)
        return DeepLDocumentStatus(
            document_id=document_id,
            status=file.status,
            billed_characters=file.characters if file.status == "done" else None,
            error_message=file.error or None,
        )

    @routes.post("/{document_id}/result", openapi_extra=request_body(DeepLDocumentKey), response_class=Response)
    async def result(request: Request, document_id: str) -> Response:
        """Return a translated document."""
        file = await _find(service, request, document_id)
        if file.status == "error":
            raise invalid(file.error)
        if file.status != "done":
            raise RequestRejected(503, "the document is not ready", retry_after=1)
        return file_response(file)

    return routes


async def _find(service: Service, request: Request, document_id: str) -> StoredFile:
    """Return a document for whose key the request has. Raise RequestRejected if there is none."""
    fields = await read_fields(request)
    service.keys.check(request, {})
    return service.files.get(document_id, validate_fields(DeepLDocumentKey, fields).document_key)


async def _start(service: Service, request: Request) -> tuple[str, str]:
    """Start the translation of a document. Return its identifier and its key."""
    fields, name, data = await read_upload(request, service.limits.file)
    body = validate_fields(DeepLDocumentRequest, fields)
    check_formality(body.formality)
    upload = Upload(clean_name(body.filename or name), data)
    suffix = check_format(upload.name)
    if body.output_format and f".{body.output_format.lower().lstrip('.')}" != suffix:
        raise invalid("output_format must be the format of the file")
    models = service.models
    target = match_code(body.target_lang, models.all_targets, "target_lang")
    source = match_code(body.source_lang, models.sources, "source_lang") if body.source_lang else "auto"
    ids = [identifier for identifier in (*(body.glossary_ids or "").split(","), body.glossary_id) if identifier]
    if ids and source == "auto":
        raise invalid("source_lang is required with a glossary")
    upload = replace(upload, glossary=find_glossary(service, request, {}, ids, (source, target)))
    if source != "auto":
        models.route(source, target)  # reject other languages at once
    identifier, key = service.files.create()
    ticket = Ticket(service.limits.file_work)
    try:
        service.start_job(lambda: _translate(service, identifier, upload, (source, target), ticket))
    except RequestRejected as error:
        service.files.fail(identifier, error.message)
        raise
    return identifier, key


def _translate(service: Service, identifier: str, upload: Upload, languages: tuple[str, str], ticket: Ticket) -> None:
    """Translate a document, and store the result or the error."""
    service.files.start_translation(identifier)
    try:
        try:
            file = translate_file(service, upload, languages, ticket)
        finally:
            service.files.finish()  # before a client learns the result and sends the next document
    except (RequestRejected, RegardError) as error:
        service.files.fail(identifier, error.message)
    except Exception:
        log.exception("the translation of %s failed", PurePath(upload.name).suffix)
        service.files.fail(identifier, "the translation failed; see the log of the server")
    else:
        service.metrics.text(file.characters)
        service.files.complete(identifier, file.name, file.data, file.characters)
