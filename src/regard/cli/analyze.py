"""`regard analyze`: a run, or two against each other, looked into on a test set."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from regard.cli.evaluate import Known
from regard.cli.streams import input_lines, output, refuse_same, try_writing
from regard.errors import ConfigError, DataError
from regard.evaluation.alignment_error import read_gold
from regard.evaluation.error_types import counted
from regard.inference.translator import SearchOptions, Translator
from regard.reports.analyze.page import document
from regard.reports.analyze.results import METRICS, HeldOut, Report, as_table
from regard.reports.analyze.run import Depth, Subject, assess
from regard.reports.analyze.search_errors import SearchErrors
from regard.reports.analyze.sections import SIGNIFICANT

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """A run, the tags before each of its sources, and how it searches other than by its recipe."""

    folder: Path
    tags: tuple[str, ...]
    search: SearchOptions


@dataclass(frozen=True)
class Files:
    """What is read, and the page that is written."""

    known: Known
    alignments: Path | None
    page: Path

    @property
    def numbers(self) -> Path:
        """Beside the page."""
        return self.page.with_suffix(".json")


def refuse_against(option: str) -> NoReturn:
    """Raises ConfigError: there is no run that the option is for."""
    raise ConfigError("there is no other run", where=option, fix="name it by --against RUN")


def analyze(runs: Sequence[Run], files: Files, *, batch_size: int, exact: int, device: str) -> None:
    """Write the page and the JSON, and say the main of it. Raises ConfigError, DataError, CheckpointError."""
    if files.page.suffix not in (".html", ".htm"):
        raise ConfigError("the page is HTML", where=files.page, fix="name it FILE.html; the numbers go to FILE.json")
    refuse_same([*files.known.place.files(), files.alignments], [files.page, files.numbers])
    test = _test_set(files, runs[0].folder)
    for path in (files.page, files.numbers):
        try_writing(path)
    names = _names([run.folder for run in runs])
    subjects = [Subject(name, run.folder, _load(run, device)) for name, run in zip(names, runs, strict=True)]
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:

        def watch(what: str, things: Iterable[T], total: int) -> Iterable[T]:
            task = bar.add_task(what, total=total)
            yield from bar.track(things, total=total, task_id=task)
            bar.remove_task(task)

        report = assess(subjects, test, Depth(batch_size, exact), watch)
    with output(files.page) as write:
        write(document(report))
    with output(files.numbers) as write:
        write(json.dumps(as_table(report), ensure_ascii=False, indent=1) + "\n")
    with output(None) as write:
        for line in summary(report):
            write(line + "\n")
    for path in (files.page, files.numbers):
        console.print(f"written to {path}", highlight=False, markup=False, soft_wrap=True)


def _load(run: Run, device: str) -> Translator:
    translator = Translator.load(run.folder, device).with_search(**run.search)
    return translator.with_tags(run.tags) if run.tags else translator


def _names(folders: Sequence[Path]) -> list[str]:
    """What to call each: the last of its path, or all of it where that is the same of both; never one name twice."""
    names = [folder.resolve().name if folder.name in ("", "..") else folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return names if len(set(names)) == len(names) else [names[0], f"{names[1]} (2)"]


def _test_set(files: Files, run: Path) -> HeldOut:
    """The pairs that have text, read as the run's recipe reads its own.

    Raises ConfigError, DataError, CheckpointError; DataError also where one side of a pair in two files has no text.
    """
    place = files.known.place
    if place.data is not None and files.alignments is not None:
        raise ConfigError(
            "gold alignments are of the lines of two files",
            where="--alignments",
            fix="give --source and --reference in the place of --data",
        )
    pairs, aside = files.known.pairs(run)
    name = str(place.data) if place.data is not None else f"{place.source} | {place.target}"
    kept = []
    for number, pair in enumerate(pairs):
        blank = (not pair.source.strip(), not pair.target.strip())
        if any(blank) and not all(blank):
            which, other, path = ("source", "reference", place.source) if blank[0] else ("reference", "source", None)
            raise DataError(
                f"the {which} is blank, and its {other} is not",
                where=f"{path or place.target}:{pair.line}",
                fix="take the line out of both files",
            )
        if not any(blank):
            kept.append(number)
    if not kept:
        raise DataError("no pair has text", where=name, fix="give a test set with lines")
    gold = None
    if files.alignments is not None:
        words = [(len(pair.source.split()), len(pair.target.split())) for pair in pairs]
        every = read_gold(input_lines(files.alignments), str(files.alignments), words)
        gold = tuple(every[number] for number in kept)
    return HeldOut(
        name=name,
        lines=tuple(pairs[number].line for number in kept),
        sources=tuple(pairs[number].source.strip() for number in kept),
        references=tuple(pairs[number].target.strip() for number in kept),
        read=len(pairs),
        gold=gold,
        left=tuple(aside.sentences()),
    )


def summary(report: Report) -> Iterator[str]:
    """The main findings as lines of text."""
    test = report.test
    aside = test.read - len(test.sources)
    yield f"{test.read:,} pairs" + (f", {aside:,} of them left aside: both sides are blank" if aside else "")
    width = max(len(one.name) for one in report.findings)
    for key, name in METRICS.items():
        for one in report.findings:
            sure = one.scores[key]
            worse = "" if sure.p is None else _worse(sure.p)
            yield f"{name:5} {one.name:{width}} {sure.value:6.2f}  [{sure.low:.2f}, {sure.high:.2f}]{worse}"
    for one in report.findings:
        wrong = ", ".join(f"{count:,} {name}" for name, count in counted(one.faults).items() if count)
        yield f"faults of {one.name}: {wrong or 'none'}"
    for one in report.findings:
        if one.search is not None:
            yield f"search by {one.name}: {_search(one.search)}"
        for found, kind in ((one.calibration, "given the reference"), (one.own, "of its own translations")):
            if found is not None:
                surer = "surer" if found.confidence > found.accuracy else "less sure"
                yield (
                    f"calibration error of {one.name}, {kind}: {100 * found.error:.1f} %; it is {surer} "
                    f"({100 * found.confidence:.1f} %) than right ({100 * found.accuracy:.1f} %)"
                )
        if one.alignment:
            way, best = min(one.alignment.items(), key=lambda item: item[1].aer)
            yield f"alignment error rate of {one.name}: {100 * best.aer:.1f} % by {way}, in {best.pairs:,} pairs"
    yield from report.notes


def _worse(p: float) -> str:
    told = "< 0.001" if p < 0.001 else f"{p:.3f}"
    return f"  {'worse' if p < SIGNIFICANT else 'not told apart'}, p {told}"


def _search(found: SearchErrors) -> str:
    unknown = found.sentences - found.errors - found.right
    return (
        f"of {found.sentences:,} sentences a beam missed the most probable in {found.errors:,}, found it in "
        f"{found.right:,}" + (f", {unknown:,} not known" if unknown else "") + f"; it is empty in {found.empty:,} "
        f"of the {found.proved:,} in which it was proved"
    )
