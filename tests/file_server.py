"""An HTTP server on this machine, for tests of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `pages`; what is in `truncated` ends after half of the bytes that were announced."""

    pages: dict[str, bytes]
    truncated: set[str]
    requests: list[str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.truncated, self.requests = {}, set(), []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.requests.append(name)
        if name not in self.server.pages:
            self.send_error(404)
            return
        page = self.server.pages[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        with suppress(ConnectionError):  # of a client that has read enough
            self.wfile.write(page[: len(page) // 2] if name in self.server.truncated else page)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serve_files() -> Iterator[FileServer]:
    """Serve in another thread while the block runs."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
