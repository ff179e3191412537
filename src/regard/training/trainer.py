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

from regard.allocator import keep_freed_memory
from regard.config import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.data.loader import Loader
from regard.errors import TrainingError
from regard.training.average import Weights, average_of, set_weights, under, weights_of
from regard.training.draws import draw_apart, restore, states
from regard.training.log import Progress, Reporter
from regard.training.processes import ALONE, Processes
from regard.training.schedule import rate_factor
from regard.training.state import TrainingState
from regard.training.step import Stepper

Scores = Mapping[str, float]
End = Literal["steps", "minutes", "patience", "interrupted"]

BAD_STEPS = 20  # gradients that are no numbers, one after another, before training gives up
SMOOTHING = 0.95  # of the loss and the speed that are shown


@dataclass(frozen=True)
class Saved:
    """What a checkpoint is made of; `model` holds the weights to be kept while it is saved."""

    model: Seq2Seq
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

    validate: judges the model (in eval mode) by any scores, config.metric among them; the first process's count.
    save: keeps a checkpoint; called in the first process, with the averaged weights in the model.
    processes: with a trainer in each, of a model, a loader's share and a config alike.
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
        processes: Processes = ALONE,
    ) -> None:
        self.model = model
        self.loader = loader
        self.config = config
        self.validate = validate
        self.save = save
        self.reporters = list(reporters)
        self.device = next(model.parameters()).device
        self.processes = processes
        self.stepper = Stepper(model, config, processes)
        self.average = average_of(model, config)
        self.past = _Past()
        self._asked_to_stop = False
        if processes.size > 1:
            draw_apart(config.seed, 0, processes)
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
        stop, past.seconds = self.processes.sum(self._asked_to_stop, past.seconds if self.processes.first else 0.0)
        if stop:
            self._asked_to_stop = True
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
            error = TrainingError(
                f"the loss or its gradient was no number in the {BAD_STEPS} steps up to {self.past.step + 1}",
                fix="lower train.learning_rate or raise train.warmup_steps, and resume from the last checkpoint",
            )
            raise self.processes.told_once(error)

    def _checkpoint(self) -> None:
        """Average, judge, keep."""
        raw = weights_of(self.model)
        self.average.add(raw)
        self.past.judged = self.past.step
        scores = self.processes.from_first(self.validate(self._judged(self.average.mean())))
        value = scores[self.config.metric]
        ordered = -value if self.config.metric == "loss" else value
        best = not math.isnan(ordered) and (self.past.best is None or ordered > self.past.best)
        if best:
            self.past.best, self.past.since_best = ordered, 0
        else:
            self.past.since_best += 1
        for reporter in self.reporters:  # first: what is logged too early is taken back at a resume
            reporter.on_checkpoint(self.past.step, scores, best)
        self._keep(scores, best, raw)

    def _save_as_is(self) -> None:
        """Keep what there is between two checkpoints, changing nothing of how training goes on."""
        raw = weights_of(self.model)
        self._judged(self.average.mean(raw))
        self._keep({}, False, raw)

    def _judged(self, weights: Weights) -> Seq2Seq:
        """The model with other weights, in eval mode."""
        set_weights(self.stepper.judged, weights)
        return self.stepper.judged.eval()

    def _keep(self, scores: Scores, best: bool, raw: Weights) -> None:
        """Save what is in the judged model, and give training its own weights back."""
        saved = Saved(self.stepper.judged, self.past.step, scores, best, self._state(raw))
        if self.processes.first:
            self.save(saved)
        self.processes.wait()  # whoever ends has a whole checkpoint behind it
        set_weights(self.stepper.judged, raw)

    def _state(self, raw: Weights) -> TrainingState:
        past, position = self.past, self.loader.position
        tensors = {f"weights/{name}": tensor for name, tensor in raw.items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in self.stepper.optimizers.tensors().items()}
        held, average = self.average.tensors(raw)
        tensors |= {f"window/{name}": tensor for name, tensor in held.items()}
        draws, drawers = states(self.device, self.processes)
        tensors |= {f"random/{name}": state for name, state in draws.items()}
        values = {
            "step": past.step,
            "judged": past.judged,
            "seconds": past.seconds,
            "best": past.best,
            "since_best": past.since_best,
            "bad_steps": past.bad_steps,
            **average,
            **drawers,
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
        restore(under("random/", state.tensors), values, self.config.seed, self.device, self.processes)

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
        """The first Ctrl-C or SIGTERM asks the loop to stop; a second Ctrl-C stops at once.

        Not so under torchrun, which hands them on to one process after the other, and again to one that heard a
        Ctrl-C itself: from the first on, nothing keeps such a process from its end.
        """

        def ask(number: int, _: FrameType | None) -> None:
            self._asked_to_stop = True
            if not self.processes.job:
                signal.signal(signal.SIGINT, signal.default_int_handler)

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: signals are somebody else's
            yield
            return
        try:
            yield
        finally:
            if not (self._asked_to_stop and self.processes.job):
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
