"""Endpoints for files, compatible with LibreTranslate clients: translate a file, and download the translation."""

from __future__ import annotations

import mimetypes
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from regard.serving.file_store import StoredFile
from regard.serving.file_translation import Upload, check_format, clean_name, translate_file
from regard.serving.glossaries import find_glossary
from regard.serving.limits import RequestRejected, invalid
from regard.serving.openapi import error_responses, file_body
from regard.serving.request_parsing import read_upload, validate_fields
from regard.serving.schema import Error, FileAnswer, FileRequest
from regard.serving.service import CHARACTERS, Service

_HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store"}


def router(service: Service) -> APIRouter:
    """Return the router of the endpoints."""
    routes = APIRouter(tags=["LibreTranslate"])

    @routes.post(
        "/translate_file",
        response_model=FileAnswer,
        response_model_exclude_none=True,
        responses=error_responses(Error, 400, 403, 404, 408, 413, 415, 503),
        openapi_extra=file_body(FileRequest),
    )
    async def translate(request: Request) -> Any:
        """Translate a file in its own format, given as a multipart form. Answer when that is done."""
        with service.files.slot():
            fields, name, data = await read_upload(request, service.limits.file)
            service.keys.check(request, fields)
            body = validate_fields(FileRequest, fields)
            ids = [body.glossary_id] if body.glossary_id else []
            if ids and body.source == "auto":
                raise invalid("source is required with a glossary")
            glossary = find_glossary(service, request, fields, ids, (body.source, body.target))
            upload = Upload(clean_name(name), data, glossary)
            check_format(upload.name)
            if body.source != "auto":
                service.models.route(body.source, body.target)  # reject other languages at once
            file = await service.run_job(
                request,
                lambda ticket: translate_file(service, upload, (body.source, body.target), ticket),
                service.limits.file_work,
            )
        identifier = service.files.add(file.name, file.data)
        setattr(request.state, CHARACTERS, file.characters)
        return FileAnswer(
            translatedFileUrl=f"{str(request.base_url).rstrip('/')}/download_file/{identifier}/{quote(file.name)}",
            untranslated=file.untranslated or None,
            pivot=file.pivot or None,
        )

    @routes.get("/download_file/{identifier}/{name}", responses=error_responses(Error, 404), response_class=Response)
    async def download(identifier: str, name: str) -> Response:
        """Return a translated file. Its URL is a secret; the file is deleted after a while."""
        file = service.files.get(identifier)
        if file.name != name:
            raise RequestRejected(404, "there is no such file; translated files are deleted after a while")
        return file_response(file)

    return routes


def file_response(file: StoredFile) -> Response:
    """Return a file as a download, which a browser does not show."""
    media_type = mimetypes.guess_type(PurePath(file.name))[0] or "application/octet-stream"
    disposition = f"attachment; filename*=UTF-8''{quote(file.name)}"
    return Response(file.data, media_type=media_type, headers={"Content-Disposition": disposition, **_HEADERS})
