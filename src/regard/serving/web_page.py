"""GET / and what the page needs: a fixed list of files, read once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from regard.attention import explorer
from regard.serving.limits import Refused

_HERE = Path(__file__).parent / "web"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
INDEX = "index.html"
GUARD = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def _files() -> dict[str, tuple[bytes, str, str]]:
    """By name: what is in it, its type, and what tells it from another."""
    found = {path.name: path.read_bytes() for path in _HERE.iterdir() if path.suffix in _TYPES}
    found["explorer.js"], found["explorer.css"] = explorer.read_script().encode(), explorer.read_style().encode()
    return {
        name: (content, _TYPES[Path(name).suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for name, content in found.items()
    }


def router() -> APIRouter:
    """Its endpoints."""
    routes = APIRouter(include_in_schema=False)
    files = _files()

    @routes.get("/")
    async def index(request: Request) -> Response:
        return _file(request, *files[INDEX])

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in files or name == INDEX:
            raise Refused(404, "there is no such file")
        return _file(request, *files[name])

    return routes


def _file(request: Request, content: bytes, kind: str, tag: str) -> Response:
    """It is asked for again each time, and sent again where it has changed."""
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": GUARD}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
