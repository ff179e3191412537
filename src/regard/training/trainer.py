"""The training loop.

It knows a model, a stream of batches and the time. How a model is judged and where a checkpoint
goes come in as two functions, so that it depends on neither search nor files.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

import torch

from regard.allocator import keep_freed_memory
from regard.config import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.data.loader import Loader
from regard.errors import TrainingError
from regard.training.average import Weights, average_of, set_weights, under, weights_of
from regard.training.log import Progress, Reporter
from regard.training.schedule import rate_factor
from regard.training.state import TrainingState
from regard.training.step import Stepper

Scores = Mapping[str, float]
End = Literal["steps", "minutes", "patience", "interrupted"]

BAD_STEPS = 20  # gradients that are no numbers, one after another, before training gives up
SMOOTHING = 0.95  # of the loss and the speed that are shown


@dataclass(frozen=True)
class Saved:
    """What a checkpoint is made of; the model holds the weights to be kept while it is saved."""

    step: int
    scores: Scores  # empty where training was interrupted before they were taken
    best: bool  # better than every checkpoint before it
    training: TrainingState


@dataclass
class _Past:
    """What the loop has been through; all of it is saved."""

    step: int = 0
    judged: int = 0  # the step of the last checkpoint that was validated
    seconds: float = 0.0
    best: float | None = None
    since_best: int = 0
    bad_steps: int = 0


class Trainer:
    """Trains a model until its steps, its minutes or its patience are over.

    validate: judges the model (in eval mode) by any scores, config.metric among them.
    save: keeps a checkpoint; called with the averaged weights in the model.
    """

    def __init__(
        self,
        model: Seq2Seq,
        loader: Loader,
        config: TrainConfig,
        *,
        validate: Callable[[Seq2Seq], Scores],
        save: Callable[[Saved], None],
        reporters: Iterable[Reporter] = (),
    ) -> None:
        self.model = model
        self.loader = loader
        self.config = config
        self.validate = validate
        self.save = save
        self.reporters = list(reporters)
        self.device = next(model.parameters()).device
        self.stepper = Stepper(model, config)
        self.average = average_of(model, config)
        self.past = _Past()
        self._asked_to_stop = False
        self._shown = _Shown()

    def run(self) -> End:
        """Train to the end; Ctrl-C or SIGTERM saves a checkpoint and ends it early. Raises TrainingError."""
        keep_freed_memory()
        batches = iter(self.loader)
        resumed_seconds, began = self.past.seconds, time.monotonic()
        with self._signals():
            while True:
                end = self._end()
                if end is not None:
                    break
                self._step(batches)
                self.past.seconds = resumed_seconds + time.monotonic() - began
                self._report()
                if self.past.step % self.config.checkpoint_every == 0:
                    self._checkpoint()
                    self.past.seconds = resumed_seconds + time.monotonic() - began
            if self.past.step != self.past.judged:
                if end == "interrupted":
                    self._save_as_is()
                else:
                    self._checkpoint()
        return end

    def _end(self) -> End | None:
        config, past = self.config, self.past
        if self._asked_to_stop:
            return "interrupted"
        if past.step >= config.max_steps:
            return "steps"
        if config.max_minutes is not None and past.seconds >= 60 * config.max_minutes:
            return "minutes"
        if config.patience and past.since_best >= config.patience:
            return "patience"
        return None

    def _progress(self) -> float:
        by_steps = self.past.step / self.config.max_steps
        by_time = 0.0 if self.config.max_minutes is None else self.past.seconds / (60 * self.config.max_minutes)
        return max(by_steps, by_time)

    def _step(self, batches: Iterator[Batch]) -> None:
        began = time.monotonic()
        rate = rate_factor(self.config, self.past.step + 1, self._progress())
        done = self.stepper.step([next(batches) for _ in range(self.config.accumulate)], rate)
        if done.sound:
            self.average.after_step()
        self._count(sound=done.sound)
        self.past.step += 1
        speed = done.tokens / (time.monotonic() - began)
        self._shown.add(done.loss, speed, rate * self.config.learning_rate)

    def _count(self, *, sound: bool) -> None:
        self.past.bad_steps = 0 if sound else self.past.bad_steps + 1
        if self.past.bad_steps >= BAD_STEPS:
            raise TrainingError(
                f"the loss or its gradient was no number in the {BAD_STEPS} steps up to {self.past.step + 1}",
                fix="lower train.learning_rate or raise train.warmup_steps, and resume from the last checkpoint",
            )

    def _checkpoint(self) -> None:
        """Average, judge, keep."""
        raw = weights_of(self.model)
        self.average.add(raw)
        self.past.judged = self.past.step
        set_weights(self.model, self.average.mean())
        self.model.eval()
        scores = self.validate(self.model)
        value = scores[self.config.metric]
        ordered = -value if self.config.metric == "loss" else value
        best = not math.isnan(ordered) and (self.past.best is None or ordered > self.past.best)
        if best:
            self.past.best, self.past.since_best = ordered, 0
        else:
            self.past.since_best += 1
        for reporter in self.reporters:  # first: what is logged too early is taken back at a resume
            reporter.on_checkpoint(self.past.step, scores, best)
        self.save(Saved(self.past.step, scores, best, self._state(raw)))
        set_weights(self.model, raw)

    def _save_as_is(self) -> None:
        """Keep what there is between two checkpoints, changing nothing of how training goes on."""
        raw = weights_of(self.model)
        set_weights(self.model, self.average.mean(raw))
        self.model.eval()
        self.save(Saved(self.past.step, {}, False, self._state(raw)))
        set_weights(self.model, raw)

    def _state(self, raw: Weights) -> TrainingState:
        past, position = self.past, self.loader.position
        tensors = {f"weights/{name}": tensor for name, tensor in raw.items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in self.stepper.optimizers.tensors().items()}
        held, average = self.average.tensors(raw)
        tensors |= {f"window/{name}": tensor for name, tensor in held.items()}
        tensors["random/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.device)
        values = {
            "step": past.step,
            "judged": past.judged,
            "seconds": past.seconds,
            "best": past.best,
            "since_best": past.since_best,
            "bad_steps": past.bad_steps,
            **average,
            "epoch": position.epoch,
            "batch": position.batch,
        }
        return TrainingState(tensors, values)

    def load(self, state: TrainingState) -> None:
        """Go on from a saved state; the loader must have been made at its position."""
        values = state.values
        set_weights(self.model, under("weights/", state.tensors))
        self.stepper.optimizers.load(under("optimizer/", state.tensors))
        self.average.load(under("window/", state.tensors), values, weights_of(self.model))
        self.past.step, self.past.judged, self.past.seconds = values["step"], values["judged"], values["seconds"]
        self.past.best, self.past.since_best = values["best"], values["since_best"]
        self.past.bad_steps = values["bad_steps"]
        torch.set_rng_state(state.tensors["random/cpu"].cpu())
        if self.device.type == "cuda" and "random/cuda" in state.tensors:
            torch.cuda.set_rng_state(state.tensors["random/cuda"].cpu(), self.device)

    def _report(self) -> None:
        past, config, shown = self.past, self.config, self._shown
        share = max(self._progress(), 1e-9)
        progress = Progress(
            step=past.step,
            max_steps=config.max_steps,
            epoch=self.loader.position.epoch,
            loss=shown.loss,
            tokens_per_second=shown.speed,
            learning_rate=shown.rate,
            seconds=past.seconds,
            seconds_left=past.seconds * max(0.0, 1 - share) / share,
        )
        for reporter in self.reporters:
            reporter.on_step(progress)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM asks the loop to stop; a second Ctrl-C stops at once."""

        def ask(number: int, _: FrameType | None) -> None:
            self._asked_to_stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: signals are somebody else's
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class _Shown:
    """Running means for the eye."""

    loss: float = math.nan
    speed: float = math.nan
    rate: float = 0.0

    def add(self, loss: float, speed: float, rate: float) -> None:
        old = math.isnan(self.loss)
        self.loss = loss if old else SMOOTHING * self.loss + (1 - SMOOTHING) * loss
        self.speed = speed if old else SMOOTHING * self.speed + (1 - SMOOTHING) * speed
        self.rate = rate
