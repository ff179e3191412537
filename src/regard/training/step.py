"""One step: from a few batches to weights that have changed, or that have not where the gradient is no number."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.config import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.training.loss import Objective
from regard.training.optimizer import Optimizers
from regard.training.parallel import spread, summing, whole
from regard.training.processes import ALONE, Processes


@dataclass(frozen=True)
class Stepped:
    """What a step found.

    loss: in nats a target token, smoothed.
    tokens: real target positions, of all processes.
    sound: False where loss or gradient was no number; the weights are as they were then.
    """

    loss: float
    tokens: int
    sound: bool


class Stepper:
    """A model and what changes it, in step with other processes.

    model: its weights may be in parts (see regard.training.parallel).
    judged: where to put weights that are to be judged and kept; `model` itself unless that is in parts.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig, processes: Processes = ALONE) -> None:
        self.model = model
        self.config = config
        self.processes = processes
        self.device = next(model.parameters()).device
        in_parts = processes.size > 1 and config.parallel == "fsdp"
        self.judged = copy.deepcopy(model) if in_parts else model
        self.objective = spread(Objective(model, config.label_smoothing), config.parallel, processes)
        self.optimizers = Optimizers(model, config)

    def step(self, batches: Sequence[Batch], rate: float) -> Stepped:
        """One change by the mean gradient over all target positions, at `rate` times the peak learning rate."""
        self.model.train()
        tokens = sum(batch.together for batch in batches)
        self.model.zero_grad()
        scale = self.processes.size / tokens  # the mean over processes is taken of their gradients
        parts = [self._backward(batch, scale, last=batch is batches[-1]) for batch in batches]
        (loss,) = self.processes.sum(sum(parts))
        limit = self.config.clip_norm or math.inf
        norm = whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        sound = math.isfinite(loss) and not self.processes.any(not bool(torch.isfinite(norm)))
        if sound:
            self.optimizers.step(rate)
        return Stepped(loss / tokens, tokens, sound)

    def _backward(self, batch: Batch, scale: float, *, last: bool) -> float:
        batch = batch.to(self.device)
        with summing(self.objective, last=last):
            loss: Tensor = self.objective(batch.source, batch.target_in, batch.target_out)
            (loss * scale).backward()
        return loss.item()
