"""One step: from a few batches to weights that have changed, or that have not where the gradient is no number."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.corpus.corpus import LineOrigins
from regard.data.batch import Batch
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup, full_tensor, grad_sync, wrap_parallel
from regard.training.loss import ModelWithLoss
from regard.training.microbatches import BatchProbe, MicrobatchSplitter, Waits, peak_memory
from regard.training.optimizer import Optimizers
from regard.training.rng import get_rng_state, set_rng_state


@dataclass(frozen=True)
class StepResult:
    """What a step found.

    loss: in nats a target token, smoothed.
    tokens: real target positions, of all processes.
    norm: of the gradient, before it is clipped.
    sound: False where loss or gradient was no number; the weights are as they were then.
    """

    loss: float
    tokens: int
    norm: float
    is_finite: bool


class TrainStep:
    """A model and what changes it, in step with other processes.

    model: its weights may be in parts (see regard.training.distributed).
    judged: where to put weights that are to be judged and kept; `model` itself unless that is in parts.
    tell: is told of batches that had to be divided.
    origins: what the batches' lines are of.
    """

    def __init__(
        self,
        model: Seq2Seq,
        config: TrainConfig,
        processes: ProcessGroup = SINGLE_PROCESS,
        tell: Callable[[str], None] = lambda _: None,
        origins: LineOrigins = LineOrigins(),
    ) -> None:
        self.model = model
        self.config = config
        self.processes = processes
        self.origins = origins
        self.device = next(model.parameters()).device
        in_parts = processes.size > 1 and config.parallel == "fsdp"
        self.judged = copy.deepcopy(model) if in_parts else model
        self.objective = wrap_parallel(ModelWithLoss(model, config.label_smoothing), config.parallel, processes)
        self.optimizers = Optimizers(model, config)
        self.fitting = MicrobatchSplitter(self.device, model.zero_grad, tell, origins)
        self._waits: Waits = "none" if processes.size == 1 else "all" if in_parts else "last"

    def step(self, batches: Sequence[Batch], rate: float) -> StepResult:
        """One change by the mean gradient over all target positions, at `rate` times the peak learning rate.

        The norm of that gradient is bounded by `clip_norm`. Sutskever, Luong and Bahdanau bound the gradient of the
        mean over sentences, which is larger: their bounds of 5, 5 and 1 hardly ever act here.
        """
        self.model.train()
        tokens = sum(batch.global_target_tokens for batch in batches)
        scale = self.processes.size / tokens  # the mean over processes is taken of their gradients
        mine = self.fitting.backward(batches, partial(self._backward, scale=scale), self._waits)
        (loss,) = self.processes.sum(mine)
        limit = self.config.clip_norm or math.inf
        norm = float(full_tensor(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)))
        is_finite = math.isfinite(loss) and not self.processes.any(not math.isfinite(norm))
        if is_finite:
            self.optimizers.step(rate)
        return StepResult(loss / tokens, tokens, norm, is_finite)

    def probe(self, batches: Sequence[Batch]) -> list[BatchProbe]:
        """Forward and backward of each batch, which change nothing: what does not fit is found out, and divided."""
        self.model.train()
        waits: Waits = "all" if self._waits == "all" else "none"
        random, tried = get_rng_state(self.device), []
        kept = [torch.empty_like(weight) for weight in self.model.parameters() for _ in self._moments()]
        for batch in batches:
            began = time.monotonic()
            self.fitting.backward([batch], partial(self._backward, scale=1 / batch.global_target_tokens), waits)
            tried.append(BatchProbe(batch, time.monotonic() - began, peak_memory(self.device)))
        del kept
        self.model.zero_grad()
        set_rng_state(random, self.device)
        return tried

    def _moments(self) -> range:
        """What the optimizer will keep of each weight from its first step on; nothing where it does already."""
        return range(0 if self.optimizers.tensors() else 2)

    def _backward(self, batch: Batch, last: bool, scale: float) -> float:
        short = self.config.precision == "bfloat16"
        with grad_sync(self.objective, enabled=last):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=short, cache_enabled=False):
                loss: Tensor = self.objective(batch.source, batch.target_in, batch.target_out)
            (loss * scale).backward()
        return loss.item()
