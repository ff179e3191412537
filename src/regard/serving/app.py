"""The ASGI application: all endpoints, error handlers and middleware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from regard.serving import deepl, deepl_documents, files, glossaries, libretranslate, suggestions, web_page
from regard.serving.allowed_hosts import AllowedHosts
from regard.serving.alternatives import find_alternatives
from regard.serving.attention import translate_with_attention
from regard.serving.limits import RequestRejected
from regard.serving.metrics import CONTENT_TYPE
from regard.serving.middleware import FAILED, ServerMiddleware, error_response
from regard.serving.openapi import DocumentedApp, error_responses, request_body
from regard.serving.request_parsing import read_fields, validate_fields
from regard.serving.schema import (
    AlternativesAnswer,
    AlternativesRequest,
    AttentionAnswer,
    AttentionRequest,
    Error,
    Examples,
    Model,
)
from regard.serving.service import Service
from regard.serving.threads import start_thread
from regard.version import __version__


def create_app(service: Service, origins: Sequence[str] = (), allowed_hosts: AllowedHosts | None = None) -> ASGIApp:
    """Create the application.

    Args:
        service: The state that all endpoints share.
        origins: Origins whose web pages may call the server (CORS).
        allowed_hosts: Host names that requests may use; None allows every host.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await start_thread(service.close, "close")

    app = DocumentedApp(
        title="regard",
        version=__version__,
        description="Translation with models of regard, compatible with clients of LibreTranslate and DeepL.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
    )
    app.include_router(libretranslate.router(service))
    app.include_router(suggestions.router(service))
    app.include_router(files.router(service))
    app.include_router(deepl.router(service))
    app.include_router(deepl_documents.router(service))
    for router in glossaries.routers(service):
        app.include_router(router)
    app.include_router(web_page.router())
    _add_endpoints(app, service)
    _add_exception_handlers(app)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return ServerMiddleware(app, service, allowed_hosts or AllowedHosts())


def _add_endpoints(app: FastAPI, service: Service) -> None:
    """Add the endpoints that only regard has."""

    @app.get("/models", response_model=list[Model], tags=["regard"])
    async def models() -> Any:
        """List the models."""
        return [model.to_json() for model in service.models.served]

    @app.get("/examples", response_model=list[Examples], responses=error_responses(Error, 403), tags=["regard"])
    async def examples(request: Request) -> Any:
        """List sentences of the dev sets, as examples for a page."""
        service.keys.check(request, {})
        return service.examples

    @app.post(
        "/attention",
        response_model=AttentionAnswer,
        responses=error_responses(Error, 400, 403, 408, 413, 415, 503),
        openapi_extra=request_body(AttentionRequest),
        tags=["regard"],
    )
    async def attention(request: Request) -> Response:
        """Translate a text, with the attention weights and the alternatives of its first sentence."""
        fields = await read_fields(request)
        body = validate_fields(AttentionRequest, fields)
        service.check_texts([body.q, body.target_text or ""], fields, request)
        service.check_alternatives(body.alternatives)
        response = await service.run_job(
            request,
            lambda ticket: translate_with_attention(service.batcher, service.limits, service.models, body, ticket),
        )
        return Response(response, media_type="application/json")

    @app.post(
        "/alternatives",
        response_model=AlternativesAnswer,
        responses=error_responses(Error, 400, 403, 408, 413, 415, 503),
        openapi_extra=request_body(AlternativesRequest),
        tags=["regard"],
    )
    async def alternatives(request: Request) -> Any:
        """Return the words that can follow the beginning of a translation, with their probabilities."""
        fields = await read_fields(request)
        body = validate_fields(AlternativesRequest, fields)
        service.check_texts([body.q, body.prefix], fields, request)
        service.check_alternatives(body.alternatives)
        return await service.run_job(
            request, lambda ticket: find_alternatives(service.batcher, service.models, body, ticket)
        )

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        service.keys.check(request, {})
        return Response(service.metrics.render(), media_type=CONTENT_TYPE)


def _add_exception_handlers(app: FastAPI) -> None:
    """Answer every error in the format of the API that was called."""

    def respond(request: Request, error: RequestRejected) -> Response:
        body, headers = error_response(request.url.path, error)
        return Response(body, error.status, headers)

    @app.exception_handler(RequestRejected)
    async def rejected(request: Request, error: RequestRejected) -> Response:
        return respond(request, error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        response = respond(request, RequestRejected(error.status_code, str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return respond(request, RequestRejected(500, FAILED))  # Starlette raises it again, and the middleware logs it

    @app.exception_handler(RequestValidationError)
    async def invalid_query(request: Request, error: RequestValidationError) -> Response:
        name = str(error.errors()[0]["loc"][-1])
        return respond(request, RequestRejected(400, f"Invalid request: {name[:40]} parameter is wrong"))
