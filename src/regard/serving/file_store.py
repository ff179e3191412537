"""Translated files that clients download: in memory, bounded in number and size, and deleted after a while."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from regard.serving.limits import Limits, RequestRejected, busy

PRUNE_INTERVAL = 10.0  # seconds between two searches for expired files

Status = Literal["queued", "translating", "done", "error"]


@dataclass
class StoredFile:
    """A file that is being translated, or is ready.

    Attributes:
        key: A secret that a client needs in addition to the identifier; empty if it needs none.
        name: The name of the translated file.
        status: What has happened to it, in DeepL's words.
        data: The translated file.
        error: Why the translation failed.
        characters: The number of translated characters.
        expires: When it is deleted; None while it is being translated.
    """

    key: str
    name: str = ""
    status: Status = "queued"
    data: bytes = b""
    error: str = ""
    characters: int = 0
    expires: float | None = None


class FileStore:
    """All files of a server. Methods may be called from any thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._files: dict[str, StoredFile] = {}
        self.running = 0  # files that are being received or translated

    def __len__(self) -> int:
        return len(self._files)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count a file that is being received or translated. Raise RequestRejected if there are too many."""
        self.start()
        try:
            yield
        finally:
            self.finish()

    def start(self) -> None:
        """Count a file until `finish` is called. Raise RequestRejected if there are too many."""
        with self._lock:
            if self.running >= self._limits.documents:
                raise busy(f"{self.running} files are being translated already")
            self.running += 1

    def finish(self) -> None:
        """Stop counting a file."""
        with self._lock:
            self.running -= 1

    def create(self) -> tuple[str, str]:
        """Add a file that will be translated. Return its identifier and its key.

        Raises:
            RequestRejected: There are too many files.
        """
        self.prune()
        identifier, key = secrets.token_hex(16).upper(), secrets.token_hex(32).upper()
        with self._lock:
            self._check_space(0)
            self._files[identifier] = StoredFile(key)
        return identifier, key

    def add(self, name: str, data: bytes) -> str:
        """Add a translated file. Return its identifier, which is a secret. Raise RequestRejected if it is full."""
        self.prune()
        identifier = secrets.token_urlsafe(32)
        with self._lock:
            self._check_space(len(data))
            self._files[identifier] = StoredFile("", name, "done", data, expires=self._expiry())
        return identifier

    def complete(self, identifier: str, name: str, data: bytes, characters: int) -> None:
        """Store the translation of a file."""
        self.prune()
        with self._lock:
            file = self._files[identifier]
            file.expires = self._expiry()
            try:
                self._check_space(len(data), new_files=0)
            except RequestRejected as error:
                file.status, file.error = "error", error.message
                return
            file.name, file.data, file.characters, file.status = name, data, characters, "done"

    def fail(self, identifier: str, error: str) -> None:
        """Note why the translation of a file failed."""
        with self._lock:
            file = self._files[identifier]
            file.status, file.error, file.expires = "error", error, self._expiry()

    def start_translation(self, identifier: str) -> None:
        """Note that the translation of a file has started."""
        with self._lock:
            self._files[identifier].status = "translating"

    def get(self, identifier: str, key: str = "") -> StoredFile:
        """Return a file. Raise RequestRejected if there is none with this identifier and key."""
        self.prune()
        with self._lock:
            file = self._files.get(identifier)
        if file is None or not hmac.compare_digest(file.key.encode(), key.encode("utf-8", "replace")):
            raise RequestRejected(404, "there is no such file; translated files are deleted after a while")
        return file

    def prune(self) -> None:
        """Delete the files that have expired."""
        current_time = time.monotonic()
        with self._lock:
            expired = [
                identifier
                for identifier, file in self._files.items()
                if file.expires is not None and file.expires <= current_time
            ]
            for identifier in expired:
                del self._files[identifier]

    async def watch(self) -> None:
        """Delete expired files until cancelled."""
        while True:
            await asyncio.sleep(PRUNE_INTERVAL)
            self.prune()

    def _expiry(self) -> float:
        return time.monotonic() + self._limits.file_life

    def _check_space(self, size: int, new_files: int = 1) -> None:
        """Raise RequestRejected if there is no room for `new_files` more files and `size` more bytes."""
        used = sum(len(file.data) for file in self._files.values())
        if len(self._files) + new_files > self._limits.files or used + size > self._limits.stored:
            raise busy("the server stores too many translated files; try again later")
