"""One training step: microbatches, loss, backward, gradient clipping, optimizer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup, full_tensor, grad_sync, wrap_parallel
from regard.training.loss import ModelWithLoss
from regard.training.microbatches import BatchProbe, GradSync, MicrobatchSplitter, peak_memory
from regard.training.optimizer import Optimizers
from regard.training.rng import get_rng_state, set_rng_state


@dataclass(frozen=True)
class StepResult:
    """The result of a training step.

    Attributes:
        loss: The label-smoothed loss in nats per target token.
        tokens: The number of target tokens, over all processes.
        norm: The norm of the gradient before clipping.
        is_finite: Whether loss and gradient are finite; if not, the weights have not been changed.
    """

    loss: float
    tokens: int
    norm: float
    is_finite: bool


class TrainStep:
    """A model and its optimizers.

    Args:
        model: The model to train. FSDP shards its parameters in place.
        config: The [train] section of the recipe.
        processes: The processes that train it together.
        notify: Called with a sentence for each batch that had to be split.

    Attributes:
        eval_model: Holds the weights to validate and to save: a copy if `model` is sharded, otherwise `model` itself.
    """

    def __init__(
        self,
        model: Seq2Seq,
        config: TrainConfig,
        processes: ProcessGroup = SINGLE_PROCESS,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.model = model
        self.config = config
        self.processes = processes
        self.device = next(model.parameters()).device
        is_sharded = processes.size > 1 and config.parallel == "fsdp"
        self.eval_model = copy.deepcopy(model) if is_sharded else model
        self.model_with_loss = wrap_parallel(ModelWithLoss(model, config.label_smoothing), config.parallel, processes)
        self._stage = config.stage(1)
        self.optimizers = Optimizers(model, self._stage)
        self._splitter = MicrobatchSplitter(self.device, model.zero_grad, notify)
        self._sync: GradSync = "none" if processes.size == 1 else "all" if is_sharded else "last"

    def enter_stage(self, step: int) -> None:
        """Make the optimizers of the stage of a step, counted from 1, if it is not the stage that they are of."""
        if (stage := self.config.stage(step)) is not self._stage:
            self._stage = stage
            self.optimizers = Optimizers(self.model, stage)

    def run(self, batches: Sequence[Batch], rate: float) -> StepResult:
        """Take one optimizer step with the mean gradient over all target tokens or all pairs of the batches.

        `loss_per` chooses between them, and `clip_norm` bounds the norm of that gradient. Sutskever et al. 2014,
        Bahdanau et al. 2014 and Luong et al. 2015 divide by pairs: their bounds of 5, 1 and 5 hardly ever take effect
        with a gradient per token.

        Args:
            batches: This process's share of the batches of the step.
            rate: The learning rate as a share of its peak.
        """
        self.model.train()
        tokens = sum(batch.global_target_tokens for batch in batches)
        count = tokens if self.config.loss_per == "token" else sum(batch.global_pairs for batch in batches)
        scale = self.processes.size / count  # DDP and FSDP average gradients over processes
        losses = self._accumulate_gradients(batches, scale, self._sync)
        max_norm = self.config.clip_norm or math.inf
        norm_tensor = full_tensor(torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm))  # ()
        (loss,) = self.processes.sum(_total(losses))  # the first value that is read: until here, a GPU works on its own
        norm = norm_tensor.item()
        is_finite = math.isfinite(loss) and not self.processes.any(not math.isfinite(norm))
        if is_finite:
            self.optimizers.step(rate)
        return StepResult(loss / tokens, tokens, norm, is_finite)

    def _accumulate_gradients(self, batches: Sequence[Batch], scale: float, sync: GradSync) -> list[Tensor]:
        """Add up the gradients of the batches, each times `scale`; return the summed loss of each microbatch, ()."""
        losses: list[Tensor] = []
        for attempt in self._splitter.attempts(batches, sync):  # after out of memory again, with smaller microbatches
            with attempt:
                losses = []
                for microbatch, is_synced in attempt:
                    losses.append(self._forward_backward(microbatch.to(self.device), scale, is_synced))
        return losses

    def _forward_backward(self, batch: Batch, scale: float, is_synced: bool) -> Tensor:
        # A function, so that its tensors are freed before the next attempt after an out-of-memory error.
        is_bfloat16 = self.config.precision == "bfloat16"
        with grad_sync(self.model_with_loss, enabled=is_synced):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=is_bfloat16, cache_enabled=False):
                loss: Tensor = self.model_with_loss(
                    batch.source, batch.target_in, batch.target_out, batch.target_tokens
                )  # ()
            (loss * scale).backward()
        return loss.detach()

    def probe(self, batches: Sequence[Batch]) -> list[BatchProbe]:
        """Run forward and backward of each batch without changing anything, to learn which batches fit in memory."""
        self.model.train()
        sync: GradSync = "all" if self._sync == "all" else "none"
        rng_state, probes = get_rng_state(self.device), []
        optimizer_memory = [torch.empty_like(p) for p in self.model.parameters() for _ in self._missing_moments()]
        for batch in batches:
            start = time.monotonic()
            _total(self._accumulate_gradients([batch], 1 / batch.global_target_tokens, sync))  # waits for a GPU
            probes.append(BatchProbe(batch, time.monotonic() - start, peak_memory(self.device)))
        del optimizer_memory
        self.model.zero_grad()
        set_rng_state(rng_state, self.device)
        return probes

    def _missing_moments(self) -> range:
        """Return a range over the tensors that the optimizer will allocate for each weight in its first step."""
        return range(0 if self.optimizers.state_dict() else 2)


def _total(losses: Sequence[Tensor]) -> float:
    """Return the sum of losses, each (), in float64."""
    total = 0.0
    for loss in losses:  # not sum(), which rounds differently from Python 3.12 on
        total += loss.item()
    return total
