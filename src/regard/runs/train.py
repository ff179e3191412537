"""Train a recipe into a run folder, and resume a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from regard.checkpoints.checkpoint import Checkpoint, load_metrics, save_checkpoint
from regard.checkpoints.run_folder import Finished, RunFolder
from regard.config.overrides import Overrides, to_overrides
from regard.config.placeholders import Placeholders, check_placeholders
from regard.config.recipe import read_config, resolve_paths, to_toml
from regard.config.schema import RunConfig
from regard.console import Say, say
from regard.contract import Seq2Seq
from regard.corpus.paths import check_files
from regard.data.loader import BatchSource, Position
from regard.errors import CheckpointError, RegardError, WorkerLost
from regard.html.notebook import render_output_table
from regard.models import ARCHITECTURES
from regard.runs.card.file import refresh_card
from regard.runs.card.record import TrainingRecord, current_versions
from regard.runs.confidence import calibrate_finished
from regard.runs.model_init import init_model
from regard.runs.preflight import disk_space_warning, estimate_checkpoint_bytes, format_probes, warmup_warning
from regard.runs.prepare import prepare
from regard.runs.prepared import Prepared
from regard.runs.resume import (
    check_same_data,
    extend_command,
    find_run,
    load_recipe,
    load_state,
    position_of,
    restore_recipe,
    verify_data,
)
from regard.runs.run_links import restore_links
from regard.runs.step_timing import resolve_precision
from regard.runs.validation import make_validator
from regard.runs.warm_start import fill_from_start, resolve_start
from regard.runtime import device_name, flush_denormals
from regard.training.distributed import ProcessGroup, init_distributed
from regard.training.microbatches import raise_on_oom
from regard.training.progress import ConsoleReporter
from regard.training.state import TrainingState
from regard.training.tensorboard import TensorBoard
from regard.training.timing import End
from regard.training.trainer import CheckpointEvent, Trainer
from regard.training.training_log import BestEffort, JsonLines, Reporter

PREPARING = "preparing the data: reading the corpus, learning the vocabulary, encoding the pairs"


ENDS: Mapping[End, str] = {
    "steps": "finished all steps",
    "epochs": "finished all epochs",
    "minutes": "reached the time limit",
    "rate": "stopped, because the learning rate has fallen below its minimum",
    "patience": "stopped early, because the dev score no longer improves",
    "interrupted": "stopped, and saved a checkpoint",
}


@dataclass(frozen=True)
class Result:
    """The result of training.

    Attributes:
        folder: The folder of the run.
        end: Why training has ended.
        step: The number of steps taken.
        scores: Dev scores of the best checkpoint.
        is_stopped: Whether Ctrl-C or a signal stopped training, or the fit of confidence after it.
    """

    folder: Path
    end: End
    step: int
    scores: Mapping[str, float]
    is_stopped: bool = False

    @property
    def summary(self) -> str:
        """Return why and when training has ended, and the best dev scores."""
        scores = "  ".join(f"{name} {value:.3f}" for name, value in self.scores.items())
        return f"{ENDS[self.end]}, at step {self.step:,}" + (f"; best on dev: {scores}" if scores else "")

    def __str__(self) -> str:
        return f"{self.folder}: {self.summary}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        scores = [(f"best {name} on dev", f"{value:.3f}") for name, value in self.scores.items()]
        end = f"{ENDS[self.end]}, at step {self.step:,}"
        return render_output_table([("run", str(self.folder)), ("end", end), *scores])


@dataclass(frozen=True)
class _Run:
    """A run that is ready to train: `state` is the one to continue from, None at the beginning."""

    folder: RunFolder
    config: RunConfig
    prepared: Prepared
    model: Seq2Seq
    state: TrainingState | None


def read_recipe(
    path: str | Path, overrides: Overrides = (), placeholders: Placeholders = MappingProxyType({})
) -> RunConfig:
    """Read a TOML recipe.

    If it has a [start], the model, the tokenizer and the languages that it leaves out are those of that checkpoint.

    Args:
        path: The file.
        overrides: `["train.seed=7", ...]`, or `{"train.seed": 7, ...}`.
        placeholders: The values of the placeholders `{NAME}` in texts of the recipe, such as `{"language": "tur"}`.

    Raises:
        ConfigError: The recipe or an override is not valid, or a placeholder has no value or is not in the recipe.
        CheckpointError: The checkpoint of [start] cannot be read.
    """
    check_placeholders(placeholders, "placeholders")
    return read_config(Path(path), ARCHITECTURES, to_overrides(overrides), fill_from_start, placeholders)


def train(config: RunConfig, out: str | Path | None = None, *, console: Console | None = None, ray: str = "") -> Result:
    """Train a recipe from the beginning.

    Under torchrun, all processes train the run together; a job that torchrun restarts resumes its own run.

    Args:
        config: The recipe.
        out: The folder of the run, which must not contain one yet. Default: see `default_folder`.
        console: Where to print messages and progress; standard error by default.
        ray: The address of a Ray cluster that encodes the corpus: HOST:PORT, `auto` for the one that runs on this
            machine, or `local` to start one; empty: the cores of this machine encode it.

    Raises:
        ConfigError: The recipe does not suit the corpus or the machine.
        DataError: The corpus cannot be read.
        CheckpointError: A checkpoint cannot be read or written.
        TrainingError: Training diverges or runs out of memory.
    """
    folder = RunFolder(Path(out) if out is not None else default_folder(config))
    config = resolve_start(resolve_paths(config))
    with flush_denormals(), init_distributed() as processes, ExitStack() as lock:
        console = _main_console(console, processes)
        is_restarted = processes.restarts > 0 and folder.recipe.is_file() and folder.job == processes.job
        if processes.broadcast(is_restarted):
            return resume(folder.path, console=console, ray=ray)
        start = partial(_start_run, folder, config, processes, lock, partial(say, console=console), ray)
        return _train_run(processes.main_process_first(start), processes, console)


def resume(
    folder: str | Path,
    overrides: Overrides = (),
    *,
    console: Console | None = None,
    quiet: bool = False,
    ray: str = "",
) -> Result:
    """Continue a run from its last checkpoint, or from the beginning if it has none yet.

    On a CPU and without overrides, the result is bit for bit that of a run that was never interrupted, unless the
    recipe limits or schedules training by time (train.max_minutes), or the number of processes changes.

    Args:
        folder: The folder of the run, or of one of its checkpoints, which then becomes the last one.
        overrides: `section.key=value` for keys that may change after a run has started (see regard.runs.resume), in a
            list, or as a mapping. They are written into the recipe of the run.
        console: Where to print messages and progress; standard error by default.
        quiet: Print nothing.
        ray: If the corpus is not prepared yet, the address of a Ray cluster that encodes it, as in `train`.

    Raises:
        ConfigError: An override is not valid.
        DataError: The prepared data is damaged.
        CheckpointError: A checkpoint cannot be read or written.
        TrainingError: Training diverges or runs out of memory.
    """
    with flush_denormals(), init_distributed() as processes, ExitStack() as lock:
        console = _main_console(Console(quiet=True) if quiet else console, processes)
        print_line = partial(say, console=console)
        load = partial(_load_run, Path(folder), to_overrides(overrides), processes, lock, print_line, ray)
        return _train_run(processes.main_process_first(load), processes, console)


def default_folder(config: RunConfig) -> Path:
    """Return for example runs/en-de-modern: languages and built-in corpus, if they are known, and the architecture."""
    data = config.data
    tuned = None if config.start is None else "tuned"
    parts = (data.source_language, data.target_language, data.corpus, config.model.architecture, tuned)
    return Path("runs") / "-".join(filter(None, parts))


def _main_console(console: Console | None, processes: ProcessGroup) -> Console:
    """Return the console to print on, which prints nothing unless this is the main process."""
    return console or Console(stderr=True) if processes.is_main else Console(quiet=True)


def _start_run(
    folder: RunFolder, config: RunConfig, processes: ProcessGroup, lock: ExitStack, say: Say, ray: str
) -> _Run:
    """Create the folder of a run in the main process, lock it until `lock` closes, and prepare the data."""
    device = processes.device(config.train.device)
    if not processes.is_main:
        return _prepare_run(folder, read_config(folder.recipe, ARCHITECTURES), processes, say, ray)
    check_files(config.data)
    RunFolder.create(folder.path)
    lock.enter_context(folder.lock(processes.job))
    config = resolve_precision(config, device, say)
    folder.begin(to_toml(config))
    try:
        return _prepare_run(folder, config, processes, say, ray)
    except WorkerLost:
        raise  # `resume` continues
    except RegardError:
        folder.abandon()  # so that the corrected recipe can use the folder
        raise


def _prepare_run(folder: RunFolder, config: RunConfig, processes: ProcessGroup, say: Say, ray: str) -> _Run:
    say(PREPARING)
    prepared = prepare(config, folder.data, say, ray=ray)
    return _Run(folder, config, prepared, init_model(config, folder.data, prepared, processes, say), None)


def _load_run(
    path: Path, overrides: Sequence[str], processes: ProcessGroup, lock: ExitStack, say: Say, ray: str
) -> _Run:
    """Load a run to resume; the main process locks its folder until `lock` closes, and verifies its data."""
    folder, checkpoint = find_run(path)
    if processes.is_main:
        lock.enter_context(folder.lock(processes.job))
        restore_links(folder, checkpoint, say)
        restore_recipe(folder, say)
    config = load_recipe(folder, overrides, checkpoint)
    processes.device(config.train.device)  # raises an error before anything is written
    state = load_state(folder, checkpoint)
    if processes.is_main:
        verify_data(folder, say)
        if overrides:
            folder.write_recipe(to_toml(config))
    prepared = prepare(config, folder.data, say, ray=ray)
    check_same_data(folder, prepared.train)
    return _Run(folder, config, prepared, init_model(config, folder.data, prepared, processes, say), state)


def _train_run(run: _Run, processes: ProcessGroup, console: Console) -> Result:
    """Train a run to its end."""
    config, folder, prepared, state = run.config, run.folder, run.prepared, run.state
    position = Position(0, 0) if state is None else position_of(state)
    loader = prepared.loader(config, position, rank=processes.rank, size=processes.size)
    say(_describe_start(run, loader, processes), console)
    writer = CheckpointWriter(config, folder, prepared)
    with _reporters(run, processes, console) as reporters:
        trainer = Trainer(
            run.model,
            loader,
            config.train,
            validate=make_validator(config, prepared, processes),
            save=writer.write,
            reporters=reporters,
            processes=processes,
        )
        if state is not None:
            trainer.load(state)
        _preflight(trainer, folder, partial(say, console=console))
        if processes.is_main:
            folder.mark_finished(None)
        with raise_on_oom("in training; the checkpoints are saved"):
            end = trainer.run()
    if processes.is_main and end != "interrupted":
        folder.mark_finished(Finished(end, trainer.progress.step, trainer.progress.seconds))
    best_scores, is_stopped = processes.broadcast(writer.best_scores), end == "interrupted"
    if processes.is_main:
        if not is_stopped:
            try:
                calibrate_finished(folder, prepared.dev, config.train.device, partial(say, console=console))
            except KeyboardInterrupt:  # training is complete
                is_stopped = True
        device = device_name(trainer.device)
        progress = trainer.progress
        record = TrainingRecord(end, progress.step, progress.seconds, device, processes.size, current_versions())
        refresh_card(folder, partial(say, console=console), record)
    return Result(folder.path, end, trainer.progress.step, best_scores, is_stopped)


def _describe_start(run: _Run, loader: BatchSource, processes: ProcessGroup) -> str:
    """Return a line on the size of the model and of an epoch, and on where training starts."""
    parameters = run.model.num_parameters
    parallel = f" in {processes.size} processes ({run.config.train.parallel})" if processes.size > 1 else ""
    batches = "" if loader.batches_per_epoch is None else f"{loader.batches_per_epoch:,} batches per epoch; "
    start = "from the beginning" if run.state is None else f"resuming at step {int(run.state.values['step']):,}"
    return f"{run.config.model.architecture}: {parameters:,} parameters{parallel}; {batches}{start}"


@contextmanager
def _reporters(run: _Run, processes: ProcessGroup, console: Console) -> Iterator[list[Reporter]]:
    """Yield what reports on training in the main process: the log, TensorBoard and the console."""
    if not processes.is_main:
        yield []
        return
    print_line = partial(say, console=console)
    step = 0 if run.state is None else int(run.state.values["step"])
    last_validated_step = 0 if run.state is None else int(run.state.values["judged"])
    log = JsonLines(run.folder.log, step, last_validated_step)
    if log.damaged:
        numbers = ", ".join(map(str, log.damaged))
        print_line(f"{run.folder.log}: removed damaged lines, which only reports and plots read: {numbers}")
    tensorboard = run.folder.path / "tensorboard"
    metric = run.config.train.metric
    reporters: list[Reporter] = [
        log,
        BestEffort("tensorboard", lambda: TensorBoard(tensorboard, step), print_line),
        BestEffort("the terminal", lambda: ConsoleReporter(console, metric), print_line),
    ]
    with ExitStack() as stack:
        for reporter in reporters:
            stack.callback(reporter.close)
        yield reporters


def _preflight(trainer: Trainer, run: RunFolder, say: Say) -> None:
    """Check before the first step that the largest batches fit, and that time and disk space suffice."""
    end = trainer.check_end()
    if end is not None:
        say(f"the run has reached its end; to continue it:  {extend_command(trainer.config, end, run.path)}")
        return
    say("trying the largest batches")
    probes = trainer.train_step.probe(trainer.loader.largest())
    say(format_probes(probes))
    warning = warmup_warning(trainer.config, probes, trainer.loader.batches_per_epoch)
    if warning and trainer.progress.step == 0:
        say(warning)
    if warning := disk_space_warning(run.path, estimate_checkpoint_bytes(trainer.model, trainer.config)):
        say(warning)


def _load_scores(checkpoint: Path | None) -> Mapping[str, float]:
    """Return the dev scores of a checkpoint; none if there is no checkpoint, or it is damaged."""
    if checkpoint is not None:
        with suppress(CheckpointError):
            return load_metrics(checkpoint)
    return {}


class CheckpointWriter:
    """Writes the checkpoints of a run, and updates its links `last` and `best`.

    Attributes:
        best_scores: Scores of the best checkpoint of the run; empty if it has none yet.
    """

    def __init__(self, config: RunConfig, folder: RunFolder, prepared: Prepared) -> None:
        self.best_scores: Mapping[str, float] = _load_scores(folder.best)
        self._config, self._folder, self._prepared = config, folder, prepared

    def write(self, event: CheckpointEvent) -> None:
        """Write a checkpoint, and remove those that are no longer needed."""
        self._folder.require_in_place()
        path = self._folder.checkpoint(event.step)
        contents = Checkpoint(
            self._config,
            self._prepared.tokenizers,
            event.model,
            event.step,
            self._prepared.train.fingerprint,
            dict(event.scores),
            self._prepared.multi_sentence_share,
        )
        save_checkpoint(path, contents, event.training)
        if event.best:  # before `last`: if the process is killed in between, this step and the link are repeated
            self._folder.set_best(path)
            self.best_scores = event.scores
        self._folder.set_last(path)
        self._folder.prune()
