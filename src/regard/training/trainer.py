"""The training loop.

It knows a model, a stream of batches and the time. How a model is judged and where a checkpoint
goes come in as two functions, so that it depends on neither search nor files.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from types import FrameType
from typing import Literal

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.corpus.corpus import LineOrigins
from regard.data.batch import Batch
from regard.data.loader import BatchSource
from regard.errors import TrainingError
from regard.runtime import handle_signals, keep_freed_memory, termination_signals
from regard.training.averaging import Weights, copy_weights, make_average, select_prefix, set_weights
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup
from regard.training.divergence import DivergenceMonitor, refuse_non_finite
from regard.training.microbatches import describe_lines, raise_on_oom
from regard.training.rng import get_rng_state, get_rng_states, seed_per_rank, set_rng_state, set_rng_states
from regard.training.schedule import rate_factor
from regard.training.state import TrainingState
from regard.training.step import StepResult, TrainStep
from regard.training.training_log import Reporter, StepMetrics

Scores = Mapping[str, float]
End = Literal["steps", "minutes", "patience", "interrupted"]

SMOOTHING = 0.95  # of the loss and the speed that are shown


@dataclass(frozen=True)
class CheckpointEvent:
    """What a checkpoint is made of; `model` holds the weights to be kept while it is saved."""

    model: Seq2Seq
    step: int
    scores: Scores  # empty where training was interrupted before they were taken
    best: bool  # better than every checkpoint before it
    training: TrainingState


@dataclass
class Progress:
    """What the loop has been through; all of it is saved."""

    step: int = 0
    judged: int = 0  # the step of the last checkpoint that was validated
    seconds: float = 0.0
    best: float | None = None
    since_best: int = 0


class _Stop(BaseException):
    """Raised into a validation, which need not be ended where training is to stop."""


class Trainer:
    """Trains a model until its steps, its minutes or its patience are over.

    validate: judges the model (in eval mode) by any scores, config.metric among them; the first process's count.
    save: keeps a checkpoint; called in the first process, with the averaged weights in the model.
    processes: with a trainer in each, of a model, a loader's share and a config alike.
    origins: what the batches' lines are of.
    """

    def __init__(
        self,
        model: Seq2Seq,
        loader: BatchSource,
        config: TrainConfig,
        *,
        validate: Callable[[Seq2Seq], Scores],
        save: Callable[[CheckpointEvent], None],
        reporters: Iterable[Reporter] = (),
        processes: ProcessGroup = SINGLE_PROCESS,
        origins: LineOrigins = LineOrigins(),
    ) -> None:
        self.model = model
        self.loader = loader
        self.config = config
        self.validate = validate
        self.save = save
        self.reporters = list(reporters)
        self.device = next(model.parameters()).device
        self.processes = processes
        self.train_step = TrainStep(model, config, processes, self._tell, origins)
        self.average = make_average(model, config)
        self.progress = Progress()
        self.health = DivergenceMonitor()
        self._asked_to_stop = False
        self._judging = False
        if processes.size > 1:
            seed_per_rank(config.seed, 0, processes)
        self._shown = _Shown()

    def run(self) -> End:
        """Train to the end; Ctrl-C, SIGTERM, SIGHUP or SIGQUIT saves a checkpoint and ends it early.

        Raises TrainingError.

        A validation that is going on then is given up, and made good first thing when the run is resumed.
        """
        keep_freed_memory()
        batches = iter(self.loader)
        resumed_seconds, began = self.progress.seconds, time.monotonic()
        with self._signals():
            while (end := self.end()) is None:
                if not self._due():
                    self._step(batches)
                    self.progress.seconds = resumed_seconds + time.monotonic() - began
                    self._report()
                if self._due():
                    self._checkpoint()
                    self.progress.seconds = resumed_seconds + time.monotonic() - began
            if end != "interrupted" and self.progress.step != self.progress.judged and not self._checkpoint():
                end = "interrupted"
            if end == "interrupted" and self.progress.step != self.progress.judged:
                self._save_as_is()
        return end

    def _due(self) -> bool:
        """Whether a checkpoint is."""
        past = self.progress
        return past.step > 0 and past.step % self.config.checkpoint_every == 0 and past.step != past.judged

    def end(self) -> End | None:
        """Why training is over, where it is."""
        config, past = self.config, self.progress
        stop, past.seconds = self.processes.sum(self._asked_to_stop, past.seconds if self.processes.is_main else 0.0)
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
        by_steps = self.progress.step / self.config.max_steps
        by_time = 0.0 if self.config.max_minutes is None else self.progress.seconds / (60 * self.config.max_minutes)
        return max(by_steps, by_time)

    def _step(self, batches: Iterator[Batch]) -> None:
        began = time.monotonic()
        rate = rate_factor(self.config, self.progress.step + 1, self._progress())
        taken = [next(batches) for _ in range(self.config.accumulate)]
        done = self.train_step.step(taken, rate)
        if done.is_finite:
            self.average.after_step()
        at = f"step {self.progress.step + 1:,}, at a learning rate of {rate * self.config.learning_rate:.3g}"
        try:
            self._note(done, taken, at)
        except TrainingError as error:
            raise self.processes.report_once(error) from None
        self.progress.step += 1
        speed = done.tokens / (time.monotonic() - began)
        self._shown.add(done.loss, speed, rate * self.config.learning_rate)

    def _note(self, done: StepResult, taken: Sequence[Batch], at: str) -> None:
        if done.is_finite:
            warm = self.progress.step >= self.config.warmup_steps
            self.health.record_finite(done.loss, self.model.decoder.vocabulary_size, warm=warm, at=at)
        else:
            lines = "; ".join(describe_lines(batch, self.train_step.origins) for batch in taken)
            if told := self.health.record_nonfinite(done.loss, done.norm, lines, at=at):
                self._tell(told)

    def _tell(self, text: str) -> None:
        for reporter in self.reporters:
            reporter.on_notice(self.progress.step, text)

    def _checkpoint(self) -> bool:
        """Average, judge, keep; False where it was asked to stop before there was a judgement: nothing is done then.

        Raises TrainingError where a weight is NaN or infinite: nothing is done then either.
        """
        raw = copy_weights(self.model)
        judged = self._judged(self._finite_mean(raw))
        try:
            scores = self._judge(judged)
        except TrainingError:
            if self.processes.size == 1:  # others would be waited for
                set_weights(self.model, raw)
                self._save_as_is()
            raise
        if scores is None:
            set_weights(judged, raw)
            return False
        scores = self.processes.broadcast(scores)
        self.average.add(raw)
        self.progress.judged = self.progress.step
        value = scores[self.config.metric]
        ordered = -value if self.config.metric == "loss" else value
        best = not math.isnan(ordered) and (self.progress.best is None or ordered > self.progress.best)
        if best:
            self.progress.best, self.progress.since_best = ordered, 0
        else:
            self.progress.since_best += 1
        for reporter in self.reporters:  # first: what is logged too early is taken back at a resume
            reporter.on_checkpoint(self.progress.step, scores, best)
        self._keep(scores, best, raw)
        return True

    def _judge(self, model: Seq2Seq) -> Scores | None:
        """What validation finds of a model; None where a signal came before its end.

        Raises TrainingError where it does not fit in memory.
        """
        random = get_rng_state(self.device)
        try:
            self._judging = True
            try:
                with raise_on_oom(f"for the validation at step {self.progress.step:,}, before which all was saved"):
                    return self.validate(model)
            finally:
                self._judging = False
        except _Stop:
            return None
        finally:
            set_rng_state(random, self.device)

    def _save_as_is(self) -> None:
        """Keep what there is between two checkpoints, changing nothing of how training goes on."""
        raw = copy_weights(self.model)
        self._judged(self._finite_mean(raw))
        self._keep({}, False, raw)

    def _finite_mean(self, raw: Weights) -> Weights:
        """Return the weights to keep. Raise TrainingError where one of them, or of `raw`, is NaN or infinite."""
        mean = self.average.mean(raw)
        try:
            for weights in (raw, mean):
                refuse_non_finite(weights, at=f"step {self.progress.step:,}")
        except TrainingError as error:
            raise self.processes.report_once(error) from None
        return mean

    def _judged(self, weights: Weights) -> Seq2Seq:
        """The model with other weights, in eval mode."""
        set_weights(self.train_step.judged, weights)
        return self.train_step.judged.eval()

    def _keep(self, scores: Scores, best: bool, raw: Weights) -> None:
        """Save what is in the judged model, and give training its own weights back."""
        saved = CheckpointEvent(self.train_step.judged, self.progress.step, scores, best, self._state(raw))
        if self.processes.is_main:
            self.save(saved)
        self.processes.wait()  # whoever ends has a whole checkpoint behind it
        set_weights(self.train_step.judged, raw)

    def _state(self, raw: Weights) -> TrainingState:
        past, position = self.progress, self.loader.position
        tensors = {f"weights/{name}": tensor for name, tensor in raw.items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in self.train_step.optimizers.tensors().items()}
        held, average = self.average.tensors(raw)
        tensors |= {f"window/{name}": tensor for name, tensor in held.items()}
        draws, drawers = get_rng_states(self.device, self.processes)
        tensors |= {f"random/{name}": state for name, state in draws.items()}
        values = {
            "step": past.step,
            "judged": past.judged,
            "seconds": past.seconds,
            "best": past.best,
            "since_best": past.since_best,
            **asdict(self.health),
            **average,
            **drawers,
            "epoch": position.epoch,
            "batch": position.batch,
            "pool": position.pool,
        }
        return TrainingState(tensors, values)

    def load(self, state: TrainingState) -> None:
        """Go on from a saved state; the loader must have been made at its position."""
        values = state.values
        set_weights(self.model, select_prefix("weights/", state.tensors))
        self.train_step.optimizers.load(select_prefix("optimizer/", state.tensors))
        self.average.load(select_prefix("window/", state.tensors), values, copy_weights(self.model))
        self.progress.step, self.progress.judged, self.progress.seconds = (
            values["step"],
            values["judged"],
            values["seconds"],
        )
        self.progress.best, self.progress.since_best = values["best"], values["since_best"]
        remembered = {field.name: values[field.name] for field in fields(DivergenceMonitor) if field.name in values}
        self.health = DivergenceMonitor(**remembered)  # earlier versions saved less of it
        set_rng_states(select_prefix("random/", state.tensors), values, self.config.seed, self.device, self.processes)

    def _report(self) -> None:
        past, config, shown = self.progress, self.config, self._shown
        share = max(self._progress(), 1e-9)
        progress = StepMetrics(
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
        """The first Ctrl-C, SIGTERM, SIGHUP or SIGQUIT asks the loop to stop; a second Ctrl-C stops at once.

        Not so under torchrun, which hands them on to one process after the other, and again to one that heard a
        Ctrl-C itself: from the first on, nothing keeps such a process from its end.
        """

        def ask(number: int, _: FrameType | None) -> None:
            self._asked_to_stop = True
            if not self.processes.job:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._judging and self.processes.size == 1:  # not where others judge along
                self._judging = False
                raise _Stop

        def has_ended_alone() -> bool:
            return not (self._asked_to_stop and self.processes.job)

        with handle_signals([signal.SIGINT, *termination_signals()], ask, restore=has_ended_alone):
            yield


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
