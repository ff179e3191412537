"""The store of corrections: append-only, whole after a crash, shared by processes, bounded, and read as a corpus."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regard.corpus import corrections
from regard.corpus.bilingual_file import BilingualFile
from regard.corpus.corpus import Pair
from regard.corpus.corrections import (
    MAX_CHARACTERS,
    Correction,
    CorrectionStore,
    InvalidCorrectionError,
    StoreFullError,
)
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

CORRECTION = Correction("A dog.", "Ein Hund.", "en", "de", "Der Hund.", "small", 7, "page", "2026-11-29T12:00:00Z")
WRITER = """
import sys
from pathlib import Path
from regard.corpus import corrections
from regard.corpus.corrections import Correction, CorrectionStore
corrections.LOCK_SECONDS = 600.0  # the writers leave one another little time, and the machine may be busy
store = CorrectionStore(Path(sys.argv[1]), create=True)
while True:
    print(store.add(Correction("a" * 5000, "b", "en", "de", origin=sys.argv[2])), flush=True)
"""
KILLED_IN_TRANSACTION = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the transaction ends
connection.execute("BEGIN IMMEDIATE")
for _ in range(200):
    connection.execute(
        "INSERT INTO correction (source, target, source_language, target_language, model, origin, time) "
        "VALUES (?, 'b', 'en', 'de', '', '', '')", ("a" * 5000,)
    )
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def store(tmp_path: Path) -> CorrectionStore:
    return CorrectionStore(tmp_path / "corrections.sqlite", create=True)


def test_what_is_added_is_read(store: CorrectionStore) -> None:
    assert store.add(CORRECTION) == 1
    assert store.add(Correction("One.", "Eins.", "en", "de")) == 2
    (first, correction), (second, bare) = CorrectionStore(store.path).read()
    assert (first, second, correction) == (1, 2, CORRECTION)
    assert bare is not None and bare.time.endswith("Z") and (bare.translation, bare.step) == (None, None)


@pytest.mark.parametrize("statement", ["DELETE FROM correction", "UPDATE correction SET target = 'x'"])
def test_the_store_is_append_only(store: CorrectionStore, statement: str) -> None:
    store.add(CORRECTION)
    with sqlite3.connect(store.path) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert [correction for _, correction in store.read()] == [CORRECTION]


def test_a_killed_writer_loses_nothing_that_it_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "corrections.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, origin], stdout=subprocess.PIPE, text=True)
        for origin in ("first", "second")
    ]
    confirmed: list[int] = []
    for writer in writers:
        assert writer.stdout is not None
        confirmed += [int(writer.stdout.readline()) for _ in range(3)]
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        assert writer.stdout is not None
        confirmed += [int(line) for line in writer.stdout.read().splitlines() if line]
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
    store = CorrectionStore(path)
    rows = dict(store.read())
    assert rows.keys() >= set(confirmed)
    assert all(correction is not None and len(correction.source) == 5000 for correction in rows.values())
    assert {correction.origin for correction in rows.values() if correction} == {"first", "second"}
    assert store.add(CORRECTION) == max(rows) + 1


def test_a_transaction_of_a_killed_writer_is_undone(store: CorrectionStore) -> None:
    store.add(CORRECTION)
    size = store.path.stat().st_size
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_TRANSACTION, store.path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert store.path.with_name(f"{store.path.name}-journal").exists() and store.path.stat().st_size > size
    assert [number for number, _ in CorrectionStore(store.path).read()] == [1]


def test_threads_and_stores_share_a_file(store: CorrectionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "LOCK_SECONDS", 600.0)
    stores = [store, CorrectionStore(store.path), CorrectionStore(store.path, create=True)]
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda index: stores[index % 3].add(CORRECTION), range(18)))
    assert sorted(numbers) == list(range(1, 19))


def test_a_reader_does_not_keep_writers_waiting(store: CorrectionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "PAGE_ROWS", 2)
    monkeypatch.setattr(corrections, "LOCK_SECONDS", 0.0)
    for _ in range(3):
        store.add(CORRECTION)
    rows = store.read()
    assert next(rows)[0] == 1
    assert store.add(CORRECTION) == 4
    assert [number for number, _ in rows] == [2, 3, 4]


def test_sizes_are_bounded(store: CorrectionStore) -> None:
    for correction, problem in (
        (Correction("a" * (MAX_CHARACTERS + 1), "b", "en", "de"), "the limit is 20,000"),
        (Correction("a", "b", "en", "de", "c" * (MAX_CHARACTERS + 1)), "translation of the correction has"),
        (Correction("a", " \n", "en", "de"), "target of the correction is blank"),
        (Correction("\0\x1f", "b", "en", "de"), "source of the correction is blank"),
        (Correction("a", "b", "e" * 201, "de"), "too long"),
    ):
        with pytest.raises(InvalidCorrectionError, match=problem):
            store.add(correction)
    bounded = CorrectionStore(store.path, max_bytes=100_000)
    with pytest.raises(StoreFullError, match="the store is full"):
        for _ in range(10):
            bounded.add(Correction("a" * MAX_CHARACTERS, "b", "en", "de"))
    assert store.path.stat().st_size <= 100_000
    assert len(list(store.read())) > 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        CorrectionStore(tmp_path / "none.sqlite")
    text = tmp_path / "text.sqlite"
    text.write_text("no database, but long enough to have the header of one" * 9)
    with pytest.raises(DataError, match="not a database"):
        CorrectionStore(text)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE correction (x)")
    connection.close()
    for create in (False, True):
        with pytest.raises(DataError, match="not a store of corrections"):
            CorrectionStore(foreign, create=create)
    later = CorrectionStore(tmp_path / "later.sqlite", create=True)
    with sqlite3.connect(later.path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(DataError, match="version 2; this regard reads versions up to 1"):
        CorrectionStore(later.path)
    with pytest.raises(DataError, match="cannot be used"):
        CorrectionStore(tmp_path / "no folder" / "new.sqlite", create=True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_cannot_be_written_can_be_read(store: CorrectionStore) -> None:
    store.add(CORRECTION)
    store.path.chmod(0o444)
    assert len(list(CorrectionStore(store.path).read())) == 1
    with pytest.raises(DataError, match="readonly"):
        store.add(CORRECTION)


def test_a_store_is_a_corpus(store: CorrectionStore) -> None:
    store.add(CORRECTION)
    store.add(Correction("One.\n\nTwo.", "Eins.\nZwei.", "en", "de"))
    store.add(Correction("One.\nTwo.", "Eins und zwei.", "en-GB", "de"))
    store.add(Correction("Ein Hund.", "A dog.", "de", "en"))
    with sqlite3.connect(store.path) as connection:
        connection.execute(
            "INSERT INTO correction (source, target, source_language, target_language, model, origin, time) "
            "VALUES (x'ff', 'b', 'en', 'de', '', '', '')"
        )
    connection.close()
    corpus = BilingualFile(store.path, Sides("en", "de"))
    assert list(corpus) == [
        Pair("A dog.", "Ein Hund.", 1),
        Pair("One.", "Eins.", 2),
        Pair("Two.", "Zwei.", 2),
        Pair("One. Two.", "Eins und zwei.", 3),
    ]
    assert corpus.skipped.reasons() == {"it has other languages": [4], "it is not a correction": [5]}
    with pytest.raises(DataError, match="not clear which languages to use; it has en-de and en-GB-de"):
        list(BilingualFile(store.path, Sides()))
