"""How long a training step takes as sentences grow (Vaswani et al. 2017, table 1, measured)."""

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
LONGEST_STEP = 2.0  # seconds: no longer sentences after a step that took more
REPEATS = 5
PATIENCE = 0.4  # seconds for one length, once two steps were timed


def step_times(
    model: Seq2Seq, source_vocabulary: int, *, lengths: Sequence[int] = LENGTHS, longest_step: float = LONGEST_STEP
) -> list[StepTime]:
    """The median time of loss and gradient, the optimizer left out, over SENTENCES of each length, from the shortest.

    Their tokens are by chance; what they are does not matter to the time. The model is left in eval
    mode, without gradients.
    """
    found: list[StepTime] = []
    try:
        model.train()
        for length in sorted(lengths):
            batch = _batch(length, source_vocabulary, model.decoder.vocabulary_size)
            seconds = _time(model, batch.to(next(model.parameters()).device), longest_step)
            found.append(StepTime(length=length, milliseconds=1000 * seconds))
            if seconds > longest_step:
                break
    finally:
        model.zero_grad()
        model.eval()
    return found


def _batch(length: int, source_vocabulary: int, target_vocabulary: int) -> Batch:
    dice = torch.Generator().manual_seed(length)

    def side(vocabulary: int) -> list[list[int]]:
        drawn: list[list[int]] = torch.randint(
            len(SPECIAL), vocabulary, (SENTENCES, length - 1), generator=dice
        ).tolist()
        return drawn

    return make_batch(list(zip(side(source_vocabulary), side(target_vocabulary), strict=True)))


def _time(model: Seq2Seq, batch: Batch, longest_step: float) -> float:
    """The median of some steps behind one that warms up; only that one's where it took very long."""
    first = _step(model, batch)
    if first > 2 * longest_step:
        return first
    times: list[float] = []
    while len(times) < REPEATS and (len(times) < 2 or sum(times) < PATIENCE):
        times.append(_step(model, batch))
    return statistics.median(times)


def _step(model: Seq2Seq, batch: Batch) -> float:
    _wait(batch)
    began = time.perf_counter()
    model.zero_grad()
    loss = ModelWithLoss(model, smoothing=0.0)(batch.source, batch.target_in, batch.target_out)
    (loss / batch.target_tokens).backward()
    _wait(batch)
    return time.perf_counter() - began


def _wait(batch: Batch) -> None:
    if batch.source.device.type == "cuda":
        torch.cuda.synchronize(batch.source.device)
