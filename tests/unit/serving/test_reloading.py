from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.end_to_end.helpers import call, refused
from tests.unit.serving.clients import ask
from tests.unit.serving.runs import add_checkpoint, make_run

from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.errors import CheckpointError
from regard.serving import models as loading
from regard.serving.limits import Limits
from regard.serving.models import Models, ServedModel
from regard.serving.reloading import Reloader
from regard.serving.service import Service

WEIGHTS = "model.safetensors"
Until = Callable[[Callable[[], object]], None]


@contextmanager
def watched(models: Models, **limits: Any) -> Iterator[Until]:
    """Run a service that checks for newer checkpoints all the time; yield a function that waits for a condition."""
    service = Service(models, Limits(**{"reload": 0.01, **limits}))
    ended = threading.Event()

    async def watch() -> None:
        watching = asyncio.create_task(service.watch())
        while not ended.is_set():
            await asyncio.sleep(0.01)
        watching.cancel()

    def until(condition: Callable[[], object]) -> None:
        ends = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < ends
            time.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(watch(),), daemon=True)
    thread.start()
    try:
        yield until
    finally:
        ended.set()
        thread.join(120)
        service.close()
    assert not thread.is_alive()


def only(models: Models) -> ServedModel:
    (served,) = models.served
    return served


def corrupt(checkpoint: Path) -> None:
    """Make all weights NaN, and remove the checksums."""
    tensors = {name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(checkpoint / WEIGHTS).items()}
    save_file(tensors, checkpoint / WEIGHTS)
    (checkpoint / "SHA256SUMS").unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", steps=1)


def test_a_newer_checkpoint_is_loaded(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = Models([folder], "cpu")
    before = only(models)
    with watched(models) as until:
        add_checkpoint(folder, 2, steps=2)
        until(lambda: only(models) is not before)
        until(lambda: caplog.messages)
    assert caplog.messages == ["run: now serving a new checkpoint"]
    weights = (model.translator.model.state_dict() for model in (before, only(models)))
    assert any((a != b).any() for a, b in zip(*(state.values() for state in weights), strict=True))


def test_a_checkpoint_copied_in_place_is_loaded_once_it_is_complete(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer = RunFolder(make_run(tmp_path / "newer", steps=2)).checkpoint(1)
    checkpoint = RunFolder(folder).checkpoint(1)
    models = Models([folder], "cpu")
    before = only(models)
    with watched(models) as until:
        for path in sorted(newer.iterdir()):
            if path.name != WEIGHTS:
                shutil.copy2(path, checkpoint)
        until(lambda: caplog.messages)
        assert only(models) is before
        shutil.copy2(newer / WEIGHTS, checkpoint)
        until(lambda: len(caplog.messages) > 1)
    failed, loaded = caplog.messages
    assert "still serving the previous one" in failed
    assert str(tmp_path) not in failed
    assert loaded == "run: now serving a new checkpoint"
    expected = Models([tmp_path / "newer"], "cpu").served[0].translator.model.state_dict()
    for name, tensor in only(models).translator.model.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_loading_is_retried_even_if_the_files_do_not_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    models = Models([folder], "cpu")
    before = only(models)
    failures = 3

    def failing(path: Path) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(5, "Input/output error")
        return load_checkpoint(path)

    monkeypatch.setattr(loading, "load_checkpoint", failing)
    with watched(models) as until:
        add_checkpoint(folder, 2, steps=1)
        until(lambda: only(models) is not before)
    assert len(caplog.messages) == 2  # one failure, which is repeated three times, and the success


def test_broken_checkpoints_with_equal_times_are_distinguished(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = RunFolder(folder).checkpoint(1)
    first, second = (shutil.copytree(checkpoint, tmp_path / name) for name in ("first", "second"))
    (first / WEIGHTS).write_bytes((first / WEIGHTS).read_bytes()[:-10])
    sums = (second / "SHA256SUMS").read_text().splitlines(keepends=True)
    (second / "SHA256SUMS").write_text("no sums\n" + "".join(sums[1:]))
    for broken in (first, second):
        os.utime(broken / "config.json", ns=(10**18, 10**18))
    models = Models([folder], "cpu")
    with watched(models) as until:
        shutil.copytree(first, checkpoint, dirs_exist_ok=True)  # keeps the modification times, like cp -p
        until(lambda: len(caplog.messages) == 1)
        shutil.copytree(second, checkpoint, dirs_exist_ok=True)
        until(lambda: len(caplog.messages) == 2)
    assert len(set(caplog.messages)) == 2


def test_a_checkpoint_that_is_not_finite_is_never_served(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = Models([folder], "cpu")
    before = only(models)
    with watched(models) as until:
        add_checkpoint(folder, 2, steps=1)
        until(lambda: only(models) is not before)
        good = only(models)
        run = RunFolder(folder)
        corrupted = shutil.copytree(run.checkpoint(2), run.checkpoint(3))
        corrupt(corrupted)
        run.set_best(corrupted)
        until(lambda: len(caplog.messages) == 2)
    assert "finite" in caplog.messages[-1] or "diverged" in caplog.messages[-1]
    assert "still serving the previous one" in caplog.messages[-1]
    assert only(models) is good
    service = Service(models)
    try:
        assert ask(service, "GET", "/health").json() == {"status": "ok"}
        answer = ask(service, "POST", "/translate", json={"q": "one", "source": "en", "target": "de"})
        assert answer.status_code == 200
    finally:
        service.close()


@pytest.mark.parametrize("part", ["all", "one"])
def test_a_checkpoint_that_is_not_finite_is_rejected_at_startup(folder: Path, part: str) -> None:
    checkpoint = RunFolder(folder).checkpoint(1)
    if part == "all":
        corrupt(checkpoint)
    else:  # the embedding of one word, which the trial text may lack
        tensors = load_file(checkpoint / WEIGHTS)
        name = next(name for name, tensor in tensors.items() if tensor.dim() == 2)
        tensors[name][-1, 0] = torch.nan
        save_file(tensors, checkpoint / WEIGHTS)
        (checkpoint / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match="finite"):
        Models([folder], "cpu")
    refused(call("serve", folder, "--device", "cpu", "--port", "0"), "finite", str(checkpoint))


def test_a_checkpoint_whose_scores_are_not_finite_is_rejected(folder: Path) -> None:
    checkpoint = RunFolder(folder).checkpoint(1)
    tensors = {name: tensor * 1e30 for name, tensor in load_file(checkpoint / WEIGHTS).items()}
    save_file(tensors, checkpoint / WEIGHTS)
    (checkpoint / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match="trial translation"):
        Models([folder], "cpu")


def test_a_missing_run_is_reported_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checks = 0

    def counting(path: Path) -> Path:
        nonlocal checks
        checks += 1
        return resolve_checkpoint(path)

    def more_than(number: int) -> bool:
        return checks > number

    models = Models([folder], "cpu")
    before = only(models)
    monkeypatch.setattr(loading, "resolve_checkpoint", counting)
    with watched(models) as until:
        for count in (1, 2):
            away = folder.rename(folder.with_name("away"))
            until(partial(more_than, checks + 10))
            assert len(caplog.messages) == count
            away.rename(folder)
            until(partial(more_than, checks + 10))
    assert only(models) is before


def test_a_run_that_is_removed_while_it_is_checked_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models([folder], "cpu")

    def removing(path: Path) -> Path:
        checkpoint = resolve_checkpoint(path)
        folder.rename(folder.with_name("away"))
        return checkpoint

    monkeypatch.setattr(loading, "resolve_checkpoint", removing)
    with pytest.raises(CheckpointError, match="there is no such folder"):
        models.stamp(folder.name)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Make loading step 2 of the run `run` hang until the test ends; the event is set when it hangs."""
    hangs, ended = threading.Event(), threading.Event()

    def hang(path: Path) -> Any:
        if path.parts[-3:] == ("run", "checkpoints", "step-000002"):
            hangs.set()
            ended.wait()
        return load_checkpoint(path)

    monkeypatch.setattr(loading, "load_checkpoint", hang)
    yield hangs
    ended.set()


def test_a_hanging_load_blocks_neither_other_runs_nor_shutdown(
    folder: Path, tmp_path: Path, hanging: threading.Event
) -> None:
    second = make_run(tmp_path / "second", steps=1)
    models = Models([folder, second], "cpu")
    before = models.served
    with watched(models) as until:
        add_checkpoint(folder, 2, steps=1)
        until(hanging.is_set)
        add_checkpoint(second, 2, steps=1)
        until(lambda: models.served[1] is not before[1])
    assert models.served[0] is before[0]


def test_a_hanging_load_times_out_and_a_newer_checkpoint_is_loaded(
    folder: Path, hanging: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    models = Models([folder], "cpu")
    before = only(models)
    reloader = Reloader(models, "run", Limits(load=0.01))

    async def check() -> None:
        add_checkpoint(folder, 2, steps=1)
        for _ in range(100):  # no new attempt, which would hang too
            await reloader.check()
        reloader.limits = Limits()
        add_checkpoint(folder, 3, steps=1)
        await reloader.check()
        await reloader.check()

    asyncio.run(check())
    assert hanging.is_set()
    assert [message.rpartition(": ")[2] for message in caplog.messages] == [
        "loading took more than 0.01 seconds",
        "now serving a new checkpoint",
    ]
    assert only(models) is not before


def test_unexpected_errors_do_not_end_the_watch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    models = Models([folder], "cpu")
    before = only(models)
    times = 0

    def failing(path: Path) -> Path:
        nonlocal times
        times += 1
        if times < 3:
            raise KeyError("config")
        return resolve_checkpoint(path)

    monkeypatch.setattr(loading, "resolve_checkpoint", failing)
    with watched(models) as until:
        until(lambda: times > 3)
        add_checkpoint(folder, 2, steps=1)
        until(lambda: only(models) is not before)
    assert "KeyError" in caplog.text
