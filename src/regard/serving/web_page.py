"""GET / and the static files of the page: a fixed set of files, read once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from regard.html import explorer
from regard.serving.limits import RequestRejected

_FOLDER = Path(__file__).parent / "web"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
INDEX = "index.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def _read_files() -> dict[str, tuple[bytes, str, str]]:
    """Return the content, media type and ETag of each file by name."""
    contents = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    contents["explorer.js"], contents["explorer.css"] = explorer.read_script().encode(), explorer.read_style().encode()
    return {
        name: (content, _TYPES[Path(name).suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for name, content in contents.items()
    }


def router() -> APIRouter:
    """Return the router of the endpoints."""
    routes = APIRouter(include_in_schema=False)
    files = _read_files()

    @routes.get("/")
    async def index(request: Request) -> Response:
        return _file_response(request, *files[INDEX])

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in files or name == INDEX:
            raise RequestRejected(404, "file not found")
        return _file_response(request, *files[name])

    return routes


def _file_response(request: Request, content: bytes, media_type: str, etag: str) -> Response:
    """Return a file that browsers revalidate each time, and download again only if it changed."""
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
