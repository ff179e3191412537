"""Around all endpoints: sizes and times are bounded, every answer has its headers, and nothing ends the server."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regard.serving.allowed_hosts import Names
from regard.serving.batcher import STOPPING
from regard.serving.limits import Refused, busy
from regard.serving.service import CHARACTERS, GONE, Service

log = logging.getLogger("regard.serving")
FAILED = "the server failed; its log says why"
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
ENDPOINTS = frozenset(
    {
        *("/", "/translate", "/detect", "/languages", "/health", "/frontend/settings"),
        *("/v2/translate", "/v2/languages", "/v2/usage"),
        *("/models", "/attention", "/metrics", "/openapi.json"),
    }
)


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, service: Service, names: Names) -> None:
        self.app = app
        self.service = service
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, last=self.service.crowded, bare=scope["method"] == "HEAD")
        if answer.bare:
            scope = {**scope, "method": "GET"}
        state = scope.setdefault("state", {})
        began = time.monotonic()
        try:
            self.names.check(scope)
            self.service.refuse_if_draining()
            if answer.last:
                raise busy("there are too many connections")
            await self.app(scope, self._bounded(scope, receive, began), answer)
        except Refused as refused:
            await answer.refuse(scope, refused)
        except asyncio.CancelledError:  # the server ends before the request does
            await answer.refuse(scope, busy(STOPPING))
        except Exception:
            log.exception("a request failed")
            await answer.refuse(scope, Refused(500, FAILED))
        finally:
            path = scope["path"]
            endpoint = path if path in ENDPOINTS else "/static" if path.startswith("/static/") else "other"
            self.service.metrics.request(endpoint, answer.status, time.monotonic() - began)
            if answer.status == 200:
                self.service.metrics.text(state.get(CHARACTERS, 0))

    def _bounded(self, scope: Scope, receive: Receive, began: float) -> Receive:
        """Raises Refused where a body is too large, before it is read if it says so, or does not come in time."""
        limits = self.service.limits
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said[:20]) > limits.body:
            raise _too_large(limits.body)
        size = 0
        whole = False

        async def bounded() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, began + limits.receive - time.monotonic()))
            except TimeoutError:
                raise Refused(408, "the request did not come in time") from None
            if message["type"] == "http.disconnect":
                raise Refused(400, "the request broke off")
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > limits.body:
                raise _too_large(limits.body)
            return message

        return bounded


class _Answer:
    """What is sent, with the headers that all answers have.

    last: whether it ends its connection. bare: whether it has no body, as to HEAD.
    """

    def __init__(self, send: Send, *, last: bool, bare: bool) -> None:
        self._send = send
        self.last = last
        self.bare = bare
        self.status = GONE
        self.whole = False

    async def __call__(self, message: Message) -> None:
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message["headers"]}
            added = [(name, value) for name, value in HEADERS if name not in own]
            if b"cache-control" not in own:
                added.append((b"cache-control", b"no-store"))
            if self.last or self.status in (408, 413):  # the rest of such a request is not read
                added.append((b"connection", b"close"))
            message = {**message, "headers": [*message["headers"], *added]}
        elif self.bare:
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, scope: Scope, refused: Refused) -> None:
        """Say why; an answer that has begun breaks off."""
        if self.whole:
            return
        if self.status != GONE:
            raise refused
        body, headers = refusal(scope["path"], refused)
        start = [(name.encode(), value.encode()) for name, value in headers.items()]
        start.append((b"content-length", str(len(body)).encode()))
        await self({"type": "http.response.start", "status": refused.status, "headers": start})
        await self({"type": "http.response.body", "body": body})


def refusal(path: str, refused: Refused) -> tuple[bytes, dict[str, str]]:
    """The body, as the clients of an interface read it, and the headers."""
    name = "message" if path.startswith("/v2/") else "error"
    table: dict[str, Any] = {name: refused.message}
    headers = {"content-type": "application/json"}
    if refused.retry_after is not None:
        headers["retry-after"] = str(refused.retry_after)
    return json.dumps(table).encode(), headers


def _too_large(most: int) -> Refused:
    return Refused(413, f"the request has more than {most:,} bytes")
