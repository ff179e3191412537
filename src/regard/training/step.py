"""One step: from a few batches to weights that have changed, or that have not where the gradient is no number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from regard.config import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.symbols import PAD
from regard.training.chance import random_state, set_random_state
from regard.training.loss import backward_in_chunks
from regard.training.memory import Fitting, Tried, most_memory
from regard.training.optimizer import Optimizers


@dataclass(frozen=True)
class Stepped:
    """What a step found.

    loss: in nats a target token, smoothed.
    tokens: real target positions.
    norm: of the gradient, before it is clipped.
    sound: False where loss or gradient was no number; the weights are as they were then.
    """

    loss: float
    tokens: int
    norm: float
    sound: bool


class Stepper:
    """A model and what changes it.

    tell: is told of batches that had to be divided.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig, tell: Callable[[str], None] = lambda _: None) -> None:
        self.model = model
        self.config = config
        self.device = next(model.parameters()).device
        self.optimizers = Optimizers(model, config)
        self.fitting = Fitting(self.device, model.zero_grad, tell)

    def step(self, batches: Sequence[Batch], rate: float) -> Stepped:
        """One change by the mean gradient over all target positions, at `rate` times the peak learning rate."""
        self.model.train()
        tokens = sum(batch.target_tokens for batch in batches)
        loss = self.fitting.backward(batches, partial(self._backward, scale=1 / tokens))
        limit = self.config.clip_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        sound = math.isfinite(loss) and math.isfinite(norm)
        if sound:
            self.optimizers.step(rate)
        return Stepped(loss / tokens, tokens, norm, sound)

    def try_out(self, batches: Sequence[Batch]) -> list[Tried]:
        """Forward and backward of each batch, which change nothing: what does not fit is found out, and divided."""
        self.model.train()
        random, tried = random_state(self.device), []
        kept = [torch.empty_like(weight) for weight in self.model.parameters() for _ in self._moments()]
        for batch in batches:
            began = time.monotonic()
            self.fitting.backward([batch], partial(self._backward, scale=1 / batch.target_tokens))
            tried.append(Tried(batch, time.monotonic() - began, most_memory(self.device)))
        del kept
        self.model.zero_grad()
        set_random_state(random, self.device)
        return tried

    def _moments(self) -> range:
        """What the optimizer will keep of each weight from its first step on; nothing where it does already."""
        return range(0 if self.optimizers.tensors() else 2)

    def _backward(self, batch: Batch, scale: float) -> float:
        features = self.model.features(batch.source, batch.target_in).features
        real = batch.target_out.ne(PAD)
        return backward_in_chunks(
            self.model.decoder.readout,
            features[real],
            batch.target_out[real],
            smoothing=self.config.label_smoothing,
            scale=scale,
        )
