"""Kill a process at every line of the code that saves a checkpoint, one line after another.

Run with an empty folder as its argument; prints how many lines there are. After each kill the run
must have a `last`, every checkpoint in it must load, and the next save must remove the leftovers.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
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


def at_lines(act: Callable[[str], None]) -> None:
    """From here on, call `act` with the name of every line of WATCHED before it runs."""

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.endswith(WATCHED):
            return None
        if event == "line":
            act(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    sys.settrace(trace)


def die_at(line: str) -> Callable[[str], None]:
    def act(reached: str) -> None:
        if reached == line:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def main(folder: Path) -> None:
    template, run = RunFolder.create(folder / "template"), RunFolder(folder / "run")
    first, second = checkpoint(1), checkpoint(2)
    save(template, first)
    save_checkpoint(template.checkpoint(2), replace(second, metrics={"old": 1}), TrainingState({}, {"step": 2}))
    template.set_last(template.checkpoint(2))  # which is then written again, as after an interruption

    lines: dict[str, None] = {}
    shutil.copytree(template.path, run.path, symlinks=True)
    at_lines(lambda line: lines.update({line: None}))
    save(run, second)
    sys.settrace(None)
    for line in lines:
        shutil.rmtree(run.path)
        shutil.copytree(template.path, run.path, symlinks=True)
        child = os.fork()
        if child == 0:
            at_lines(die_at(line))
            save(run, second)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), line
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
    print(len(lines))


if __name__ == "__main__":
    with mock.patch.object(os, "fsync"):  # which is slow, and a kill loses nothing that was written
        main(Path(sys.argv[1]))
