"""Shared by the end-to-end tests: a tiny corpus, a tiny recipe, and the command line in this process or another."""

from __future__ import annotations

import io
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from _pytest.mark.structures import ParameterSet

import regard
from regard.cli.main import run as run_regard
from regard.config.schema import RunConfig

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
if not os.environ.get("REGARD_KERNELS") and shutil.which(shlex.split(os.environ.get("CC") or "cc")[0]) is None:
    ONE_THREAD["REGARD_KERNELS"] = "0"  # without a C compiler, processes say that they have no kernels


def digits(count: int, seed: int, *, longest: int = 5) -> list[str]:
    """Distinct strings of digits, a third of them in two words."""
    dice = random.Random(seed)
    numbers: dict[str, None] = {}
    while len(numbers) < count:
        number = "".join(dice.choices("0123456789", k=dice.randint(1, longest)))
        if len(number) > 2 and dice.random() < 1 / 3:
            number = f"{number[:-2]} {number[-2:]}"
        numbers[number] = None
    return list(numbers)


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


@dataclass(frozen=True)
class Files:
    """A corpus of digits and the same reversed: train, dev and test."""

    folder: Path
    train: list[str]
    dev: list[str]
    test: list[str]

    @classmethod
    def make(cls, folder: Path) -> Files:
        lines = digits(1400, 1)
        files = cls(folder, lines[:1200], lines[1200:1300], lines[1300:])
        for name in ("train", "dev", "test"):
            sources: list[str] = getattr(files, name)
            write_lines(folder / f"{name}.src", sources)
            write_lines(folder / f"{name}.tgt", [source[::-1] for source in sources])
        return files

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


RECIPE = """
[data]
source = "train.src"
target = "train.tgt"
dev_source = "dev.src"
dev_target = "dev.tgt"

[tokenizer]
kind = "character"
vocabulary_size = 40

[model]
architecture = "transformer2017"
encoder_layers = 1
decoder_layers = 1
hidden_size = 32
ffn_size = 64
num_heads = 2
dropout = 0.05

[train]
max_steps = 240
tokens_per_batch = 1024
optimizer = "muon"
learning_rate = 0.01
schedule = "cosine"
warmup_steps = 10
label_smoothing = 0.0
checkpoint_every = 60
patience = 0
metric = "exact"
device = "cpu"
precision = "float32"

[search]
beam_size = 4
"""


def slow(*values: Any) -> list[ParameterSet]:
    """Return values of a parameter whose tests are left to `make slow`."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def recipe(files: Files, **train: Any) -> RunConfig:
    """The tiny recipe, with other values in its [train]."""
    path = files / "tiny.toml"
    if not path.exists():
        path.write_text(RECIPE, encoding="utf-8")
    return regard.read_recipe(path, [f"train.{key}={value}" for key, value in train.items()])


@dataclass(frozen=True)
class Finished:
    code: int
    out: bytes
    err: str


def call(*arguments: str | Path, stdin: bytes = b"") -> Finished:
    """Run `regard ...` in this process, through its entry point."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")  # as Python opens it
    with (
        mock.patch.object(sys, "argv", ["regard", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        mock.patch.dict(os.environ, {"COLUMNS": "120", "TERM": "dumb"}),
    ):
        try:
            run_regard()
            code: object = 0
        except SystemExit as end:
            code = end.code
        for stream in (out, err):
            stream.flush()
    assert isinstance(code, int)
    return Finished(code, out.buffer.getvalue(), err.buffer.getvalue().decode())


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start `regard ...` in another process."""
    command = [sys.executable, "-m", "regard", *map(str, arguments)]
    return subprocess.Popen(
        command, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ONE_THREAD, **options}
    )


SIGNALLED_IN_STEP = """
import signal, sys
from regard.training.step import TrainStep

at, number = int(sys.argv.pop()), int(sys.argv.pop())
step, steps = TrainStep.run, []

def signalled(*arguments):
    steps.append(None)
    if len(steps) == at:
        signal.raise_signal(number)
    return step(*arguments)

TrainStep.run = signalled
from regard.cli.main import run
run()
"""


def signalled_in_step(at: int, number: int, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run `regard ...` in another process, which gets a signal in training step `at`, counted from 1."""
    command = [sys.executable, "-c", SIGNALLED_IN_STEP, *map(str, arguments), str(int(number)), str(at)]
    return subprocess.run(command, capture_output=True, env=ONE_THREAD, check=False)


def refused(finished: Finished, *messages: str, code: int = 1) -> None:
    """Assert the exit status, that stderr has all the messages, and that it has no traceback."""
    assert finished.code == code, finished.err
    output = " ".join(finished.err.split())
    for part in messages:
        assert part in output, finished.err
    assert "Traceback" not in finished.err
    if code == 1:
        assert "error:" in output
        assert "what to do:" in output


def file_bytes(folder: Path) -> Mapping[str, bytes]:
    """What lies in a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
