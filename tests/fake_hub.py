"""A Hugging Face hub on this machine: repositories, commits, large files, and errors that a test asks for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_fake"
USER = "me"
LICENSES = (None, "apache-2.0", "mit", "cc-by-4.0")
LARGE = (".safetensors", ".model")  # files that are uploaded with the protocol for large files


@dataclass
class Repository:
    """A repository: its files, and the messages of its commits."""

    private: bool = True
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b""})
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return f"{len(self.commits):040x}"


class FakeHub(ThreadingHTTPServer):
    """Serves `repositories` to those who have the token.

    Attributes:
        repositories: The repositories by name.
        blobs: The large files by SHA-256.
        requests: The requests, as `POST /api/repos/create`.
        failures: The status of the answer to requests that start with a text; 0 closes the connection instead.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.failures: dict[str, int] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client has closed the connection


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        request = f"{self.command} {path}"
        self.server.requests.append(request)
        failure = next((status for start, status in self.server.failures.items() if request.startswith(start)), None)
        if failure == 0:
            self.close_connection = True
            self.connection.close()
            return
        if failure is not None:
            self._send({"error": "as the test wants it"}, failure)
            return
        if not path.startswith("/lfs/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send({"error": "Invalid username or password."}, 401)
            return
        for pattern, action in _ROUTES:
            if match := re.fullmatch(pattern, request):
                getattr(self, action)(*match.groups(), body)
                return
        self._send({"error": "Not found"}, 404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def who_am_i(self, _: bytes) -> None:
        self._send({"type": "user", "name": USER, "orgs": []})

    def validate_card(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        metadata = yaml.safe_load(content.split("---\n")[1]) if content.startswith("---\n") else {}
        errors = [] if metadata.get("license") in LICENSES else [{"message": '"license" must be one of [...]'}]
        self._send({"errors": errors, "warnings": []}, 400 if errors else 200)

    def create(self, body: bytes) -> None:
        options = json.loads(body)
        name = f"{options.get('organization') or USER}/{options['name']}"
        if name in self.server.repositories:
            self._send({"error": "You already created this model repo"}, 409)
            return
        is_private = options.get("private", options.get("visibility") == "private")
        self.server.repositories[name] = Repository(is_private)
        self._send({"url": f"{self.server.endpoint}/{name}", "name": name})

    def information(self, name: str, _: bytes) -> None:
        if (repository := self._repository(name)) is not None:
            files = [{"rfilename": file} for file in repository.files]
            facts = {"id": name, "private": repository.private, "sha": repository.sha, "siblings": files, "tags": []}
            self._send({**facts, "modelId": name, "downloads": 0, "likes": 0})

    def tree(self, name: str, _: bytes) -> None:
        if (repository := self._repository(name)) is not None:
            entries = [
                {"type": "file", "path": file, "size": len(data), "oid": _git_id(data)}
                for file, data in repository.files.items()
            ]
            self._send(entries)

    def preupload(self, name: str, body: bytes) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        answers = []
        for file in json.loads(body)["files"]:
            known = repository.files.get(file["path"])
            mode = "lfs" if file["path"].endswith(LARGE) else "regular"
            is_large = known is not None and mode == "lfs"
            oid = None if known is None else hashlib.sha256(known).hexdigest() if is_large else _git_id(known)
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._send({"files": answers})

    def large_files(self, _name: str, body: bytes) -> None:
        objects = json.loads(body)["objects"]
        for item in objects:
            if item["oid"] not in self.server.blobs:
                item["actions"] = {"upload": {"href": f"{self.server.endpoint}/lfs/{item['oid']}"}}
        self._send({"transfer": "basic", "objects": objects})

    def put_large_file(self, oid: str, body: bytes) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.blobs[oid] = body
        self._send({})

    def commit(self, name: str, body: bytes) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        lines = [json.loads(line) for line in body.splitlines()]
        if lines[0]["value"].get("parentCommit", repository.sha) != repository.sha:
            self._send({"error": "A commit has happened since."}, 412)
            return
        for line in lines[1:]:
            value = line["value"]
            large = line["key"] == "lfsFile"
            data = self.server.blobs[value["oid"]] if large else base64.b64decode(value["content"])
            repository.files[value["path"]] = data
        repository.commits.append(lines[0]["value"]["summary"])
        url = f"{self.server.endpoint}/{name}/commit/{repository.sha}"
        self._send({"success": True, "commitOid": repository.sha, "commitUrl": url, "hookOutput": ""})

    def file(self, name: str, file: str, _: bytes) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        data = repository.files.get(file)
        if data is None:
            self._send({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(data).hexdigest()
        self._send_bytes(data, 200, {"X-Repo-Commit": repository.sha, "ETag": f'"{etag}"'})

    def _repository(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        if repository is None:
            self._send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        return repository

    def _send(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send_bytes(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


_ROUTES = (
    (r"GET /api/whoami-v2", "who_am_i"),
    (r"POST /api/validate-yaml", "validate_card"),
    (r"POST /api/repos/create", "create"),
    (r"GET /api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", "information"),
    (r"GET /api/models/([^/]+/[^/]+)/tree/[^/]+", "tree"),
    (r"POST /api/models/([^/]+/[^/]+)/preupload/[^/]+", "preupload"),
    (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", "large_files"),
    (r"PUT /lfs/(\w+)", "put_large_file"),
    (r"POST /api/models/([^/]+/[^/]+)/commit/[^/]+", "commit"),
    (r"(?:GET|HEAD) /([^/]+/[^/]+)/resolve/[^/]+/(.+)", "file"),
)


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serve_hub(cache: Path) -> Iterator[FakeHub]:
    """Serve in another thread while the block runs; huggingface_hub uses this hub, and does not wait before it retries.

    Args:
        cache: An empty folder for downloads.
    """
    from huggingface_hub import constants

    from regard.checkpoints.hub import download

    with FakeHub() as server, mock.patch.dict("os.environ", {"HF_TOKEN": TOKEN}):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        values: dict[str, Any] = {
            "ENDPOINT": server.endpoint,
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        }
        no_wait = mock.patch("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        with mock.patch.multiple(constants, **values), no_wait:
            download.cache_clear()
            yield server
        download.cache_clear()
        server.shutdown()
        thread.join()
