"""From a server that keeps corrections to a better model that it serves without a restart; and everything around it."""

from __future__ import annotations

import errno
import json
import random
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from libretranslate_aio import LibreTranslate
from tests.end_to_end.helpers import Files, call, refused, write_lines

import regard
from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.corpus.corrections import CorrectionStore
from regard.errors import ConfigError, DataError
from regard.runs.improvement.acceptance import decide
from regard.runs.improvement.corrections import is_held_out
from regard.runs.improvement.record import Record, RecordFolder, made_by, read_pairs
from regard.serving.app import create_app
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.server import Server
from regard.serving.service import Service
from regard.serving.sockets import listen
from regard.training.step import TrainStep

# Longer numbers than the run was trained on: it reverses them badly until it is improved.
SETTINGS = ["--epochs", "10", "--old-pairs", "8", "--set", "train.learning_rate=0.01"]


def long_numbers(count: int, seed: int = 5) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    sources = ["".join(dice.choices("0123456789", k=7)) for _ in range(count)]
    return [(source, source[::-1]) for source in sources]


def write_table(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    return write_lines(path, ["source\ttarget", *("\t".join(pair) for pair in pairs)])


def add_all(store: CorrectionStore, pairs: Sequence[tuple[str, str]]) -> None:
    """Add corrections in one transaction, which is faster than one for each."""
    with sqlite3.connect(store.path) as connection:
        connection.executemany(
            "INSERT INTO correction (source, target, source_language, target_language, model, origin, time) "
            "VALUES (?, ?, 'und', 'und', '', '', '')",
            pairs,
        )
    connection.close()


@contextmanager
def serving(run: Path, store: CorrectionStore) -> Iterator[str]:
    """Serve a run in a thread; yield the address."""
    limits = Limits(gather=0.001, reload=0.05)
    service = Service(Models([run], "cpu"), limits, corrections=store)
    server = Server(create_app(service), service, "127.0.0.1", 0, lambda text: None)
    sockets = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield "http://{}:{}".format(*sockets[0].getsockname())
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def served(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(run, tmp_path_factory.mktemp("served") / "numbers", symlinks=True)


def test_from_suggestions_to_a_better_model_without_a_restart(served: Path, tmp_path: Path) -> None:
    store = CorrectionStore(tmp_path / "corrections.sqlite", create=True)
    pairs = long_numbers(200)
    assert call("shortlist", served).code == 0
    old = resolve_checkpoint(served).resolve()
    with serving(served, store) as address, LibreTranslate(address) as client:
        assert client.frontend_settings().suggestions
        held_out = [pair for pair in pairs if is_held_out(pair[0])]
        source, _ = next(
            pair for pair in held_out if client.translate(pair[0], "und", "und").translated_text != pair[1]
        )
        assert client.suggest(*pairs[0], "und", "und")
        assert client.suggest(*pairs[1], "und", "und")
        add_all(store, pairs[2:])
        improved = call("improve", served, "--corrections", store.path, "-o", tmp_path / "new", "--replace", *SETTINGS)
        assert improved.code == 0, improved.err
        assert regard.load(served, "cpu").shortlist is not None
        assert "accepted: the new model is better on the corrections that were held out" in improved.err
        assert "improved-001" in improved.err
        confidences = [(folder / "best" / "confidence.json").read_text() for folder in (served, tmp_path / "new")]
        assert confidences[0] == confidences[1] != (old / "confidence.json").read_text()
        assert regard.load(served, "cpu").translate(source, with_confidence=True).confidence is not None
        translated = regard.load(tmp_path / "new", "cpu").translate(source).text
        deadline = time.monotonic() + 120
        while client.translate(source, "und", "und").translated_text != translated:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (_, first), *_ = store.read()
        assert first is not None and first.model == "numbers" and first.step == load_checkpoint(old).step
        assert first.translation and first.target == pairs[0][1]
        undone = call("improve", served, "--undo")
        assert undone.code == 0, undone.err
        assert resolve_checkpoint(served).resolve() == old
        before = regard.load(served, "cpu").translate(source).text
        while client.translate(source, "und", "und").translated_text != before:
            assert time.monotonic() < deadline
            time.sleep(0.05)


QUICK = ["--epochs", "1", "--old-pairs", "1", "--set", "train.max_steps=4", "--set", "train.learning_rate=0.001"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of corrections, of which some have faults."""
    pairs = long_numbers(80)
    (source, _), *_ = pairs
    return write_table(tmp_path_factory.mktemp("corrections") / "corrections.tsv", [(source, "1"), *pairs, ("12", "")])


@pytest.fixture(scope="module")
def rejected(run: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a run that was trained too little to be accepted, and what was printed."""
    folder = tmp_path_factory.mktemp("rejected") / "new"
    finished = call("improve", run, "--corrections", table, "-o", folder, "--replace", *QUICK)
    assert finished.code == 3, finished.err
    return folder, finished.err


def test_a_rejected_run_is_kept_and_replaces_nothing(rejected: tuple[Path, str], run: Path, table: Path) -> None:
    folder, messages = rejected
    assert "corrections: 80 of corrections.tsv, 80 of them new" in messages
    assert "1 pair dropped: blank, one side has no text (line 83)" in messages
    assert "1 pair dropped: a later correction has the same source (line 2)" in messages
    # Four steps of training change little; in which direction depends on how the CPU rounds.
    assert re.search("rejected: the new model is (worse|not significantly better) on the corrections", messages)
    assert f"the rejected run is kept in {folder}" in messages
    assert resolve_checkpoint(folder).resolve() == (folder / "last").resolve()
    assert not list(run.glob("before-*")) and not (run / "improvements").exists()
    refused(call("improve", run, "--corrections", table, "-o", folder), "already contains an improvement", "--resume")
    refused(call("improve", run, "--undo"), "has not replaced another one")
    again = call("improve", "--resume", folder)
    assert again.code == 3 and "rejected: " in again.err


def test_nothing_leaks(rejected: tuple[Path, str], run: Path) -> None:
    record = made_by(rejected[0])
    train, held_out, old = (read_pairs(path) for path in (record.corrections, record.held_out, record.old_pairs))
    assert dict(train) | dict(held_out) == dict(long_numbers(80))
    assert not {source for source, _ in train} & {source for source, _ in held_out}
    assert all(is_held_out(source) for source, _ in held_out)
    prepared = [tuple(pair) for pair in json.loads((run / "data" / "prepared.json").read_text())["dev"]]
    assert read_pairs(record.old_dev) == prepared
    assert len(old) == len(train)
    assert all(target == source[::-1] for source, target in old)
    assert [json.loads(line)["line"] for line in record.dropped.read_text().splitlines()] == [83]


def test_an_interrupted_improvement_continues(
    rejected: tuple[Path, str], run: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = TrainStep.run, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 2:
            signal.raise_signal(signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(TrainStep, "run", interrupted)
    stopped = call("improve", run, "--corrections", table, "-o", tmp_path / "new", *QUICK)
    assert stopped.code == 130, stopped.err
    assert f"continue:   regard improve --resume {tmp_path / 'new'}" in stopped.err
    assert made_by(tmp_path / "new").read().decision is None
    finished = call("improve", "--resume", tmp_path / "new")
    assert finished.code == 3, finished.err
    weights = [load_checkpoint(resolve_checkpoint(path)).model for path in (rejected[0], tmp_path / "new")]
    for first, second in zip(*(model.parameters() for model in weights), strict=True):
        assert torch.equal(first, second)


def test_earlier_corrections_are_known(rejected: tuple[Path, str], table: Path, tmp_path: Path) -> None:
    folder, _ = rejected
    known = call("improve", folder, "--corrections", table, "-o", tmp_path / "none")
    assert known.code == 0, known.err
    assert "all 80 corrections were used before" in known.err
    assert not (tmp_path / "none").exists()
    new = write_table(tmp_path / "new.tsv", long_numbers(70, 9)[:20])
    finished = call("improve", folder, "--corrections", new, "-o", tmp_path / "second", *QUICK)
    assert finished.code == 3, finished.err
    assert "corrections: 20 of new.tsv, 20 of them new" in finished.err
    assert "corrections: 80 more from earlier improvements" in finished.err
    assert "of those that tiny was trained on" in finished.err
    second, first = made_by(tmp_path / "second"), made_by(folder)
    assert set(read_pairs(second.held_out)) > set(read_pairs(first.held_out))
    assert set(read_pairs(second.corrections)) > set(read_pairs(first.corrections))
    assert read_pairs(second.old_dev) == read_pairs(first.old_dev)


def test_old_pairs_come_from_the_corpora_if_the_data_is_gone(
    run: Path, files: Files, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = shutil.copytree(run, tmp_path / "bare", symlinks=True)
    shutil.rmtree(bare / "data")
    finished = call("improve", bare, "--corrections", table, "-o", tmp_path / "new", *QUICK)
    assert finished.code == 3, finished.err
    assert len(read_pairs(made_by(tmp_path / "new").old_pairs)) > 50
    assert len(read_pairs(made_by(tmp_path / "new").old_dev)) == len(files.dev)
    with monkeypatch.context() as patch:
        patch.setattr("regard.runs.improvement.old_pairs.split_corpus", _no_corpora)
        gone = call("improve", bare, "--corrections", table, "-o", tmp_path / "none")
    refused(gone, "the dev set of the run cannot be found", "copy its corpora", "--old-data")
    old_data = write_table(tmp_path / "given.tsv", [(line, line[::-1]) for line in files.train[:300]])
    checkpoint = shutil.copytree(run / "best", tmp_path / "checkpoint")
    finished = call(
        "improve", checkpoint, "--corrections", table, "--old-data", old_data, "-o", tmp_path / "other", *QUICK
    )
    assert finished.code == 3, finished.err
    record = made_by(tmp_path / "other")
    dev = {source for source, _ in read_pairs(record.old_dev)}
    assert dev == {line for line in files.train[:300] if is_held_out(line)}
    assert len(read_pairs(record.old_pairs)) > 50 and not dev & {source for source, _ in read_pairs(record.old_pairs)}


def _no_corpora(config: object) -> None:
    raise DataError("there is no such file", where="train.src", fix="check the path")


def test_a_part_of_the_change_is_kept_if_all_of_it_loses_too_much(
    run: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([True, True, False, False, False])  # the third share, 50%, is not worse
    monkeypatch.setattr("regard.runs.improvement.selection.is_worse", lambda comparison: next(verdicts))
    finished = call("improve", run, "--corrections", table, "-o", tmp_path / "new", *QUICK)
    assert "with 100% of the change, the old dev set changes by" in finished.err
    assert "with 75% of the change" in finished.err and "with 50% of the change, the old" not in finished.err
    assert "on the old dev set, with 50% of the change" in finished.err
    assert resolve_checkpoint(tmp_path / "new").name == "blended-50"
    assert not (tmp_path / "new" / "checkpoints" / "blended-75").exists()
    assert (tmp_path / "new" / "best" / "confidence.json").is_file()
    folders = [tmp_path / "new" / name for name in ("data/start", "last", "best")]
    old, trained, best = (dict(load_checkpoint(folder.resolve()).model.named_parameters()) for folder in folders)
    for name, weight in best.items():
        torch.testing.assert_close(weight, (old[name] + trained[name]) / 2)


def test_in_python(run: Path, table: Path, tmp_path: Path) -> None:
    result = regard.improve(
        run, table, output=tmp_path / "new", epochs=1, old_pairs=0, overrides={"train.max_steps": 1}, quiet=True
    )
    assert not result.accepted and result.folder == tmp_path / "new" and not result.installed
    assert result.decision.dev.pairs == 100 and "rejected: " in str(result)
    assert "rejected" in result._repr_html_()
    with pytest.raises(ConfigError, match="unknown option `epoch`"):
        regard.improve(run, table, epoch=1)  # type: ignore[call-arg]


def test_improvements_are_installed_once_and_undone_in_turn(
    run: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = shutil.copytree(run, tmp_path / "old", symlinks=True)
    first = resolve_checkpoint(old).name
    monkeypatch.setattr(
        "regard.runs.improvement.selection.decide", lambda *scores: replace(decide(*scores), accepted=True)
    )
    monkeypatch.setattr("regard.checkpoints.checkpoint._write", _full_disk)
    full = call("improve", old, "--corrections", table, "--replace", *QUICK)
    refused(full, "could not be written: No space left", f"regard improve --resume {tmp_path / 'old-improved-1'}")
    monkeypatch.undo()

    # A crash after the last step, before the new run knows that it is installed.
    monkeypatch.setattr(
        "regard.runs.improvement.selection.decide", lambda *scores: replace(decide(*scores), accepted=True)
    )
    monkeypatch.setattr(RecordFolder, "write", _crash_when_installed)
    assert call("improve", "--resume", tmp_path / "old-improved-1").code == 130
    assert resolve_checkpoint(old).name == "improved-001" and not made_by(tmp_path / "old-improved-1").read().installed
    monkeypatch.setattr(RecordFolder, "write", WRITE)
    resumed = call("improve", "--resume", tmp_path / "old-improved-1")
    assert resumed.code == 0, resumed.err
    assert f"replaced:   the best checkpoint of {old} is now improved-001" in resumed.err
    assert len(list((old / "checkpoints").glob("improved-*"))) == 1
    assert "trained further on corrections" in (old / "README.md").read_text(encoding="utf-8")

    more = write_table(tmp_path / "more.tsv", long_numbers(20, 9))
    second = call("improve", old, "--corrections", more, "--replace", *QUICK)
    assert second.code == 0, second.err
    assert "80 more from earlier improvements" in second.err and "is now improved-002" in second.err
    for restored in ("improved-001", first):
        assert f"the best checkpoint is {restored} again" in call("improve", old, "--undo").err
        assert resolve_checkpoint(old).name == restored
    assert "trained further on corrections" not in (old / "README.md").read_text(encoding="utf-8")
    refused(call("improve", old, "--undo"), "has not replaced another one")

    # A command of every night does not repeat what was undone.
    again = call("improve", old, "--corrections", table, "--replace", *QUICK)
    assert again.code == 0, again.err
    assert f"the same improvement was accepted before, see {tmp_path / 'old-improved-1'}" in again.err
    assert resolve_checkpoint(old).name == first and not (tmp_path / "old-improved-3").exists()


WRITE = RecordFolder.write


def _crash_when_installed(folder: RecordFolder, record: Record) -> None:
    if record.installed and folder.path.name == "improve":
        raise KeyboardInterrupt
    WRITE(folder, record)


def _full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_improved(rejected: tuple[Path, str], run: Path, table: Path, tmp_path: Path) -> None:
    few = write_table(tmp_path / "few.tsv", long_numbers(12))
    too_few = call("improve", run, "--corrections", few)
    assert too_few.code == 0 and "too few corrections: of 12 usable ones, 3 are held out" in too_few.err
    assert "collect about 35 more" in too_few.err
    leaking = write_table(tmp_path / "leaking.tsv", read_pairs(made_by(rejected[0]).old_dev))
    refused(call("improve", run, "--corrections", leaking), "100 pairs dropped: leakage", "of 0 usable ones")
    CorrectionStore(tmp_path / "empty.sqlite", create=True)
    empty = call("improve", run, "--corrections", tmp_path / "empty.sqlite")
    assert empty.code == 0 and "there are no corrections yet" in empty.err
    with RunFolder(run).lock():
        refused(call("improve", run, "--corrections", table, "--replace"), "another process is using this run")
    refused(call("improve", run), "there are no corrections")
    refused(call("improve", "--corrections", table), "no run to improve is given")
    refused(call("improve", run, "--resume", run), "give no other argument")
    refused(call("improve", run, "--undo", "--replace"), "--undo only restores")
    refused(call("improve", "--resume", run), "there is no improvement to continue")
    refused(call("improve", tmp_path / "none", "--corrections", table), "there is no such folder")
    refused(call("improve", run, "--corrections", tmp_path / "none.tsv"), "there is no such file")
    shutil.copytree(run / "best", tmp_path / "checkpoint")
    refused(call("improve", tmp_path / "checkpoint", "--corrections", table, "--replace"), "checkpoint without a run")
    best = resolve_checkpoint(run).resolve()
    earlier = next(path for path in best.parent.glob("step-*") if path != best)
    refused(
        call("improve", earlier, "--corrections", table, "--replace", "-o", tmp_path / "new"),
        f"its best checkpoint is not {earlier.name}",
    )
    few_old = ("--old-data", few, "-o", tmp_path / "new")
    refused(call("improve", run, "--corrections", table, *few_old), "are held out as the old dev set; 10 are needed")
    unknown = ("--set", "train.rate=1", "-o", tmp_path / "new")
    refused(call("improve", run, "--corrections", table, *unknown), "unknown key `train.rate`")
    assert not (tmp_path / "new").exists()
