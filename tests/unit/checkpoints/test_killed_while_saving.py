"""Killed at any line of saving a checkpoint, a process leaves a run that can resume; the next save removes the rest."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import torch

from regard.checkpoints.checkpoint import Checkpoint, load_checkpoint, load_training_state, save_checkpoint
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.config.schema import DataConfig, RunConfig, TokenizerConfig
from regard.contract import VocabularySizes
from regard.models import build_model
from regard.models.transformer2017 import Config
from regard.tokenizers.base import train_tokenizers
from regard.training.state import TrainingState

WATCHED = ("regard/checkpoints/checkpoint.py", "regard/files.py", "regard/checkpoints/run_folder.py", "/shutil.py")
ENDED = 1 << 23  # no process has such an id


def checkpoint(step: int) -> Checkpoint:
    tokenizer = TokenizerConfig(kind="byte")
    model = Config(hidden_size=4, num_heads=2, ffn_size=4, encoder_layers=1, decoder_layers=1)
    tokenizers = train_tokenizers(tokenizer, [])
    size = tokenizers.source.size
    return Checkpoint(
        config=RunConfig(data=DataConfig(corpus="dates"), tokenizer=tokenizer, model=model),
        tokenizers=tokenizers,
        model=build_model(model, VocabularySizes(size, size, joint=True)),
        step=step,
        data="",
        metrics={},
    )


def save(run: RunFolder, contents: Checkpoint) -> None:
    place = run.checkpoint(contents.step)
    save_checkpoint(place, contents, TrainingState({"step": torch.tensor(contents.step)}, {"step": contents.step}))
    run.set_last(place)
    run.set_best(place)
    run.prune()


@contextmanager
def at_lines(act: Callable[[str], None]) -> Iterator[None]:
    """Call `act` with the name of every line of WATCHED before it runs."""

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.endswith(WATCHED):
            return None
        if event == "line":
            act(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def contents_of(folder: Path) -> frozenset[tuple[str, str | bytes]]:
    """Return the names of all entries, with the targets of links and the bytes of files."""
    return frozenset(
        (
            str(path.relative_to(folder)),
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder",
        )
        for path in folder.rglob("*")
    )


def states_while_saving(run: RunFolder, contents: Checkpoint, copies: Path) -> dict[str, Path]:
    """Save as a process that has ended since then. Return a copy of each state of the folder, by the first line there.

    A kill at a line leaves what is in the folder before the line runs.
    """
    lines: set[str] = set()
    states: dict[frozenset[tuple[str, str | bytes]], str] = {}

    def copy(line: str) -> None:
        if line in lines:
            return
        lines.add(line)
        state = contents_of(run.path)
        if state not in states:
            states[state] = line
            shutil.copytree(run.path, copies / str(len(states)), symlinks=True)

    with mock.patch.object(os, "getpid", lambda: ENDED), at_lines(copy):
        save(run, contents)
    assert len(lines) > 100
    return {line: copies / str(number) for number, line in enumerate(states.values(), start=1)}


def test_a_run_killed_at_any_line_of_saving_can_resume(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    first, second = checkpoint(1), checkpoint(2)
    save(run, first)
    save_checkpoint(run.checkpoint(2), replace(second, metrics={"old": 1}), TrainingState({}, {"step": 2}))
    run.set_last(run.checkpoint(2))  # which is then written again, as after an interruption
    states = states_while_saving(run, second, tmp_path / "copies")
    assert len(states) >= 15
    for line, copy in states.items():
        shutil.rmtree(run.path)
        copy.rename(run.path)
        with run.lock():
            last = run.last
        assert last is not None, line
        assert resolve_checkpoint(run.path).name in ("step-000001", "step-000002"), line
        assert load_training_state(last).values["step"] in (1, 2), line
        for place in run.checkpoints.iterdir():
            if ".tmp-" not in place.name:
                assert place == run.checkpoint(load_checkpoint(place).step), line
        save(run, second)
        assert sorted(run.checkpoints.iterdir()) == [run.checkpoint(1), run.checkpoint(2)], line
