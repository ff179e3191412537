"""Dry run: do everything that training does once, in a temporary folder, and estimate what the run will take."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from regard.checkpoints.checkpoint import Checkpoint, save_checkpoint
from regard.checkpoints.run_folder import CHECKPOINTS_KEPT
from regard.config.recipe import resolve_paths
from regard.config.schema import RunConfig
from regard.console import Say, say
from regard.contract import Seq2Seq
from regard.data.streaming import Stream
from regard.runs.model_init import init_model
from regard.runs.preflight import allowed_steps, disk_space_warning, format_bytes, format_duration, free_bytes
from regard.runs.prepare import prepare
from regard.runs.prepared import Prepared
from regard.runs.step_timing import resolve_precision
from regard.runs.train import PREPARING
from regard.runs.validation import make_validator
from regard.runs.warm_start import resolve_start
from regard.training.distributed import SINGLE_PROCESS
from regard.training.microbatches import BatchProbe, describe_shape
from regard.training.trainer import CheckpointEvent, Trainer
from regard.training.training_log import Reporter, StepMetrics

STEPS = 5  # the first is not timed
DEV_SENTENCES = 32  # validated; the time for the whole dev set is extrapolated


@dataclass(frozen=True)
class Measurements:
    """What a dry run has measured.

    Attributes:
        parameters: Parameters of the model.
        batches_per_epoch: None if it is not known, because the corpus is streamed.
        probes: The largest batches.
        step_seconds: Seconds of a training step.
        validation_seconds: Seconds of a validation on the whole dev set.
        writing_seconds: Seconds to write a checkpoint.
        checkpoint_bytes: Size of a checkpoint.
    """

    parameters: int
    batches_per_epoch: int | None
    probes: Sequence[BatchProbe]
    step_seconds: float
    validation_seconds: float
    writing_seconds: float
    checkpoint_bytes: int


def dry_run(config: RunConfig, out: Path, console: Console) -> None:
    """Rehearse a recipe, and print what its run in the folder `out` would take. Raise what `train` raises."""
    print_line = partial(say, console=console)
    device = SINGLE_PROCESS.device(config.train.device)
    config = resolve_precision(resolve_start(resolve_paths(config)), device, print_line)
    with tempfile.TemporaryDirectory(prefix="regard-dry-run-") as folder:
        print_line(PREPARING)
        prepared = prepare(config, Path(folder) / "data", print_line)
        print_line("trying a few steps, a validation and a checkpoint")
        measurements = _measure(config, prepared, Path(folder), print_line)
    for name, text in _rows(config, prepared, measurements, out):
        print_line(f"{name:14} {text}")
    if warning := disk_space_warning(out, measurements.checkpoint_bytes):
        print_line(warning)
    print_line("this was a dry run: nothing was written")


def _measure(config: RunConfig, prepared: Prepared, folder: Path, say: Say) -> Measurements:
    model = init_model(config, folder / "data", prepared, SINGLE_PROCESS, say)
    loader = prepared.loader(config)
    dev = prepared.limit_dev(DEV_SENTENCES)
    stopwatch = _Stopwatch(config, dev, folder / "checkpoint", say)
    no_limits = {"max_minutes": None, "max_epochs": None, "min_learning_rate": 0.0}
    changes = {"max_steps": STEPS, "checkpoint_every": STEPS, **no_limits}
    trainer = Trainer(
        model,
        loader,
        config.train.model_copy(update=changes),
        validate=stopwatch.validate,
        save=stopwatch.save,
        reporters=[stopwatch],
    )
    probes = trainer.train_step.probe(loader.largest())
    if trainer.run() == "interrupted":
        raise KeyboardInterrupt
    ends = stopwatch.step_ends
    return Measurements(
        parameters=model.num_parameters,
        batches_per_epoch=loader.batches_per_epoch,
        probes=probes,
        step_seconds=statistics.median(after - before for before, after in pairwise(ends)),
        validation_seconds=stopwatch.validation_seconds * len(prepared.dev) / len(dev.dev),
        writing_seconds=stopwatch.writing_seconds,
        checkpoint_bytes=sum(path.stat().st_size for path in stopwatch.folder.rglob("*") if path.is_file()),
    )


class _Stopwatch(Reporter):
    """Validates, saves and reports as a run does, and measures the time."""

    def __init__(self, config: RunConfig, prepared: Prepared, folder: Path, say: Say) -> None:
        self.folder = folder
        self.step_ends: list[float] = []  # clock times
        self.validation_seconds = self.writing_seconds = 0.0
        self._config, self._prepared = config, prepared
        self._say = say
        self._validate = make_validator(config, prepared, SINGLE_PROCESS)

    def validate(self, model: Seq2Seq) -> Mapping[str, float]:
        """Score a model on the dev set."""
        start = time.monotonic()
        scores = self._validate(model)
        self.validation_seconds = time.monotonic() - start
        return scores

    def save(self, event: CheckpointEvent) -> None:
        """Write a checkpoint."""
        prepared = self._prepared
        contents = Checkpoint(
            self._config, prepared.tokenizers, event.model, event.step, prepared.train.fingerprint, event.scores
        )
        start = time.monotonic()
        save_checkpoint(self.folder, contents, event.training)
        self.writing_seconds = time.monotonic() - start

    def on_step(self, metrics: StepMetrics) -> None:
        """Record the time."""
        self.step_ends.append(time.monotonic())

    def on_notice(self, step: int, text: str) -> None:
        """Print the notice."""
        self._say(text)


def _rows(config: RunConfig, prepared: Prepared, measured: Measurements, out: Path) -> list[tuple[str, str]]:
    train = config.train
    memory = format_bytes(max(probe.memory for probe in measured.probes))
    validation = format_duration(measured.validation_seconds)
    count = CHECKPOINTS_KEPT + 1
    disk = (
        f"{format_bytes(measured.checkpoint_bytes)}, written in {measured.writing_seconds:.1f} s; {count} are kept, "
        f"{format_bytes(count * measured.checkpoint_bytes)}; {format_bytes(free_bytes(out))} are free"
    )
    return [
        *_corpus_rows(prepared),
        ("vocabulary", prepared.tokenizers.describe_sizes()),
        ("model", f"{config.model.architecture}: {measured.parameters:,} parameters"),
        *_epoch_rows(measured, train.accumulate),
        *(("a large batch", f"{describe_shape(probe.batch)}: {probe.seconds:.2f} s") for probe in measured.probes),
        ("memory", f"at most {memory}"),
        ("a step", f"{measured.step_seconds:.3f} s"),
        ("validation", f"{validation} every {train.checkpoint_every:,} steps, measured with an untrained model"),
        ("training", _describe_end(config, measured)),
        ("checkpoint", disk),
    ]


def _describe_end(config: RunConfig, measured: Measurements) -> str:
    train = config.train
    steps = allowed_steps(train, measured.batches_per_epoch)
    validations = steps // train.checkpoint_every
    seconds = steps * measured.step_seconds + validations * measured.validation_seconds
    limit = f"all {steps:,} steps"
    if steps < train.max_steps:
        limit += f" (train.max_epochs={train.max_epochs:g})"
    end = f"{format_duration(seconds)} for {limit} with their checkpoints"
    if train.max_minutes is not None:
        end += f", or {format_duration(60 * train.max_minutes)} (train.max_minutes)"
    if train.patience:
        end += ", unless patience stops it earlier"
    return end


def _corpus_rows(prepared: Prepared) -> list[tuple[str, str]]:
    train, dev = prepared.train, f"{len(prepared.dev):,} for dev"
    if isinstance(train, Stream):
        return [("pairs", f"streamed, {dev}")]
    tokens = f"{int(train.source_lengths.sum()):,} source, {int(train.target_lengths.sum()):,} target"
    return [("pairs", f"{len(train):,} for training, {dev}"), ("tokens", tokens)]


def _epoch_rows(measured: Measurements, accumulate: int) -> list[tuple[str, str]]:
    if measured.batches_per_epoch is None:
        return []
    steps = max(1, measured.batches_per_epoch // accumulate)
    duration = format_duration(steps * measured.step_seconds)
    return [("an epoch", f"{measured.batches_per_epoch:,} batches, {steps:,} steps, {duration}")]
