"""The training loop.

It needs a model, a source of batches and a time limit. How to validate and where to save are passed in as functions,
so that training depends on neither decoding nor file formats.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq
from regard.data.batch import Batch
from regard.data.loader import BatchSource
from regard.errors import TrainingError
from regard.runtime import handle_signals, keep_freed_memory, termination_signals
from regard.training.averaging import Weights, copy_weights, make_average, select_prefix, set_weights
from regard.training.distributed import SINGLE_PROCESS, ProcessGroup
from regard.training.divergence import DivergenceMonitor, check_finite
from regard.training.microbatches import describe_lines, raise_on_oom
from regard.training.plateau import PlateauMonitor
from regard.training.rng import get_rng_state, get_rng_states, seed_per_rank, set_rng_state, set_rng_states
from regard.training.state import TrainingState
from regard.training.step import StepResult, TrainStep
from regard.training.timing import End, Progress, RunningMeans, Timing
from regard.training.training_log import Reporter, StepMetrics

Scores = Mapping[str, float]


@dataclass(frozen=True)
class CheckpointEvent:
    """What to save in a checkpoint.

    Attributes:
        model: Holds the averaged weights until `save` returns.
        step: The number of steps taken.
        scores: The dev scores; empty if training was interrupted before they were computed.
        best: Whether this checkpoint scores better than all before it.
        training: The state to resume from.
    """

    model: Seq2Seq
    step: int
    scores: Scores
    best: bool
    training: TrainingState


class StopValidation(BaseException):
    """Raised inside a validation to abandon it when training is to stop."""


class Trainer:
    """Trains a model until it reaches its step limit, its time limit, or the end of its patience.

    Args:
        model: The model to train, on its device.
        loader: The source of batches; with several processes, of this process's share of each batch.
        config: The [train] section of the recipe.
        validate: Returns the dev scores of a model in eval mode, `config.metric` among them. Every process calls it,
            and the scores of the main process count.
        save: Writes a checkpoint. Called in the main process, while the model holds the averaged weights.
        reporters: Notified after each step and each checkpoint.
        processes: The processes that train the model together, each with its own trainer.
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
    ) -> None:
        self.model = model
        self.loader = loader
        self.config = config
        self.validate = validate
        self.save = save
        self.reporters = list(reporters)
        self.device = next(model.parameters()).device
        self.processes = processes
        self.train_step = TrainStep(model, config, processes, self._notify)
        self.average = make_average(model, config)
        self.progress = Progress()
        self.divergence = DivergenceMonitor()
        self.timing = Timing(config, loader)
        self._is_stopping = False
        self._is_validating = False
        if processes.size > 1:
            seed_per_rank(config.seed, 0, processes)
        self._means = RunningMeans()

    def run(self) -> End:
        """Train to the end and return why training has ended.

        Ctrl-C, SIGTERM, SIGHUP or SIGQUIT saves a checkpoint and ends training early. A validation that is running is
        abandoned, and is the first thing done when the run is resumed.

        Raises:
            TrainingError: If training diverges or runs out of memory.
        """
        keep_freed_memory()
        batches = iter(self.loader)
        seconds_before, start = self.progress.seconds, time.monotonic()
        with self._handle_signals():
            while (end := self.check_end()) is None:
                if not self.timing.is_checkpoint_due(self.progress):
                    self._step(batches)
                    self.progress.seconds = seconds_before + time.monotonic() - start
                    self._report_step()
                if self.timing.is_checkpoint_due(self.progress):
                    self._checkpoint()
                    self.progress.seconds = seconds_before + time.monotonic() - start
            is_validated = self.progress.step == self.progress.last_validated_step
            if end != "interrupted" and not is_validated and not self._checkpoint():
                end = "interrupted"
            if end == "interrupted" and self.progress.step != self.progress.last_validated_step:
                self._save_unvalidated()
        return end

    def _step(self, batches: Iterator[Batch]) -> None:
        start = time.monotonic()
        step = self.progress.step + 1
        self.train_step.enter_stage(step)
        peak = self.config.stage(step).learning_rate
        rate = self.timing.rate_factor(step, self.progress)
        step_batches = [next(batches) for _ in range(self.config.accumulate)]
        result = self.train_step.run(step_batches, rate)
        if result.is_finite:
            self.average.after_step()
        where = f"step {step:,}, at a learning rate of {rate * peak:.3g}"
        try:
            self._check_divergence(result, step_batches, where)
        except TrainingError as error:
            raise self.processes.report_once(error) from None
        self.progress.step = step
        speed = result.tokens / (time.monotonic() - start)
        self._means.add(result.loss, speed, rate * peak)

    def _check_divergence(self, result: StepResult, batches: Sequence[Batch], where: str) -> None:
        if result.is_finite:
            is_warm = self.progress.step >= self.config.warmup_steps
            self.divergence.record_finite(result.loss, self.model.decoder.vocabulary_size, is_warm=is_warm, where=where)
        else:
            lines = "; ".join(describe_lines(batch) for batch in batches)
            notice = self.divergence.record_nonfinite(result.loss, result.norm, lines, where=where)
            if notice is not None:
                self._notify(notice)

    def _notify(self, text: str) -> None:
        for reporter in self.reporters:
            reporter.on_notice(self.progress.step, text)

    def _report_step(self) -> None:
        progress, means = self.progress, self._means
        fraction = max(self.timing.fraction_done(self.progress), 1e-9)
        metrics = StepMetrics(
            step=progress.step,
            max_steps=self.config.max_steps,
            epoch=self.loader.position.epoch,
            loss=means.loss,
            tokens_per_second=means.speed,
            learning_rate=means.rate,
            seconds=progress.seconds,
            seconds_left=progress.seconds * max(0.0, 1 - fraction) / fraction,
        )
        for reporter in self.reporters:
            reporter.on_step(metrics)

    def check_end(self) -> End | None:
        """Return why training has ended, None if it has not; with several processes, all must call this together."""
        progress = self.progress
        seconds = progress.seconds if self.processes.is_main else 0.0
        is_stopping, progress.seconds = self.processes.sum(self._is_stopping, seconds)
        if is_stopping:
            self._is_stopping = True
            return "interrupted"
        return self.timing.find_end(progress)

    def _checkpoint(self) -> bool:
        """Average the weights, validate and save; return False, with nothing changed, if validation was interrupted.

        Raises:
            TrainingError: If a weight is NaN or infinite; nothing is saved then.
        """
        raw = copy_weights(self.model)
        model = self._load_eval_model(self._finite_mean(raw))
        try:
            scores = self._validate(model)
        except TrainingError:
            if self.processes.size == 1:  # saving would wait for the others
                set_weights(self.model, raw)
                self._save_unvalidated()
            raise
        if scores is None:
            set_weights(model, raw)
            return False
        scores = self.processes.broadcast(scores)
        self.average.add(raw)
        self.progress.last_validated_step = self.progress.step
        self.progress.last_validated_epoch = self.loader.position.epoch
        self.timing.record_scores(scores, self.progress.step)
        best = self._update_best(scores)
        for reporter in self.reporters:  # before saving: a resumed run drops log entries that are too new
            reporter.on_checkpoint(self.progress.step, scores, best)
        self._save(scores, best, raw)
        return True

    def _update_best(self, scores: Scores) -> bool:
        """Record the scores of a checkpoint; return whether they are the best so far."""
        score = -scores["loss"] if self.config.metric == "loss" else scores[self.config.metric]
        progress = self.progress
        best = not math.isnan(score) and (progress.best_score is None or score > progress.best_score)
        if best:
            progress.best_score, progress.checkpoints_since_best = score, 0
        else:
            progress.checkpoints_since_best += 1
        return best

    def _validate(self, model: Seq2Seq) -> Scores | None:
        """Return the dev scores of a model; None if a signal interrupted the validation.

        Raises:
            TrainingError: If the validation runs out of memory.
        """
        rng_state = get_rng_state(self.device)
        purpose = f"in the validation at step {self.progress.step:,}; the checkpoints are saved"
        try:
            self._is_validating = True
            try:
                with raise_on_oom(purpose):
                    return self.validate(model)
            finally:
                self._is_validating = False
        except StopValidation:
            return None
        finally:
            set_rng_state(rng_state, self.device)

    def _save_unvalidated(self) -> None:
        """Save a checkpoint between two validations; how training continues does not change."""
        raw = copy_weights(self.model)
        self._load_eval_model(self._finite_mean(raw))
        self._save({}, False, raw)

    def _finite_mean(self, raw: Weights) -> Weights:
        """Return the averaged weights.

        Raises:
            TrainingError: If a weight among them or in `raw` is NaN or infinite.
        """
        mean = self.average.mean(raw)
        try:
            for weights in (raw, mean):
                check_finite(weights, where=f"step {self.progress.step:,}")
        except TrainingError as error:
            raise self.processes.report_once(error) from None
        return mean

    def _load_eval_model(self, weights: Weights) -> Seq2Seq:
        """Return the model for validation, in eval mode, with the given weights."""
        set_weights(self.train_step.eval_model, weights)
        return self.train_step.eval_model.eval()

    def _save(self, scores: Scores, best: bool, raw: Weights) -> None:
        """Save the weights in the eval model, then load the raw weights again to continue training."""
        model = self.train_step.eval_model
        event = CheckpointEvent(model, self.progress.step, scores, best, self._state(raw))
        if self.processes.is_main:
            self.save(event)
        self.processes.wait()  # no process ends before the checkpoint is complete
        set_weights(model, raw)

    def _state(self, raw: Weights) -> TrainingState:
        """Return everything needed to resume; the keys are those of state.safetensors and state.json."""
        progress, position = self.progress, self.loader.position
        average_tensors, average_values = self.average.state(raw)
        rng_tensors, rng_values = get_rng_states(self.device, self.processes)
        groups = {
            "weights": raw,
            "optimizer": self.train_step.optimizers.state_dict(),
            "window": average_tensors,
            "random": rng_tensors,
        }
        values = {
            "step": progress.step,
            "judged": progress.last_validated_step,
            "validated_epoch": progress.last_validated_epoch,
            "seconds": progress.seconds,
            "best": progress.best_score,
            "since_best": progress.checkpoints_since_best,
            **self.divergence.state_dict(),
            **self.timing.plateau.state_dict(),
            **average_values,
            **rng_values,
            "epoch": position.epoch,
            "batch": position.batch,
            "pool": position.pool,
        }
        tensors = {f"{group}/{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
        return TrainingState(tensors, values)

    def load(self, state: TrainingState) -> None:
        """Continue from a saved state; the loader must have been created at its position."""
        tensors, values = state.tensors, state.values
        set_weights(self.model, select_prefix("weights/", tensors))
        self.train_step.enter_stage(values["step"])
        self.train_step.optimizers.load_state_dict(select_prefix("optimizer/", tensors))
        self.average.load_state(select_prefix("window/", tensors), values, copy_weights(self.model))
        self.progress = Progress(
            step=values["step"],
            last_validated_step=values["judged"],
            last_validated_epoch=values.get("validated_epoch", values["epoch"]),
            seconds=values["seconds"],
            best_score=values["best"],
            checkpoints_since_best=values["since_best"],
        )
        self.divergence = DivergenceMonitor.from_state_dict(values)
        self.timing.plateau = PlateauMonitor.from_state_dict(values, self.config.stage_start(values["step"]))
        set_rng_states(select_prefix("random/", tensors), values, self.config.seed, self.device, self.processes)

    @contextmanager
    def _handle_signals(self) -> Iterator[None]:
        """Stop after the current step on Ctrl-C, SIGTERM, SIGHUP or SIGQUIT; a second Ctrl-C stops at once.

        torchrun forwards signals to one process after another, and a process may receive Ctrl-C twice. Under torchrun
        all signals after the first are therefore ignored, until the process has ended.
        """

        def stop(number: int, _: FrameType | None) -> None:
            self._is_stopping = True
            if not self.processes.job:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._is_validating and self.processes.size == 1:  # others would wait for this one's share
                self._is_validating = False
                raise StopValidation

        def may_restore() -> bool:
            return not (self._is_stopping and self.processes.job)

        with handle_signals([signal.SIGINT, *termination_signals()], stop, restore=may_restore):
            yield
