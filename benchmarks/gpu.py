"""Test and measure regard on a GPU, next to Hugging Face and CTranslate2, in at most eight minutes.

    python benchmarks/gpu.py --out FOLDER [--stages NAME...]
    python benchmarks/gpu.py --smoke          on a CPU, in about a minute: shows that every stage runs

The stages, each in a separate process with a time limit:

- tests: those marked `gpu`: every architecture trains a step and translates on the GPU as on the CPU, and trains in
  bfloat16 as in float32.
- training transformer2017, training modern: the presets `base` in bfloat16 on batches of 25,000 synthetic tokens, with
  each of the switches of on_gpu/switches.py, and the Hugging Face Marian in a plain loop on the same batches.
- decoding: 32 tokens for 1 and for 64 sentences, greedy and with a beam of 5, by regard, Hugging Face and CTranslate2
  with the same weights; and a decoder step replayed as a CUDA graph.

FOLDER/gpu.md and FOLDER/gpu.json contain the results. A system that fails, and a stage that takes too long, has its
error in the table; the others are measured. Hugging Face and CTranslate2 are optional.

Utilisation is the arithmetic that the model requires for the tokens of a batch, without padding (Cost in
on_gpu/task.py), divided by the time and by the peak of the device in bfloat16 as its data sheet gives it. The column
"waits" counts operations that wait for the GPU. The time of a step includes that of making its batch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import exit_on_error
from on_gpu.decoding import decode
from on_gpu.gpu_tests import run_tests
from on_gpu.report import Report, Row, shorten, to_json, to_markdown
from on_gpu.task import Task, peak_tflops, smoke_task
from on_gpu.training import train

from regard.runtime import choose_device

LIMIT = 480.0  # seconds for all stages


@dataclass(frozen=True)
class Stage:
    """A stage, and the most seconds that it may take."""

    seconds: float
    run: Callable[[Task, Report], None]


STAGES = {
    "tests": Stage(75, run_tests),
    "training transformer2017": Stage(140, partial(train, architecture="transformer2017")),
    "training modern": Stage(140, partial(train, architecture="modern")),
    "decoding": Stage(105, decode),
}


def run_isolated(name: str, seconds: float) -> list[Row]:
    """Run a stage in a separate process for at most `seconds`, and return its rows."""
    with tempfile.TemporaryDirectory() as scratch:
        rows_file, log = Path(scratch) / "rows", Path(scratch) / "log"
        rows_file.touch()
        command = [sys.executable, __file__, "--stage", name, str(rows_file)]
        with log.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                problem = f"it ended with status {status}" if (status := process.wait(seconds)) else ""
            except subprocess.TimeoutExpired:
                problem = f"it was stopped after {seconds:.0f} seconds"
            finally:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        rows = [Row(**json.loads(line)) for line in rows_file.read_text(encoding="utf-8").splitlines()]
        if problem:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            rows.append(Row(name, "the stage", error=shorten(f"{problem}; last output: {' '.join(last) or 'none'}")))
    return rows


def run_worker(name: str, rows_file: Path) -> None:
    """Run a stage in this process, and append its rows to a file."""

    def write(row: Row) -> None:
        with rows_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")

    STAGES[name].run(Task(choose_device("auto")), Report(name, write))


def run_smoke(name: str) -> list[Row]:
    """Run a stage at tiny sizes in this process, on the CPU."""
    rows: list[Row] = []
    STAGES[name].run(smoke_task(torch.device("cpu")), Report(name, rows.append))
    return rows


def describe_machine() -> dict[str, Any]:
    """Return what the results depend on."""
    device = choose_device("auto")
    is_cuda = device.type == "cuda"
    peak = peak_tflops(device)
    return {
        "device": torch.cuda.get_device_name(device) if is_cuda else platform.processor() or platform.machine(),
        "peak in bfloat16": "not known" if peak is None else f"{peak:g} TFLOP/s",
        "PyTorch": str(torch.__version__),
        "CUDA": torch.version.cuda or "none",
        "cuDNN": torch.backends.cudnn.version() if is_cuda else "none",
        "Python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    start, rows, facts = time.monotonic(), list[Row](), describe_machine()
    if not arguments.smoke and not torch.cuda.is_available():
        parser.error("there is no GPU; --smoke runs on a CPU")
    for name in arguments.stages:
        stage_start = time.monotonic()
        seconds = max(1.0, min(STAGES[name].seconds, LIMIT - (stage_start - start)))
        rows += run_smoke(name) if arguments.smoke else run_isolated(name, seconds)
        facts[f"seconds of {name}"] = round(time.monotonic() - stage_start, 1)
        if arguments.out is not None:  # after each stage, in case this process is stopped
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / "gpu.md").write_text(to_markdown(facts, rows), encoding="utf-8")
            (arguments.out / "gpu.json").write_text(to_json(facts, rows), encoding="utf-8")
    print(to_markdown(facts, rows), end="")


if __name__ == "__main__":
    with exit_on_error():
        run_worker(sys.argv[2], Path(sys.argv[3])) if sys.argv[1:2] == ["--stage"] else main()
