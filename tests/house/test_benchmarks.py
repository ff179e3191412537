"""A benchmark that is given a wrong path says so in one line, and ends with status 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "common.py")


def refused(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("eins\nzwei\n")
    return path


def arguments(script: str, run: Path, source: Path, reference: Path) -> list[str | Path]:
    if script == "join_lines.py":
        return ["captions", source]  # OUT; a folder is to be made there
    others: list[str | Path] = [] if script == "batch_composition.py" else ["--reference", reference]
    return [run, "--source", source, *others]


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_run(script: str, text: Path, tmp_path: Path) -> None:
    wrong = text if script == "join_lines.py" else tmp_path / "nowhere"
    assert f"error: {wrong}: " in refused(script, *arguments(script, wrong, text, text))


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "join_lines.py"])
def test_no_text(script: str, text: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "nowhere"
    assert f"error: {wrong}: there is no such file" in refused(script, *arguments(script, tmp_path, wrong, text))
    (wrong := tmp_path / "empty").touch()
    assert f"error: {wrong}: there is no line" in refused(script, *arguments(script, tmp_path, wrong, text))


def test_sides_of_unequal_length(text: Path, tmp_path: Path) -> None:
    (longer := tmp_path / "longer").write_text("one\ntwo\nthree\n")
    told = refused("decode_cpu.py", *arguments("decode_cpu.py", tmp_path, text, longer))
    assert f"{longer}: it has 3 lines, and the source 2" in told


def test_there_are_benchmarks() -> None:
    assert len(SCRIPTS) >= 3
