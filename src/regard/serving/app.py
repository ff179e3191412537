"""The application: all endpoints, and what is around them."""

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

from regard.serving import deepl, libretranslate, web_page
from regard.serving.allowed_hosts import Names
from regard.serving.attention import attend
from regard.serving.limits import Refused
from regard.serving.metrics import CONTENT_TYPE
from regard.serving.middleware import FAILED, Guard, refusal
from regard.serving.openapi import answers, asks
from regard.serving.request_parsing import fields, parsed
from regard.serving.schema import AttentionAnswer, AttentionRequest, Error, Model
from regard.serving.service import Service
from regard.serving.threads import start_thread
from regard.version import __version__


def create_app(service: Service, origins: Sequence[str] = (), names: Names | None = None) -> ASGIApp:
    """All that is served; origins: of pages elsewhere whose scripts may ask; names: what it is asked as, else any."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await start_thread(service.close, "close")

    app = FastAPI(
        title="regard",
        version=__version__,
        description="Translation by models of regard, as LibreTranslate and DeepL are spoken to.",
        lifespan=lifespan,
        docs_url=None,  # its page fetches scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(libretranslate.router(service))
    app.include_router(deepl.router(service))
    app.include_router(web_page.router())
    _own(app, service)
    _refusals(app)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return Guard(app, service, names or Names())


def _own(app: FastAPI, service: Service) -> None:
    """What no other interface has."""

    @app.get("/models", response_model=list[Model], tags=["regard"])
    async def models() -> Any:
        """What is served."""
        return [one.told() for one in service.models.served]

    @app.post(
        "/attention",
        response_model=AttentionAnswer,
        responses=answers(Error, 400, 403, 408, 413, 415, 503),
        openapi_extra=asks(AttentionRequest),
        tags=["regard"],
    )
    async def attention(request: Request) -> Response:
        """Translate a sentence, and say what else the beam found and what the model looked at."""
        said = await fields(request)
        asked = parsed(AttentionRequest, said)
        service.count([asked.q, asked.target_text or ""], said, request)
        service.alternatives(asked.alternatives)
        answer = await service.work(
            request, lambda ticket: attend(service.batcher, service.limits, service.models, asked, ticket)
        )
        return Response(answer, media_type="application/json")

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        service.keys.check(request, {})
        return Response(service.metrics.told(), media_type=CONTENT_TYPE)


def _refusals(app: FastAPI) -> None:
    """Every error as the clients of its interface read it."""

    def refuse(request: Request, refused: Refused) -> Response:
        body, headers = refusal(request.url.path, refused)
        return Response(body, refused.status, headers)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return refuse(request, error)

    @app.exception_handler(HTTPException)
    async def of_starlette(request: Request, error: HTTPException) -> Response:
        answer = refuse(request, Refused(error.status_code, str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return refuse(request, Refused(500, FAILED))  # it is raised again, and the guard logs it

    @app.exception_handler(RequestValidationError)
    async def of_query(request: Request, error: RequestValidationError) -> Response:
        name = str(error.errors()[0]["loc"][-1])
        return refuse(request, Refused(400, f"Invalid request: {name[:40]} parameter is wrong"))
