"""Glossaries of a server: one JSON file each in a folder, written atomically, which several servers may share."""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from regard.corpus.language_codes import base_code
from regard.errors import ConfigError
from regard.files import check_writable, read_regular_file, remove_leftovers, write_atomic
from regard.terms.glossary import Entry, Glossary

log = logging.getLogger("regard.serving")

MAX_GLOSSARIES = 1000
MAX_ENTRIES = 20_000  # of a glossary
MAX_BYTES = 1 << 24  # of a file
MAX_NAME = 1024  # characters
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class StoreFullError(Exception):
    """There are MAX_GLOSSARIES glossaries, or a glossary has more than MAX_ENTRIES entries."""


class StoreWriteError(Exception):
    """A glossary cannot be written or deleted."""


@dataclass(frozen=True)
class Dictionary:
    """The terms of one language pair, with base codes such as `en` and `de`."""

    source: str
    target: str
    entries: tuple[tuple[str, str], ...]

    def is_for(self, source: str, target: str) -> bool:
        """Return whether the dictionary is for these languages or varieties of them."""
        return (self.source, self.target) == (base_code(source), base_code(target))

    @property
    def glossary(self) -> Glossary:
        """The terms as a glossary."""
        return Glossary(tuple(Entry(source, target) for source, target in self.entries))


@dataclass(frozen=True)
class StoredGlossary:
    """A named glossary, with a dictionary for each of its language pairs.

    Attributes:
        id: A UUID.
        name: Its name.
        created: When it was created, as ISO 8601 in UTC.
        owner: The API key that created it, as `ApiKeys.owner` identifies it; empty without keys.
        dictionaries: Its dictionaries, each of another language pair.
    """

    id: str
    name: str
    created: str
    owner: str
    dictionaries: tuple[Dictionary, ...]

    def find(self, source: str, target: str) -> Dictionary | None:
        """Return the dictionary of a language pair."""
        return next((entry for entry in self.dictionaries if entry.is_for(source, target)), None)

    def with_dictionary(self, dictionary: Dictionary) -> StoredGlossary:
        """Return a glossary with a new dictionary, in place of that of the same language pair."""
        rest = self.without(dictionary.source, dictionary.target).dictionaries
        return replace(self, dictionaries=(*rest, dictionary))

    def without(self, source: str, target: str) -> StoredGlossary:
        """Return a glossary without the dictionary of a language pair."""
        return replace(
            self, dictionaries=tuple(entry for entry in self.dictionaries if not entry.is_for(source, target))
        )


class GlossaryStore:
    """The glossaries in a folder.

    Files that other servers write or delete are seen at the next call. Damaged files are reported and ignored.

    Args:
        folder: The folder, which is created if it does not exist.

    Raises:
        ConfigError: The folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[tuple[int, int], StoredGlossary | None]] = {}  # by id: state of the file
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder / "x.json")
            check_writable(folder / "x.json")
        except OSError as error:
            raise ConfigError(
                f"glossaries cannot be stored there: {error.strerror}", where=folder, fix="choose another folder"
            ) from None

    def owned_by(self, owner: str) -> list[StoredGlossary]:
        """Return the glossaries of an owner, oldest first."""
        with self._lock:
            glossaries = [glossary for glossary in self._read_all() if glossary.owner == owner]
        return sorted(glossaries, key=lambda glossary: (glossary.created, glossary.id))

    def get(self, id: str, owner: str) -> StoredGlossary | None:
        """Return a glossary of an owner by its id; None if there is none."""
        if not _ID.fullmatch(id):
            return None
        with self._lock:
            glossary = self._read(self._path(id))
        return glossary if glossary is not None and glossary.owner == owner else None

    def create(self, name: str, owner: str, dictionaries: Iterable[Dictionary]) -> StoredGlossary:
        """Store a new glossary. Raise StoreFullError or StoreWriteError."""
        created = datetime.now(UTC).isoformat()
        glossary = StoredGlossary(str(uuid.uuid4()), name, created, owner, ())
        for dictionary in dictionaries:
            glossary = glossary.with_dictionary(dictionary)
        with self._lock:
            if sum(1 for _ in self.folder.glob("*.json")) >= MAX_GLOSSARIES:
                raise StoreFullError(f"there are {MAX_GLOSSARIES:,} glossaries already")
            self._write(glossary)
        return glossary

    def replace(self, glossary: StoredGlossary) -> None:
        """Store a changed glossary. Raise StoreFullError or StoreWriteError."""
        with self._lock:
            self._write(glossary)

    def delete(self, glossary: StoredGlossary) -> None:
        """Delete a glossary. Raise StoreWriteError."""
        with self._lock:
            try:
                self._path(glossary.id).unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s: %s", self._path(glossary.id), error.strerror)
                raise StoreWriteError("the glossary cannot be deleted") from None
            self._cache.pop(glossary.id, None)

    def _path(self, id: str) -> Path:
        return self.folder / f"{id}.json"

    def _write(self, glossary: StoredGlossary) -> None:
        if sum(len(entry.entries) for entry in glossary.dictionaries) > MAX_ENTRIES:
            raise StoreFullError(f"a glossary has at most {MAX_ENTRIES:,} entries")
        path = self._path(glossary.id)
        try:
            write_atomic(path, json.dumps(_to_json(glossary), ensure_ascii=False))
        except OSError as error:
            log.warning("%s: %s", path, error.strerror)
            raise StoreWriteError("the glossary cannot be stored") from None

    def _read_all(self) -> list[StoredGlossary]:
        paths = [path for path in self.folder.glob("*.json") if _ID.fullmatch(path.stem)]
        glossaries = (self._read(path) for path in paths[: 2 * MAX_GLOSSARIES])
        return [glossary for glossary in glossaries if glossary is not None]

    def _read(self, path: Path) -> StoredGlossary | None:
        """Return the glossary in a file, which is parsed only if it has changed."""
        try:
            status = path.stat()
        except OSError:
            self._cache.pop(path.stem, None)
            return None
        state = status.st_mtime_ns, status.st_ino
        cached = self._cache.get(path.stem)
        if cached is None or cached[0] != state:
            cached = self._cache[path.stem] = state, _parse(path)
        return cached[1]


def _to_json(glossary: StoredGlossary) -> dict[str, Any]:
    dictionaries = [
        {"source": entry.source, "target": entry.target, "entries": entry.entries} for entry in glossary.dictionaries
    ]
    names = {"id": glossary.id, "name": glossary.name, "created": glossary.created, "owner": glossary.owner}
    return {**names, "dictionaries": dictionaries}


def _parse(path: Path) -> StoredGlossary | None:
    """Return the glossary in a file; None, and a warning in the log, if it is damaged."""
    try:
        table = json.loads(read_regular_file(path, MAX_BYTES).decode())
        dictionaries = tuple(
            Dictionary(str(entry["source"]), str(entry["target"]), _pairs(entry["entries"]))
            for entry in table["dictionaries"]
        )
        name, created, owner = str(table["name"]), str(table["created"]), str(table["owner"])
        return StoredGlossary(path.stem, name, created, owner, dictionaries)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("%s: the glossary cannot be read: %r", path, error)
        return None


def _pairs(entries: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(source), str(target)) for source, target in entries)
