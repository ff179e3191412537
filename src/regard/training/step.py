"""One step: from a few batches to weights that have changed, or that have not where the gradient is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from regard.config import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.symbols import PAD
from regard.training.loss import backward_in_chunks
from regard.training.optimizer import Optimizers


@dataclass(frozen=True)
class Stepped:
    """What a step found.

    loss: in nats a target token, smoothed.
    tokens: real target positions.
    sound: False where loss or gradient was no number; the weights are as they were then.
    """

    loss: float
    tokens: int
    sound: bool


class Stepper:
    """A model and what changes it."""

    def __init__(self, model: Seq2Seq, config: TrainConfig) -> None:
        self.model = model
        self.config = config
        self.device = next(model.parameters()).device
        self.optimizers = Optimizers(model, config)

    def step(self, batches: Sequence[Batch], rate: float) -> Stepped:
        """One change by the mean gradient over all target positions, at `rate` times the peak learning rate."""
        self.model.train()
        tokens = sum(batch.target_tokens for batch in batches)
        self.model.zero_grad()
        loss = sum(self._backward(batch.to(self.device), 1 / tokens) for batch in batches)
        limit = self.config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        sound = math.isfinite(loss) and bool(torch.isfinite(norm))
        if sound:
            self.optimizers.step(rate)
        return Stepped(loss / tokens, tokens, sound)

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
