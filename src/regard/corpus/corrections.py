"""Corrections of translations in an append-only SQLite store, which is also a corpus format.

Every correction is one transaction with a rollback journal that is synced to the disk: after a crash the store has all
corrections that were confirmed, and no part of another. Several processes may add to a store and read it at a time.
A file system that does not lock files, as some network file systems, is not safe.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.sides import Sides, direction
from regard.errors import DataError

SUFFIX: Final = ".sqlite"
VERSION: Final = 1  # of the schema, in PRAGMA user_version
APPLICATION: Final = 0x72676364  # in PRAGMA application_id: the file is a store of corrections
MAX_CHARACTERS: Final = 20_000  # of each text of a correction
MAX_NAME_CHARACTERS: Final = 200  # of a language code, a model's name and an origin
MAX_BYTES: Final = 1 << 30  # of a store
PAGE_ROWS: Final = 1000  # rows that are read at a time
LOCK_SECONDS: Final = 30.0  # that a process waits while another one writes

_INVISIBLE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")  # white space and control characters
_OTHER_LANGUAGES: Final = "it has other languages"
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS correction (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    source_language TEXT NOT NULL,
    target_language TEXT NOT NULL,
    translation TEXT,
    model TEXT NOT NULL,
    step INTEGER,
    origin TEXT NOT NULL,
    time TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON correction
    BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON correction
    BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""


@dataclass(frozen=True)
class Correction:
    """A better translation of a text.

    Attributes:
        source: The text.
        target: Its translation, as corrected.
        source_language: The language code of the source.
        target_language: The language code of the target.
        translation: The model's own translation; None if it is not known.
        model: The name of the run that translated the text.
        step: The training step of its checkpoint; None if it is not known.
        origin: Where the correction comes from, such as `suggest` or `page`.
        time: When it was made, in UTC, as `2026-11-29T13:00:00Z`; empty: when it is added.
    """

    source: str
    target: str
    source_language: str
    target_language: str
    translation: str | None = None
    model: str = ""
    step: int | None = None
    origin: str = ""
    time: str = ""


_COLUMNS: Final = ", ".join(field.name for field in fields(Correction))


class StoreFullError(DataError):
    """A store has reached its maximum size, or the disk is full."""


class InvalidCorrectionError(DataError):
    """A correction has no text, or too much."""


class CorrectionStore:
    """A store of corrections. It may be used by several threads and processes: each call opens the file.

    Attributes:
        path: The file.
        max_bytes: The size beyond which no correction is added.
    """

    def __init__(self, path: Path, *, create: bool = False, max_bytes: int = MAX_BYTES) -> None:
        """Open a store, and check that it is one.

        Args:
            path: The file.
            create: Whether to create the file if it is missing.
            max_bytes: The size of the file beyond which no correction is added.

        Raises:
            DataError: The file is missing, is not a store, or was written by a later version of regard.
        """
        self.path = path
        self.max_bytes = max_bytes
        if not create and not path.exists():
            raise DataError("there is no such file", where=path, fix="check the path")
        with self._connect(create=create) as connection:
            application, version, tables = self._describe(connection)
            if create and not (application or version or tables):
                connection.executescript(_SCHEMA)
                application, version, _ = self._describe(connection)
        if application != APPLICATION:
            raise DataError("this is not a store of corrections", where=path, fix="give a file that regard has made")
        if version > VERSION:
            raise DataError(
                f"the store has version {version}; this regard reads versions up to {VERSION}",
                where=path,
                fix="upgrade regard",
            )

    def add(self, correction: Correction) -> int:
        """Add a correction, and return its number once it is safe on the disk.

        Raises:
            InvalidCorrectionError: A text is blank or too long.
            StoreFullError: The store has reached its maximum size, or the disk is full.
            DataError: The store cannot be written.
        """
        self._check(correction)
        time = correction.time or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = (*astuple(correction)[:-1], time)
        places = ", ".join("?" * len(values))
        with self._connect() as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA max_page_count = {max(1, self.max_bytes // page_size)}")
            return int(
                connection.execute(f"INSERT INTO correction ({_COLUMNS}) VALUES ({places})", values).lastrowid or 0
            )

    def read(self) -> Iterator[tuple[int, Correction | None]]:
        """Yield the number of each correction, and the correction; None if the row is not valid.

        Raises:
            DataError: The store cannot be read.
        """
        with self._connect() as connection:
            connection.execute("PRAGMA query_only = ON")
            query = f"SELECT id, {_COLUMNS} FROM correction WHERE id > ? ORDER BY id LIMIT {PAGE_ROWS}"
            last = 0
            while rows := connection.execute(query, (last,)).fetchall():  # between two pages, others may write
                for last, *values in rows:
                    correction = Correction(*values)
                    yield last, correction if _is_valid(correction) else None

    def _check(self, correction: Correction) -> None:
        texts = {"source": correction.source, "target": correction.target, "translation": correction.translation or ""}
        for name, text in texts.items():
            if name != "translation" and not _INVISIBLE.sub("", text):
                raise InvalidCorrectionError(
                    f"the {name} of the correction is blank", where=self.path, fix="give both texts"
                )
            if len(text) > MAX_CHARACTERS:
                raise InvalidCorrectionError(
                    f"the {name} of the correction has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}",
                    where=self.path,
                    fix="correct a shorter part of the text",
                )
        names = (correction.source_language, correction.target_language, correction.model, correction.origin)
        if any(len(name) > MAX_NAME_CHARACTERS for name in names):
            raise InvalidCorrectionError(
                "a language, model or origin of the correction is too long", where=self.path, fix="shorten it"
            )

    @staticmethod
    def _describe(connection: sqlite3.Connection) -> tuple[int, int, int]:
        """Return the application id, the version, and the number of tables of a file."""
        queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        application, version, tables = (int(connection.execute(query).fetchone()[0]) for query in queries)
        return application, version, tables

    @contextmanager
    def _connect(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield a connection; each statement is one transaction. Raise DataError for errors of SQLite."""
        mode = "rwc" if create else "rw"  # even a reader may have to undo what a killed writer has left
        try:
            address = f"{self.path.absolute().as_uri()}?mode={mode}"
            with closing(sqlite3.connect(address, LOCK_SECONDS, isolation_level=None, uri=True)) as connection:
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 * MAX_CHARACTERS)
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA synchronous = EXTRA")
                yield connection
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _error(self, error: sqlite3.Error) -> DataError:
        if "full" in str(error):
            return StoreFullError(
                f"the store is full: it has at most {self.max_bytes:,} bytes, or the disk is full",
                where=self.path,
                fix="export the corrections, and start a new store",
            )
        fix = "check that it is a store of corrections, that its folder is writable, and that no process locks it"
        return DataError(f"the store of corrections cannot be used: {error}", where=self.path, fix=fix)


def _is_valid(correction: Correction) -> bool:
    """Return whether the values of a row have the types of a correction: SQLite does not check them."""
    names = ("source", "target", "source_language", "target_language", "model", "origin", "time")
    return (
        all(isinstance(getattr(correction, name), str) for name in names)
        and isinstance(correction.translation, str | None)
        and isinstance(correction.step, int | None)
    )


def read_corrections(path: Path, sides: Sides) -> Iterator[Pair | Skipped]:
    """Yield the corrections of a store as pairs; the line is the number of the correction.

    A correction of several lines that has as many lines on both sides gives a pair for each line.

    Raises:
        DataError: The store cannot be read, or it is not clear which languages to use.
    """
    languages: dict[tuple[str, str], None] = {}
    for number, correction in CorrectionStore(path).read():
        if correction is None:
            yield Skipped("it is not a correction", number)
            continue
        pair = correction.source_language, correction.target_language
        is_requested = direction(sides, *pair) == "forward"
        if not is_requested:
            yield Skipped(_OTHER_LANGUAGES, number)
            continue
        languages[pair] = None
        if len(languages) > 1 and not (sides.source_language and sides.target_language):
            shown = " and ".join("-".join(known) for known in languages)
            raise DataError(
                f"it is not clear which languages to use; it has {shown}",
                where=path,
                fix="set source_language and target_language",
            )
        yield from (Pair(source, target, number) for source, target in split_lines(correction))


def split_lines(correction: Correction) -> list[tuple[str, str]]:
    """Return the source and target of each line; of the whole correction if both sides do not have as many lines."""
    sources, targets = (
        [line for line in text.splitlines() if line.strip()] for text in (correction.source, correction.target)
    )
    if len(sources) != len(targets):
        return [(correction.source, correction.target)]
    return list(zip(sources, targets, strict=True))
