"""`regard.improve`: improve a run with corrections of its translations, and accept the result only if it is better."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

from rich.console import Console

from regard.checkpoints.run_folder import RunFolder
from regard.config.recipe import parse_config
from regard.console import progress_bar, say, track
from regard.errors import CheckpointError, RegardError
from regard.html.notebook import render_output_table
from regard.models import ARCHITECTURES
from regard.runs.card.file import refresh_card
from regard.runs.confidence import calibrate_finished
from regard.runs.improvement import acceptance, replacement, selection
from regard.runs.improvement.options import ImprovementOptions, ImproveOptions
from regard.runs.improvement.preparation import begin, outputs
from regard.runs.improvement.record import Decision, Record, RecordFolder, made_by, read_pairs
from regard.runs.train import Result, resume, train


@dataclass(frozen=True, repr=False)
class Improvement:
    """The result of `regard.improve`.

    Attributes:
        folder: The folder of the new run.
        decision: Whether the new model is accepted, why, and the scores of both models.
        installed: The name of the new checkpoint in the old run, if it has replaced the old one.
    """

    folder: Path
    decision: Decision
    installed: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the new model is accepted."""
        return self.decision.accepted

    def __str__(self) -> str:
        verdict = "accepted" if self.accepted else "rejected"
        share = "" if self.decision.share == 1 else f", with {self.decision.share:.0%} of the change"
        return "\n".join([*acceptance.format_table(self.decision), f"{verdict}: {self.decision.reason}{share}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        rows = [tuple(line.split("  ")) for line in str(self).splitlines()]
        return render_output_table([tuple(cell.strip() for cell in row if cell.strip()) for row in rows])


def improve(run: str | Path, corrections: str | Path, **options: Unpack[ImproveOptions]) -> Improvement:
    """Fine-tune a run on corrections mixed with old pairs, and accept the new model only if it is better.

    One correction in five is held out. The new model is accepted if it is significantly better on these, and not worse
    on the dev set of the old run.

    Example:
        >>> result = regard.improve("runs/en-de", "corrections.sqlite", output="runs/better")
        >>> result.accepted
        True

    Args:
        run: The run to improve.
        corrections: A store of corrections, or a file with both sides in any format that training reads.
        options: See `ImproveOptions`.

    Raises:
        ConfigError: An option is not valid, or the run cannot be improved.
        DataError: The corrections cannot be read, are too few, or were all used before.
        CheckpointError: The run cannot be read, its old pairs cannot be found, or the new run cannot be written.
        TrainingError: Training diverges or runs out of memory.
        KeyboardInterrupt: Ctrl-C. `regard improve --resume` continues.
    """
    checked = ImprovementOptions.of(options)
    console = Console(quiet=True) if options.get("quiet") else options.get("console") or Console(stderr=True)
    output = options.get("output")
    folder = Path(output) if output is not None else default_output(Path(run))
    begin(Path(run), Path(corrections), folder, checked, partial(say, console=console))
    return resume_improvement(folder, console=console)


def default_output(run: Path) -> Path:
    """Return the first free folder of the names RUN-improved-1, RUN-improved-2 and so on."""
    return next(folder for folder in outputs(run) if not folder.exists())


def resume_improvement(folder: str | Path, *, console: Console | None = None) -> Improvement:
    """Continue an improvement that was interrupted: train, evaluate, decide, and replace if that was asked for.

    Raises:
        CheckpointError: The folder has no improvement, or a checkpoint cannot be read or written.
        TrainingError: Training diverges or runs out of memory.
        KeyboardInterrupt: Ctrl-C. Another call continues.
    """
    folder, console = Path(folder), console or Console(stderr=True)
    record_folder = made_by(folder)
    if not record_folder.exists:
        raise CheckpointError(
            "there is no improvement to continue", where=folder, fix="give a folder that `regard improve` has made"
        )
    with _resumed_by_improve(folder):
        return _resume(RunFolder(folder), record_folder, console)


@contextmanager
def _resumed_by_improve(folder: Path) -> Iterator[None]:
    """Let errors name the command that continues an improvement, instead of the one that only trains."""
    try:
        yield
    except RegardError as error:
        if error.fix:
            resume_command = f"`regard improve --resume {shlex.quote(str(folder))}`"
            error.fix = error.fix.replace("`regard train --resume`", resume_command)
        raise


def _resume(run: RunFolder, record_folder: RecordFolder, console: Console) -> Improvement:
    record = record_folder.read()
    if record.decision is None:
        _train(record, run, console)
        with run.lock():
            decision = _evaluate(run, record_folder, console)
            record = replace(record, decision=decision)
            record_folder.write(record)
            refresh_card(run, partial(say, console=console))
    assert record.decision is not None
    improvement = Improvement(run.path, record.decision, record.installed)
    say(str(improvement), console)
    if record.decision.accepted and record.replace and not record.installed:
        old = RunFolder(Path(record.run))
        name = replacement.install(old, run.best or _last(run), record_folder, record)
        record_folder.write(replace(record, installed=name))
        refresh_card(old, partial(say, console=console))
        improvement = replace(improvement, installed=name)
    return improvement


def _train(record: Record, run: RunFolder, console: Console) -> None:
    """Train the new run to its end, from the beginning or from its last checkpoint."""
    if not run.recipe.is_file() and run.last is None:
        config = parse_config(record.recipe, ARCHITECTURES, where=str(run.path))
        result: Result = train(config, run.path, console=console)
    elif run.finished is None:
        result = resume(run.path, console=console)
    else:
        return
    if result.is_stopped:
        raise KeyboardInterrupt


def _evaluate(run: RunFolder, folder: RecordFolder, console: Console) -> Decision:
    tags = folder.read().tags
    corrections, dev = read_pairs(folder.held_out, tags), read_pairs(folder.old_dev, tags)
    with progress_bar(console) as bar:

        def show(texts: Iterable[str], total: int) -> Iterable[str]:
            return track(texts, "translating", total, bar=bar)

        notify = partial(say, console=console)
        decision = selection.evaluate(run, _last(run), corrections, dev, show, notify)
    calibrate_finished(run, dev, "auto", notify, chrf=decision.dev.chrf[1])  # training may have done it for another one
    return decision


def _last(run: RunFolder) -> Path:
    if run.last is None:
        raise CheckpointError("the run has no checkpoint", where=run.path, fix="improve the run again")
    return run.last
