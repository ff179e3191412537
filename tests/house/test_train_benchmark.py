"""How the training benchmark watches a system: what its lines count, and what is said of one that fails."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LINES = {
    "here.REGARD": "target tokens of an update: 3834",
    "fairseq.FAIRSEQ": '2026-01-01 00:00:00 | INFO | train_inner | {"epoch": 1, "wps": "1910.5", "wpb": "3834"}',
    "marian.MARIAN": "[2026-01-01] Ep. 1 : Up. 18 : Sen. 5,037 : Cost 9.11 * 3,834 @ 5,168 after 74,061 : Time 3.09s",
    "eole.EOLE": "[2026-01-01 INFO] Step  2/1000000; acc: 0.0; sents:     256; bsz: 3840/3834/256; 1740/1740 tok/s;",
    "joeynmt.JOEYNMT": "Epoch   1, Step:        3, Batch Loss:     7.4, Tokens per Sec:      3834, Lr: 0.1",
}


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: importlib.import_module(f"peers.{name}")


def measured(peers: Any, tmp_path: Path, program: str, seconds: float) -> Any:
    work = peers("work")

    def parse_line(line: str) -> Any:
        kind, _, number = line.partition(" ")
        return work.LogEntry(**{kind: float(number)}) if kind in ("tokens", "rate") else None

    system = work.System("a system", lambda python, *_: [str(python), "-c", program], parse_line)
    return peers("measure").measure(system, Path(sys.executable), work.Work(tmp_path, 1), seconds)


@pytest.mark.parametrize("name", LINES)
def test_what_a_line_of_a_log_tells(peers: Any, name: str) -> None:
    module, constant = name.split(".")
    parse_line = getattr(peers(module), constant).parse_line
    result = parse_line(LINES[name] + "\n")
    assert (result.rate if module == "joeynmt" else result.tokens) == 3834
    assert parse_line("[INFO] Step by step: training on 4,096 tokens\n") is None


@pytest.mark.parametrize("kind, tokens", [("tokens", 10.0), ("rate", 10.0)])
def test_warm_up_is_left_out(peers: Any, tmp_path: Path, kind: str, tokens: float) -> None:
    program = f"""
import time
for update in range(1000):
    print("hello")
    print("{kind}", 1e6 if update < {peers("measure").WARM_UP} else {tokens}, flush=True)
    time.sleep(0.05)
"""
    window = measured(peers, tmp_path, program, 0.3)
    assert window.seconds >= 0.3
    assert window.updates >= 1
    assert window.tokens == pytest.approx(tokens * (window.updates if kind == "tokens" else window.seconds))
    assert window.megabytes > 1


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="there is no /proc")
def test_cpu_time_of_the_window_includes_child_processes(peers: Any, tmp_path: Path) -> None:
    program = """
import subprocess, sys, time
spend = "import time\\nwhile time.process_time() < 0.1: pass"
while True:
    subprocess.run([sys.executable, "-S", "-c", spend])
    print("tokens 1", flush=True)
"""
    window = measured(peers, tmp_path, program, 0.3)
    assert window.cpu_seconds >= 0.1 * window.updates - 0.05  # counted in hundredths of a second


def test_a_system_that_fails_says_why(peers: Any, tmp_path: Path) -> None:
    with pytest.raises(peers("measure").PeerError, match="status 1: ValueError: no such corpus"):
        measured(peers, tmp_path, "print('tokens 1'); raise ValueError('no such corpus')", 1)


def test_a_system_that_hangs_is_ended(peers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers("measure"), "PATIENCE", 1)
    with pytest.raises(peers("measure").PeerError, match="last output: waiting"):
        measured(peers, tmp_path, "import time; print('waiting', flush=True); time.sleep(300)", 0.1)


@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_environment_that_cannot_be_made_says_why(
    peers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    environments = peers("environments")
    call = environments._call

    def call_without_venv(command: list[str]) -> str:
        return "" if "venv" in command else str(call([sys.executable, *command[1:]]))

    if not fresh:  # pip of this interpreter fails to install it, too; a virtual environment takes ten seconds
        monkeypatch.setattr(environments, "_call", call_without_venv)
    system = peers("work").System(
        "a system", None, None, installs=(("--no-index", "regard-has-no-such-peer"),), torch=False
    )
    with pytest.raises(peers("measure").PeerError, match=r"cannot be installed: .*regard-has-no-such-peer"):
        environments.python_of(system, tmp_path)
