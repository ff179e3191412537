"""Middleware for all endpoints: limits on size and time, response headers, metrics, and a last error handler."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regard.serving.allowed_hosts import AllowedHosts
from regard.serving.batcher import STOPPING
from regard.serving.limits import RequestRejected, busy
from regard.serving.service import CHARACTERS, CLIENT_CLOSED, Service

log = logging.getLogger("regard.serving")
FAILED = "internal server error; see the log of the server"
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
ENDPOINTS = frozenset(
    {
        *("/", "/translate", "/suggest", "/detect", "/languages", "/health", "/frontend/settings"),
        *("/translate_file", "/v2/document", "/v2/translate", "/v2/languages", "/v2/usage"),
        *("/v2/glossaries", "/v2/glossary-language-pairs"),
        "/v3/glossaries",
        *("/models", "/attention", "/alternatives", "/examples", "/metrics", "/openapi.json"),
    }
)

UPLOADS = frozenset({"/translate_file", "/v2/document"})
"""Endpoints that receive a file."""
PREFIXES = ("/static", "/download_file", "/v2/document")
"""Endpoints with a parameter in their path."""


class ServerMiddleware:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, service: Service, allowed_hosts: AllowedHosts) -> None:
        self.app = app
        self.service = service
        self.allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        response = _Response(send, closes=self.service.is_crowded, omits_body=scope["method"] == "HEAD")
        if response.omits_body:
            scope = {**scope, "method": "GET"}
        state = scope.setdefault("state", {})
        start = time.monotonic()
        try:
            self.allowed_hosts.check(scope)
            self.service.reject_if_draining()
            if response.closes:
                raise busy("there are too many connections")
            await self.app(scope, self._limit_body(scope, receive, start), response)
        except RequestRejected as error:
            await response.reject(scope, error)
        except asyncio.CancelledError:  # the server stops before the request is done
            await response.reject(scope, busy(STOPPING))
        except Exception:
            log.exception("a request failed")
            await response.reject(scope, RequestRejected(500, FAILED))
        finally:
            path = scope["path"]
            endpoint = _endpoint(path)
            self.service.metrics.request(endpoint, response.status, time.monotonic() - start)
            if response.status == 200:
                self.service.metrics.text(state.get(CHARACTERS, 0))

    def _limit_body(self, scope: Scope, receive: Receive, start: float) -> Receive:
        """Return a `receive` that raises RequestRejected for a body that is too large or arrives too late.

        A Content-Length above the limit is rejected before the body is read.
        """
        limits = self.service.limits
        is_upload = scope["path"] in UPLOADS
        max_bytes = limits.file + limits.body if is_upload else limits.body
        deadline = start + (limits.upload if is_upload else limits.receive)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > max_bytes:
            raise _too_large(max_bytes)
        size = 0
        is_complete = False

        async def bounded() -> Message:
            nonlocal size, is_complete
            if is_complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise RequestRejected(408, "the request was not received in time") from None
            if message["type"] == "http.disconnect":
                raise RequestRejected(400, "the connection closed before the request was complete")
            size += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if size > max_bytes:
                raise _too_large(max_bytes)
            return message

        return bounded


class _Response:
    """Send a response with the headers that all responses have.

    closes: whether it closes its connection. omits_body: whether the body is left out, as for HEAD.
    """

    def __init__(self, send: Send, *, closes: bool, omits_body: bool) -> None:
        self._send = send
        self.closes = closes
        self.omits_body = omits_body
        self.status = CLIENT_CLOSED
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        self.is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name.lower() for name, _ in message["headers"]}
            added = [(name, value) for name, value in HEADERS if name not in present]
            if b"cache-control" not in present:
                added.append((b"cache-control", b"no-store"))
            if self.closes or self.status in (408, 413):  # the rest of the request is not read
                added.append((b"connection", b"close"))
            message = {**message, "headers": [*message["headers"], *added]}
        elif self.omits_body:
            message = {**message, "body": b""}
        await self._send(message)

    async def reject(self, scope: Scope, error: RequestRejected) -> None:
        """Send an error response. If a response has started already, raise the error, which closes the connection."""
        if self.is_complete:
            return
        if self.status != CLIENT_CLOSED:
            raise error
        body, headers = error_response(scope["path"], error)
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        encoded.append((b"content-length", str(len(body)).encode()))
        await self({"type": "http.response.start", "status": error.status, "headers": encoded})
        await self({"type": "http.response.body", "body": body})


def error_response(path: str, error: RequestRejected) -> tuple[bytes, dict[str, str]]:
    """Return the body of an error, in the format of the API at `path`, and the headers."""
    name = "message" if path.startswith(("/v2/", "/v3/")) else "error"
    table: dict[str, Any] = {name: error.message}
    headers = {"content-type": "application/json"}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return json.dumps(table).encode(), headers


def _endpoint(path: str) -> str:
    """Return the name of an endpoint in the metrics."""
    if path in ENDPOINTS:
        return path
    return next((prefix for prefix in PREFIXES if path.startswith(f"{prefix}/")), "other")


def _too_large(limit: int) -> RequestRejected:
    return RequestRejected(413, f"the request has more than {limit:,} bytes")
