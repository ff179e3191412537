"""The server of `regard lesson`: lessons, notebooks, and what live figures need, on this machine only."""

from __future__ import annotations

import gzip
import mimetypes
import sys
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from regard.errors import ConfigError
from regard.lessons.pages import FOLDER, lessons
from regard.lessons.render import CONTENT_SECURITY_POLICY, render_index, render_lesson

HOST = "127.0.0.1"
_TEXT = {".js", ".mjs", ".css", ".json", ".ipynb", ".html", ".md"}
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".ipynb": "application/x-ipynb+json",
    ".woff2": "font/woff2",
}


def pages(run: Path | None = None) -> dict[str, bytes | Path]:
    """Return what the server serves, by path: pages as bytes, and files.

    Args:
        run: A folder with the ONNX models of the reader's own run, served below `run/`.
    """
    all_lessons = lessons()
    served: dict[str, bytes | Path] = {"": render_index(all_lessons).encode()}
    for lesson in all_lessons:
        served[lesson.name] = render_lesson(lesson, all_lessons, has_run=run is not None).encode()
    for prefix, folder in (("static", FOLDER / "static"), ("notebooks", FOLDER / "notebooks"), ("run", run)):
        if folder is not None:
            files = (path for path in folder.rglob("*") if path.is_file())
            served |= {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in files}
    return served


class LessonServer(ThreadingHTTPServer):
    """Serves fixed paths; every other request gets status 404."""

    daemon_threads = True

    def __init__(self, port: int, served: Mapping[str, bytes | Path]) -> None:
        try:
            super().__init__((HOST, port), partial(_Handler, served))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on port {port}: {error.strerror}", where="--port", fix="choose another port, or 0"
            ) from None

    @property
    def address(self) -> str:
        """The address of the first page."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that closed its connection early, as a browser does when the reader leaves the page."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, served: Mapping[str, bytes | Path], *arguments: object) -> None:
        self._served = served
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with a page or a file."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Answer with the headers of a page or a file."""
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        host = self.headers.get("host", "").partition(":")[0]  # without a port if that is 80
        if path not in self._served or host not in (HOST, "localhost"):  # a foreign name may lead to this machine
            self._send(HTTPStatus.NOT_FOUND, b"not found\n", "text/plain; charset=utf-8", {}, with_content)
            return
        value = self._served[path]
        suffix = value.suffix if isinstance(value, Path) else ".html"
        content = value.read_bytes() if isinstance(value, Path) else value
        media_type = _TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
        headers = {}
        if suffix in _TEXT:
            media_type += "; charset=utf-8"
            if "gzip" in self.headers.get("accept-encoding", ""):
                content, headers = gzip.compress(content, mtime=0), {"Content-Encoding": "gzip"}
        self._send(HTTPStatus.OK, content, media_type, headers, with_content)

    def _send(
        self, status: HTTPStatus, content: bytes, media_type: str, headers: Mapping[str, str], with_content: bool
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""
