"""A limit on the address space (`ulimit -v`) that is too low ends in a message, not in a traceback or an abort."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.end_to_end.helpers import ONE_THREAD, Files, recipe, slow

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux enforces RLIMIT_AS")

CHECKPOINT = Path(__file__).parents[1] / "format" / "checkpoint-1"
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
from regard.cli.main import run
run()
"""


def limited(megabytes: int, *arguments: str | Path, threads: int = 1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED, str(megabytes * 10**6), *map(str, arguments)]
    environment = {**ONE_THREAD, "OMP_NUM_THREADS": str(threads)}
    return subprocess.run(command, input="1 2 3\n", capture_output=True, text=True, env=environment, check=False)


def is_told(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.returncode == 1, finished.stderr
    lines = finished.stderr.splitlines()
    assert sum("error: out of memory" in line for line in lines) == 1, finished.stderr
    assert "what to do:" in lines[-1]
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("megabytes", [300, 700, *slow(460, 500, 614)])
def test_pytorch_is_not_loaded_where_it_does_not_fit(files: Files, tmp_path: Path, megabytes: int) -> None:
    recipe(files)
    translate: list[str | Path] = ["translate", CHECKPOINT]
    train: list[str | Path] = ["train", files / "tiny.toml", "--out", tmp_path / "run"]
    for arguments in (translate, train):
        finished = limited(megabytes, *arguments)
        is_told(finished)
        assert "out of memory while loading PyTorch" in finished.stderr
        assert f"limited to {megabytes} MB, and 1 thread needs at least" in finished.stderr
        assert "ulimit -v unlimited" in finished.stderr
        assert finished.stderr.count("\n") == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("megabytes", [800, *slow(900, 1000)])
def test_a_limit_near_what_it_takes_ends_well_or_in_a_message(megabytes: int) -> None:
    finished = limited(megabytes, "translate", CHECKPOINT)
    if finished.returncode:
        is_told(finished)
    else:
        assert finished.stdout.count("\n") == 1


def test_threads_need_address_space_too() -> None:
    finished = limited(1500, "translate", CHECKPOINT, threads=200)
    is_told(finished)
    assert "200 threads need at least" in finished.stderr
    assert "set OMP_NUM_THREADS=1" in finished.stderr


def test_commands_without_pytorch_need_less() -> None:
    for arguments in (["version"], ["translate", "--help"]):
        finished = limited(300, *arguments)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout
