"""Time of a training step by sentence length (Vaswani et al. 2017, table 1, measured)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from regard.contract import Seq2Seq
from regard.data.batch import Batch, make_batch
from regard.reports.compare.results import StepTime
from regard.special_tokens import SPECIAL
from regard.training.loss import ModelWithLoss

LENGTHS = (8, 16, 32, 64, 128, 256)  # tokens, on both sides
SENTENCES = 8
LONGEST_STEP = 2.0  # seconds: after a slower step, no longer sentences are timed
REPEATS = 5
PATIENCE = 0.4  # seconds for one length, once two steps were timed


def step_times(
    model: Seq2Seq, source_vocabulary: int, *, lengths: Sequence[int] = LENGTHS, longest_step: float = LONGEST_STEP
) -> list[StepTime]:
    """Measure the loss and its gradient, without the optimizer, on SENTENCES of each length, shortest first.

    The tokens are random, which does not affect the time. The model is left in eval mode, without gradients.

    Args:
        model: The model.
        source_vocabulary: Size of the source vocabulary.
        lengths: Lengths in tokens, on both sides.
        longest_step: Seconds after which no longer sentences are timed.

    Returns:
        The median time of a step for each length.
    """
    times: list[StepTime] = []
    try:
        model.train()
        for length in sorted(lengths):
            batch = _random_batch(length, source_vocabulary, model.decoder.vocabulary_size)
            seconds = _median_seconds(model, batch.to(next(model.parameters()).device), longest_step)
            times.append(StepTime(length=length, milliseconds=1000 * seconds))
            if seconds > longest_step:
                break
    finally:
        model.zero_grad()
        model.eval()
    return times


def _random_batch(length: int, source_vocabulary: int, target_vocabulary: int) -> Batch:
    generator = torch.Generator().manual_seed(length)

    def side(vocabulary: int) -> list[list[int]]:
        ids: list[list[int]] = torch.randint(
            len(SPECIAL), vocabulary, (SENTENCES, length - 1), generator=generator
        ).tolist()
        return ids

    return make_batch(list(zip(side(source_vocabulary), side(target_vocabulary), strict=True)))


def _median_seconds(model: Seq2Seq, batch: Batch, longest_step: float) -> float:
    """Time several steps after a warm-up step, or only the warm-up step if it is very slow."""
    first = _time_step(model, batch)
    if first > 2 * longest_step:
        return first
    times: list[float] = []
    while len(times) < REPEATS and (len(times) < 2 or sum(times) < PATIENCE):
        times.append(_time_step(model, batch))
    return statistics.median(times)


def _time_step(model: Seq2Seq, batch: Batch) -> float:
    _synchronize(batch)
    start = time.perf_counter()
    model.zero_grad()
    loss = ModelWithLoss(model, smoothing=0.0)(batch.source, batch.target_in, batch.target_out)
    (loss / batch.target_tokens).backward()
    _synchronize(batch)
    return time.perf_counter() - start


def _synchronize(batch: Batch) -> None:
    if batch.source.device.type == "cuda":
        torch.cuda.synchronize(batch.source.device)
