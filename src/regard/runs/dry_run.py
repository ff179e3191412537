"""A rehearsal: all that training does, once, in a folder that is thrown away; and from it what the run will take."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from regard.checkpoints.checkpoint import Checkpoint, save_checkpoint
from regard.checkpoints.run_folder import CHECKPOINTS_KEPT
from regard.config.recipe import resolve_paths
from regard.config.schema import RunConfig
from regard.contract import Seq2Seq
from regard.data.streaming import Stream
from regard.runs.preflight import free_bytes, in_bytes, in_time, lacks_room
from regard.runs.prepare import Prepared, Say, prepare
from regard.runs.train import PREPARING, begun, say_on, validation, with_precision
from regard.runs.warm_start import settled
from regard.training.distributed import SINGLE_PROCESS
from regard.training.microbatches import BatchProbe, describe_shape
from regard.training.trainer import CheckpointEvent, Trainer
from regard.training.training_log import StepMetrics

STEPS = 5  # the first is not timed
SENTENCES = 32  # of dev that are judged


@dataclass(frozen=True)
class Rehearsed:
    """What was found. Seconds are those of a step, of judging all of dev, and of writing a checkpoint."""

    parameters: int
    batches: int | None  # in an epoch, where that is known
    tried: Sequence[BatchProbe]
    step: float
    judging: float
    writing: float
    checkpoint: int  # bytes


def dry_run(config: RunConfig, out: Path, console: Console) -> None:
    """Rehearse a recipe, and print what its run in `out` would take. Raises what training raises."""
    say = say_on(console)
    config = with_precision(settled(resolve_paths(config)), SINGLE_PROCESS.device(config.train.device), say)
    with tempfile.TemporaryDirectory(prefix="regard-dry-run-") as folder:
        say(PREPARING)
        prepared = prepare(config, Path(folder) / "data", say)
        say("rehearsing a few steps, a validation and a checkpoint")
        found = _rehearse(config, prepared, Path(folder), say)
    for name, text in _rows(config, prepared, found):
        say(f"{name:14} {text}")
    count = CHECKPOINTS_KEPT + 1
    room = f"{count} are kept, {in_bytes(count * found.checkpoint)}; {in_bytes(free_bytes(out))} are free"
    say(f"{'checkpoint':14} {in_bytes(found.checkpoint)}, written in {found.writing:.1f} s; {room}")
    if warning := lacks_room(out, found.checkpoint):
        say(warning)
    say("this was a dry run: nothing of it is left")


def _rehearse(config: RunConfig, prepared: Prepared, folder: Path, say: Say) -> Rehearsed:
    model = begun(config, folder / "data", prepared, SINGLE_PROCESS, say)
    loader = prepared.loader(config)
    few = replace(prepared, dev=prepared.dev[:SENTENCES])
    stage = _Stage(config, few, folder / "checkpoint", say)
    short = config.train.model_copy(update={"max_steps": STEPS, "checkpoint_every": STEPS, "max_minutes": None})
    trainer = Trainer(
        model,
        loader,
        short,
        validate=stage.validate,
        save=stage.save,
        reporters=[stage],
        origins=prepared.origins,
    )
    tried = trainer.train_step.probe(loader.largest())
    if trainer.run() == "interrupted":
        raise KeyboardInterrupt
    return Rehearsed(
        parameters=sum(weight.numel() for weight in model.parameters()),
        batches=loader.batches_per_epoch,
        tried=tried,
        step=statistics.median(after - before for before, after in zip(stage.steps, stage.steps[1:], strict=False)),
        judging=stage.judging * len(prepared.dev) / len(few.dev),
        writing=stage.writing,
        checkpoint=sum(path.stat().st_size for path in stage.folder.rglob("*") if path.is_file()),
    )


class _Stage:
    """What training calls, with a clock."""

    def __init__(self, config: RunConfig, prepared: Prepared, folder: Path, say: Say) -> None:
        self.folder = folder
        self.steps: list[float] = []  # when each ended
        self.judging = self.writing = 0.0
        self._config, self._prepared = config, prepared
        self._say = say
        self._judge = validation(config, prepared, SINGLE_PROCESS)

    def validate(self, model: Seq2Seq) -> Mapping[str, float]:
        """As in training, of fewer sentences."""
        began = time.monotonic()
        scores = self._judge(model)
        self.judging = time.monotonic() - began
        return scores

    def save(self, saved: CheckpointEvent) -> None:
        """As in training."""
        prepared = self._prepared
        kept = Checkpoint(
            self._config, prepared.tokenizers, saved.model, saved.step, prepared.train.fingerprint, saved.scores
        )
        began = time.monotonic()
        save_checkpoint(self.folder, kept, saved.training)
        self.writing = time.monotonic() - began

    def on_step(self, progress: StepMetrics) -> None:
        """Take the time."""
        self.steps.append(time.monotonic())

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Nothing."""

    def on_notice(self, step: int, text: str) -> None:
        """Tell it."""
        self._say(text)

    def close(self) -> None:
        """Nothing."""


def _rows(config: RunConfig, prepared: Prepared, found: Rehearsed) -> list[tuple[str, str]]:
    train, tokenizers = config.train, prepared.tokenizers
    vocabularies = f"{tokenizers.source.size:,}" + ("" if tokenizers.joint else f" and {tokenizers.target.size:,}")
    whole = train.max_steps * found.step + train.max_steps // train.checkpoint_every * found.judging
    end = f"{in_time(whole)} for all {train.max_steps:,} steps with their checkpoints"
    if train.max_minutes is not None:
        end += f", or {in_time(60 * train.max_minutes)} (train.max_minutes)"
    if train.patience:
        end += ", unless patience ends it earlier"
    return [
        *_corpus_rows(prepared),
        ("vocabulary", vocabularies),
        ("model", f"{config.model.architecture}: {found.parameters:,} parameters"),
        *_epoch_rows(found, train.accumulate),
        *(("a large batch", f"{describe_shape(one.batch)}: {one.seconds:.2f} s") for one in found.tried),
        ("memory", f"{in_bytes(max(one.memory for one in found.tried))} at the most"),
        ("a step", f"{found.step:.3f} s"),
        ("validation", f"{in_time(found.judging)} every {train.checkpoint_every:,} steps, of a model as yet untrained"),
        ("training", end),
    ]


def _corpus_rows(prepared: Prepared) -> list[tuple[str, str]]:
    train, dev = prepared.train, f"{len(prepared.dev):,} for dev"
    if isinstance(train, Stream):
        return [("pairs", f"read as they come, {dev}")]
    tokens = f"{int(train.source_lengths.sum()):,} source, {int(train.target_lengths.sum()):,} target"
    return [("pairs", f"{len(train):,} for training, {dev}"), ("tokens", tokens)]


def _epoch_rows(found: Rehearsed, accumulate: int) -> list[tuple[str, str]]:
    if found.batches is None:
        return []
    steps = max(1, found.batches // accumulate)
    return [("an epoch", f"{found.batches:,} batches, {steps:,} steps, {in_time(steps * found.step)}")]
