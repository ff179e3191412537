"""GET / and the static files of the page: a fixed set of files, read once."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _File:
    """A file of the page: its content, the same compressed, its media type, and its ETag."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


def _read_files() -> dict[str, _File]:
    contents = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    contents["explorer.js"], contents["explorer.css"] = explorer.read_script().encode(), explorer.read_style().encode()
    return {name: _make_file(content, _TYPES[Path(name).suffix]) for name, content in contents.items()}


def _make_file(content: bytes, media_type: str) -> _File:
    return _File(content, gzip.compress(content, mtime=0), media_type, hashlib.sha256(content).hexdigest()[:32])


def router() -> APIRouter:
    """Return the router of the endpoints."""
    routes = APIRouter(include_in_schema=False)
    files = _read_files()

    @routes.get("/")
    async def index(request: Request) -> Response:
        return _file_response(request, files[INDEX])

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in files or name == INDEX:
            raise RequestRejected(404, "file not found")
        return _file_response(request, files[name])

    return routes


def _file_response(request: Request, file: _File) -> Response:
    """Return a file that browsers revalidate each time, and download again only if it changed."""
    is_compressed = "gzip" in request.headers.get("accept-encoding", "")
    etag = f'"{file.etag}-gzip"' if is_compressed else f'"{file.etag}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if is_compressed:
        return Response(file.compressed, media_type=file.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)
