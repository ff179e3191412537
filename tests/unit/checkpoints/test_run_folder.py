import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regard.checkpoints.run_folder import Finished, RunFolder, resolve_checkpoint
from regard.errors import CheckpointError


def step(run: RunFolder, number: int) -> Path:
    """A checkpoint as far as RunFolder is concerned: a folder with a config.json."""
    folder = run.checkpoint(number)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path.resolve() / "run")


def test_a_new_run_goes_into_a_missing_or_an_empty_folder(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path / "deep" / "run").checkpoints.is_dir()
    assert RunFolder.create(tmp_path / "deep" / "run2").path.is_dir()
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty")


def test_a_folder_without_a_recipe_may_be_used(run: RunFolder) -> None:
    (run.path / "recipe.toml.tmp").touch()  # killed while it wrote the recipe
    again = RunFolder.create(run.path)
    again.begin("text")
    assert again.recipe.read_text() == "text"
    with pytest.raises(CheckpointError, match="already contains a run"):
        again.begin("another text")
    assert again.recipe.read_text() == "text"


def test_a_run_is_never_overwritten(run: RunFolder) -> None:
    run.begin("")
    with pytest.raises(CheckpointError, match=f"already contains a run(.|\n)*regard train --resume {run.path}"):
        RunFolder.create(run.path)


def test_the_command_that_resumes_a_run_quotes_its_path(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "my run")
    run.begin("")
    with pytest.raises(CheckpointError) as caught:
        RunFolder.create(run.path)
    assert f"`regard train --resume '{run.path}'`" in str(caught.value)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CheckpointError, match="not empty"):
        RunFolder.create(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be created"):
        RunFolder.create(tmp_path / "thesis.tex")
    with pytest.raises(CheckpointError, match="cannot be created"):
        RunFolder.create(tmp_path / "thesis.tex" / "run")


def test_last_and_best_are_relative_links_that_move_with_the_run(run: RunFolder) -> None:
    assert (run.last, run.best) == (None, None)
    first, second = step(run, 500), step(run, 1000)
    assert first.name == "step-000500"
    run.set_last(first)
    run.set_best(first)
    run.set_last(second)
    assert (run.last, run.best) == (second, first)
    assert (run.path / "last").readlink() == Path("checkpoints/step-001000")
    moved = RunFolder(run.path.rename(run.path.with_name("moved")))
    assert moved.last == moved.checkpoint(1000)
    assert sorted(entry.name for entry in moved.path.iterdir()) == ["best", "checkpoints", "last"]


def test_a_link_that_cannot_be_set_is_an_error(run: RunFolder) -> None:
    (run.path / "best").mkdir()
    (run.path / "best" / "file").touch()
    with pytest.raises(CheckpointError, match="`best` cannot be set"):
        run.set_best(step(run, 1))


@pytest.mark.parametrize("relative", [False, True])
def test_pruning_keeps_the_last_two_and_the_best(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    if relative:
        monkeypatch.chdir(run.path.parent)
        run = RunFolder(Path(run.path.name))
    steps = [step(run, number) for number in range(1, 7)]
    run.set_best(steps[1])
    run.set_last(steps[5])
    half = run.checkpoints / "step-000007.tmp-123"
    half.mkdir()
    (half / "config.json").touch()
    own = run.checkpoints / "step-000001-the-good-one"
    own.mkdir()
    run.prune()
    assert set(run.checkpoints.iterdir()) == {steps[1], steps[4], steps[5], own}


def test_checkpoints_after_the_last_stay_until_they_are_reached_again(run: RunFolder) -> None:
    steps = [step(run, number) for number in range(1, 7)]
    run.set_best(steps[0])
    run.set_last(steps[3])  # from which the run was resumed
    run.prune()
    assert run.steps == [steps[0], *steps[2:]]
    run.set_last(steps[5])
    run.prune()
    assert run.steps == [steps[0], *steps[4:]]


def test_failed_pruning_is_an_error(run: RunFolder) -> None:
    run.checkpoints.rmdir()
    with pytest.raises(CheckpointError, match="cannot be deleted"):
        run.prune()


def test_a_partly_deleted_folder_is_not_a_checkpoint(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        run.set_last(step(run, number))

    def stop(path: Path) -> None:
        (path / "config.json").unlink()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "rmtree", stop)
    with pytest.raises(CheckpointError, match="cannot be deleted"):
        run.prune()
    assert not run.checkpoint(1).exists()
    monkeypatch.undo()
    run.prune()
    assert sorted(run.checkpoints.iterdir()) == [run.checkpoint(2), run.checkpoint(3)]


def test_a_checkpoint_moved_away_by_a_killed_process_is_restored(run: RunFolder) -> None:
    pytest.importorskip("fcntl")
    moved, replaced = step(run, 1), step(run, 2)
    run.set_last(moved)
    moved.rename(run.checkpoints / "step-000001.tmp-77-old")
    (run.checkpoints / "step-000002.tmp-77-old").mkdir()
    assert not (run.path / "last").exists()
    with run.lock():
        assert run.last == moved
        assert (replaced / "config.json").exists()


HOLD = """
import sys
from pathlib import Path
from regard.checkpoints.run_folder import RunFolder

with RunFolder(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_cannot_lock_until_the_first_is_killed(run: RunFolder) -> None:
    pytest.importorskip("fcntl")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(CheckpointError, match=f"process {holder.pid}"), run.lock():
            pass
        holder.kill()
    assert (run.path / "lock").exists()
    with run.lock():
        pass


def test_a_lock_is_released_after_use_and_after_an_error(run: RunFolder) -> None:
    pytest.importorskip("fcntl")
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with run.lock():
        assert (run.path / "lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(CheckpointError, match="another process"), RunFolder(run.path).lock():
            pass
    with run.lock():
        pass


def test_the_lock_records_the_job(run: RunFolder) -> None:
    assert run.job == ""
    with run.lock("a job"):
        assert run.job == "a job"
        with pytest.raises(CheckpointError, match=rf"\(process {os.getpid()}\)"), run.lock():
            pass
    with run.lock():
        assert run.job == ""


def test_a_run_that_cannot_be_locked_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be locked"), RunFolder(tmp_path / "none").lock():
        pass


def test_a_path_is_resolved_to_a_checkpoint(run: RunFolder) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        resolve_checkpoint(run.path)
    first, second = step(run, 1), step(run, 2)
    with pytest.raises(CheckpointError, match="missing or broken") as caught:
        resolve_checkpoint(run.path)
    assert caught.value.fix is not None and f"{first}, {second}" in caught.value.fix
    run.set_last(second)
    assert resolve_checkpoint(run.path) == second
    run.set_best(first)
    assert resolve_checkpoint(run.path) == first
    assert resolve_checkpoint(first) == first
    assert resolve_checkpoint(run.path / "last").samefile(second)
    for file in first.iterdir():
        file.unlink()
    first.rmdir()
    assert resolve_checkpoint(run.path) == second  # best is a dangling link


def test_a_path_without_a_checkpoint_is_an_error_that_suggests_others(run: RunFolder) -> None:
    step(run, 500)
    with pytest.raises(CheckpointError, match=r"did you mean run\?"):
        resolve_checkpoint(run.path.with_name("rum"))
    with pytest.raises(CheckpointError, match=r"did you mean step-000500\?"):
        resolve_checkpoint(run.checkpoints / "step-00500")
    with pytest.raises(CheckpointError, match="no such folder"):
        resolve_checkpoint(run.path / "none" / "at" / "all")
    with pytest.raises(CheckpointError, match=r"one of the checkpoints in it: step-000500"):
        resolve_checkpoint(run.checkpoints)
    with pytest.raises(CheckpointError, match="neither a run"):
        resolve_checkpoint(run.path.parent)


def test_a_run_is_marked_finished_and_unfinished(run: RunFolder) -> None:
    assert run.finished is None
    run.mark_finished(Finished("minutes", 70, 12.5))
    assert RunFolder(run.path).finished == Finished("minutes", 70, 12.5)
    run.mark_finished(None)
    run.mark_finished(None)
    assert run.finished is None
    for content in ("{", "[" * 100_000, "[]"):
        (run.path / "finished.json").write_text(content)
        with pytest.raises(CheckpointError, match="cannot be read"):
            _ = run.finished
    (run.path / "finished.json").unlink()
    os.mkfifo(run.path / "finished.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        _ = run.finished


def test_leftovers_of_killed_processes_are_removed_under_the_lock(run: RunFolder) -> None:
    pytest.importorskip("fcntl")
    run.begin("text")
    run.set_last(step(run, 1))
    for name in ("last.tmp-123", "best.tmp-123"):
        (run.path / name).symlink_to(Path("checkpoints") / "step-000009")
    for name in ("recipe.toml.tmp-123", "recipe.toml.tmp", "log.jsonl.tmp-9", "finished.json.tmp-9", "mine.tmp-1"):
        (run.path / name).touch()
    with run.lock():
        remaining = {entry.name for entry in run.path.iterdir()}
    assert remaining == {"checkpoints", "last", "lock", "mine.tmp-1", "recipe.toml"}
    assert run.recipe.read_text() == "text"


@pytest.mark.parametrize("gone", ["removed", "renamed", "replaced"])
def test_a_folder_that_disappears_under_the_lock_is_an_error(run: RunFolder, gone: str) -> None:
    pytest.importorskip("fcntl")
    with run.lock():
        run.require_in_place()
        if gone == "removed":
            shutil.rmtree(run.path)
        else:
            run.path.rename(run.path.with_name("other"))
        if gone == "replaced":
            with RunFolder.create(run.path).lock():
                pass
        with pytest.raises(CheckpointError, match="was removed, renamed or replaced"):
            run.require_in_place()
