"""Measure the time of a training step on this machine, and choose the faster precision."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import dataclass

import torch

from regard.config.schema import RunConfig
from regard.console import Say
from regard.contract import VocabularySizes
from regard.data.batch import Batch, make_batch
from regard.models import build_model
from regard.runs.plan import expected_vocabulary_sizes
from regard.runtime import choose_device
from regard.special_tokens import SPECIAL
from regard.training.precision import Precision, choose_precision
from regard.training.step import TrainStep

TIMED_STEPS = 3  # after one step that is not timed
MAX_SECONDS = 5.0  # no further step is started after this time
PROBE_LENGTH = 16  # tokens of the sentences with which two precisions are compared


@dataclass(frozen=True)
class StepTiming:
    """The duration of a training step on this machine, and its precision."""

    seconds: float
    precision: Precision


def resolve_precision(config: RunConfig, device: torch.device, say: Say) -> RunConfig:
    """Return the recipe with a precision instead of `auto`, so that a run keeps it wherever it is resumed.

    On a CPU with faster bfloat16 products, a step is timed in both precisions: the rest of a step may lose more time
    without the float32 kernels than the products gain.
    """
    precision, reason = choose_precision(config.train.precision, device)
    if config.train.precision == "auto":
        if precision == "bfloat16" and device.type == "cpu":
            say("measuring a training step in float32 and bfloat16")
            both: tuple[Precision, ...] = ("bfloat16", "float32")
            sizes = expected_vocabulary_sizes(config.tokenizer)
            bfloat16, float32 = time_steps(config, sizes, PROBE_LENGTH, both, device)
            precision = min(bfloat16, float32, key=lambda timing: timing.seconds).precision
            reason = f"a step in bfloat16 takes {bfloat16.seconds / float32.seconds:.1f} times as long here"
        say(f"precision: {precision}, since {reason}")
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": precision})})


def measure_step(config: RunConfig, sizes: VocabularySizes, length: float, say: Say) -> StepTiming:
    """Time a training step of a recipe in the faster precision.

    A model is built for it and thrown away. The random numbers of training do not change.

    Args:
        config: The recipe.
        sizes: The sizes of the vocabularies.
        length: Tokens of the random sentences that the step trains on.
        say: Prints a line.
    """
    device = choose_device(config.train.device)
    precision, _ = choose_precision(config.train.precision, device)
    precisions: set[Precision] = {precision}
    if config.train.precision == "auto" and device.type == "cpu":
        precisions.add("float32")
    say("measuring a training step, to fit the schedule to the available time")
    return min(time_steps(config, sizes, length, precisions, device), key=lambda timing: timing.seconds)


def time_steps(
    config: RunConfig, sizes: VocabularySizes, length: float, precisions: Collection[Precision], device: torch.device
) -> list[StepTiming]:
    """Time a training step of a recipe on random sentences of `length` tokens, in each precision."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return [
            StepTiming(_time_step(config, sizes, round(length), precision, device), precision)
            for precision in sorted(precisions)
        ]


def _time_step(
    config: RunConfig, sizes: VocabularySizes, length: int, precision: Precision, device: torch.device
) -> float:
    """Return the fewest seconds of a few steps."""
    train = config.train.model_copy(update={"precision": precision})
    step = TrainStep(build_model(config.model, sizes).to(device), train)
    rng = random.Random(0)
    rows = train.pairs_per_batch or max(1, train.tokens_per_batch // length)
    seconds: list[float] = []
    for number in range(1 + TIMED_STEPS):
        batches = [_random_batch(rng, sizes, rows, max(1, length - 1)) for _ in range(train.accumulate)]
        start = time.monotonic()
        step.run(batches, 0.1)  # waits for a GPU, because it reads the loss
        if number:
            seconds.append(time.monotonic() - start)
        if sum(seconds) > MAX_SECONDS:
            break
    return min(seconds)


def _random_batch(rng: random.Random, sizes: VocabularySizes, rows: int, length: int) -> Batch:
    def ids(size: int) -> list[int]:
        return rng.choices(range(min(len(SPECIAL), size - 1), size), k=length)

    return make_batch([(ids(sizes.source), ids(sizes.target)) for _ in range(rows)])
