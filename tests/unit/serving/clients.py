"""Send requests to the application in this process."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from starlette.types import ASGIApp

from regard.serving.app import create_app
from regard.serving.service import Service

_apps: WeakKeyDictionary[Service, ASGIApp] = WeakKeyDictionary()  # to make one takes longer than most requests


def app_of(service: Service) -> ASGIApp:
    """Return the application of a service without options."""
    if service not in _apps:
        _apps[service] = create_app(service)
    return _apps[service]


def ask(service: Service, method: str, path: str, **options: Any) -> httpx.Response:
    """Send one request."""
    return ask_all(service, [(method, path, options)])[0]


def ask_all(service: Service, requests: list[tuple[str, str, dict[str, Any]]], **app: Any) -> list[httpx.Response]:
    """Send several requests concurrently."""
    transport = httpx.ASGITransport(create_app(service, **app) if app else app_of(service))

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=120) as client:
            return await asyncio.gather(
                *(client.request(method, path, **options) for method, path, options in requests)
            )

    return asyncio.run(send())
