"""`regard.improve`: improve a run with corrections of its translations, and accept the result only if it is better."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Unpack

from rich.console import Console

from regard.checkpoints.run_folder import RunFolder
from regard.config.overrides import to_overrides
from regard.config.recipe import parse_config, to_portable_table
from regard.console import Say, progress_bar, say, track
from regard.corpus.corpus import Corpus
from regard.corpus.formats.sides import Sides
from regard.corpus.paths import CorpusPaths, infer_sides
from regard.errors import CheckpointError
from regard.files import write_atomic
from regard.html.notebook import render_output_table
from regard.models import ARCHITECTURES
from regard.runs.confidence import calibrate_finished
from regard.runs.improvement import acceptance, replacement, selection
from regard.runs.improvement.corrections import SourceSet, check_corrections, split_corrections
from regard.runs.improvement.old_pairs import OldRun, run_folder
from regard.runs.improvement.options import ImprovementOptions, ImproveOptions
from regard.runs.improvement.recipe import make_recipe
from regard.runs.improvement.record import Decision, Record, RecordFolder, made_by, read_pairs, write_pairs
from regard.runs.train import Result, resume, train
from regard.tokenizers.base import Tokenizers


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
    name, number = run.resolve().name, 1
    while (folder := run.resolve().parent / f"{name}-improved-{number}").exists():
        number += 1
    return folder


def begin(run: Path, corrections: Path, folder: Path, options: ImprovementOptions, say: Say) -> None:
    """Check the corrections, and write everything that training and evaluation need into the folder of the new run."""
    record_folder = made_by(folder)
    if record_folder.exists:
        raise CheckpointError(
            "the folder already contains an improvement",
            where=folder,
            fix=f"continue it with `regard improve --resume {shlex.quote(str(folder))}`, or choose another folder",
        )
    old = OldRun.load(run)
    if options.replace:
        replacement.check_best(run_folder(old), old.checkpoint)
    if options.old_data is not None:
        provided = _open(Path(options.old_data), old, Sides(), "--old-data")
        old = replace(old, provided=tuple((pair.source, pair.target) for pair in provided))
    dev = old.dev()
    corpus = _open(corrections, old, options.sides, "--corrections")
    checked = check_corrections(corpus, dev, old.languages)
    split = split_corrections(checked.pairs, [*old.corrections, *old.held_out], corpus.name)
    known = SourceSet([source for source, _ in (*split.train, *split.held_out)])
    sample_size = round(options.old_pairs * options.epochs * len(split.train))
    sample = old.sample(sample_size, old.config.train.seed, known.__contains__)
    say(f"corrections: {len(checked.pairs):,} of {corpus.name}, {split.new:,} of them new")
    for sentence in checked.sentences:
        say(f"corrections: {sentence}")
    earlier = len(split.train) + len(split.held_out) - len(checked.pairs)
    if earlier > 0:
        say(f"corrections: {earlier:,} more from earlier improvements")
    say(f"corrections: {len(split.train):,} to train on, {len(split.held_out):,} held out")
    origin = f"those that {old.pool.name} was trained on" if options.old_data is None else str(options.old_data)
    say(f"old pairs: {len(sample):,} of {origin}")
    recipe = make_recipe(
        old,
        record_folder,
        (split.train, sample),
        Tokenizers.load(old.checkpoint),
        epochs=options.epochs,
        old_pairs=options.old_pairs,
        overrides=to_overrides(options.overrides),
    )
    RunFolder.create(folder)
    record_folder.path.mkdir(exist_ok=True)
    write_pairs(record_folder.corrections, split.train)
    write_pairs(record_folder.held_out, split.held_out)
    write_pairs(record_folder.old_pairs, sample)
    write_pairs(record_folder.old_dev, dev)
    write_atomic(record_folder.dropped, "".join(f"{line}\n" for line in checked.dropped))
    record_folder.write(
        Record(
            run=str(old.folder),
            checkpoint=str(old.checkpoint),
            pool=str(old.pool.resolve()),
            recipe=to_portable_table(recipe),
            replace=options.replace,
        )
    )


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
    record, run = record_folder.read(), RunFolder(folder)
    if record.decision is None:
        _train(record, run, console)
        with run.lock():
            decision = _evaluate(run, record_folder, console)
            record = replace(record, decision=decision)
            record_folder.write(record)
    assert record.decision is not None
    improvement = Improvement(folder, record.decision, record.installed)
    say(str(improvement), console)
    if record.decision.accepted and record.replace and not record.installed:
        old = RunFolder(Path(record.run))
        name = replacement.install(old, run.best or _last(run), record_folder, record)
        record_folder.write(replace(record, installed=name))
        improvement = replace(improvement, installed=name)
    return improvement


def _open(file: Path, old: OldRun, requested: Sides, label: str) -> Corpus:
    """Open a file with both sides, in the languages of a run unless others are requested."""
    source, target = old.languages
    sides = infer_sides(old.config.data, file, requested)
    sides = replace(
        sides,
        source_language=requested.source_language or source or sides.source_language,
        target_language=requested.target_language or target or sides.target_language,
    )
    corpus = CorpusPaths(data=file, labels=("", "", label)).open(sides)
    assert corpus is not None  # a file is given
    return corpus


def _train(record: Record, run: RunFolder, console: Console) -> None:
    """Train the new run to its end, from the beginning or from its last checkpoint."""
    if not run.recipe.is_file() and run.last is None:
        config = parse_config(record.recipe, ARCHITECTURES, where=str(run.path))
        result: Result = train(config, run.path, console=console)
    elif run.finished is None:
        result = resume(run.path, console=console)
    else:
        return
    if result.end == "interrupted":
        raise KeyboardInterrupt


def _evaluate(run: RunFolder, folder: RecordFolder, console: Console) -> Decision:
    corrections, dev = read_pairs(folder.held_out), read_pairs(folder.old_dev)
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
