"""Analyze runs on a test set, write the page and the numbers, and print a summary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from regard.cli.streams import input_lines, output
from regard.cli.test_set import TestSetFiles
from regard.console import progress_bar, say, track
from regard.errors import DataError
from regard.evaluation.alignment_error import read_gold_alignments
from regard.evaluation.bootstrap import SIGNIFICANCE_LEVEL
from regard.evaluation.by_label import NO_LABEL
from regard.evaluation.error_types import count_errors
from regard.evaluation.test_set import TestSet
from regard.inference.translator import SearchOptions, Translator
from regard.reports.analyze.page import render_report
from regard.reports.analyze.results import METRICS, AnalysisReport, RunResults, report_to_json
from regard.reports.analyze.run import AnalysisOptions as AnalysisOptions
from regard.reports.analyze.run import LoadedRun, analyze_runs
from regard.reports.analyze.search_errors import SearchErrors

T = TypeVar("T")


@dataclass(frozen=True)
class AnalyzedRun:
    """A run, the tags put before each of its sources, and its overrides of the recipe's [search]."""

    folder: Path
    tags: tuple[str, ...]
    search: SearchOptions

    def load(self, device: str) -> Translator:
        """Load the model with these settings."""
        translator = Translator.load(self.folder, device).with_search(**self.search)
        return translator.with_tags(self.tags) if self.tags else translator


def write_analysis(
    runs: Sequence[AnalyzedRun], test: TestSet, page: Path, options: AnalysisOptions, *, device: str
) -> None:
    """Analyze one run, or two of which the second is the one to compare with.

    Writes the page and the JSON next to it, and prints a summary to standard output. Raises CheckpointError for a run
    that cannot be loaded, and DataError for a file that cannot be written.
    """
    numbers = page.with_suffix(".json")
    names = _names([run.folder for run in runs])
    loaded = [LoadedRun(name, run.folder, run.load(device)) for name, run in zip(names, runs, strict=True)]
    with progress_bar() as bar:

        def watch(description: str, items: Iterable[T], total: int) -> Iterable[T]:
            return track(items, description, total, bar=bar)

        report = analyze_runs(loaded, test, options, watch)
    with output(page) as write:
        write(render_report(report))
    with output(numbers) as write:
        write(json.dumps(report_to_json(report), ensure_ascii=False, indent=1) + "\n")
    with output(None) as write:
        for line in summary(report):
            write(line + "\n")
    for path in (page, numbers):
        say(f"written to {path}")


def _names(folders: Sequence[Path]) -> list[str]:
    """Return a different name for each folder: the last part of its path, or the whole path if that is ambiguous."""
    names = [folder.resolve().name if folder.name in ("", "..") else folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return names if len(set(names)) == len(names) else [names[0], f"{names[1]} (2)"]


def held_out_set(test_set: TestSetFiles, run: Path, alignments: Path | None) -> TestSet:
    """Return the pairs that have text, with their gold alignments and labels.

    Raises:
        ConfigError: It is not clear what to read.
        DataError: A file cannot be read, one side of a pair is blank, no pair has text, or labels do not match.
        CheckpointError: `run` cannot be read.
    """
    pairs, skipped = test_set.pairs(run)
    place = test_set.place
    name = str(place.data) if place.data is not None else f"{place.source} | {place.target}"
    with_text = []
    for index, pair in enumerate(pairs):
        is_blank = (not pair.source.strip(), not pair.target.strip())
        if any(is_blank) and not all(is_blank):
            blank, full = ("source", "reference") if is_blank[0] else ("reference", "source")
            path = place.source if is_blank[0] else place.target
            raise DataError(
                f"the {blank} is blank, but its {full} is not",
                where=f"{path}:{pair.line}",
                fix="remove the line from both files",
            )
        if not any(is_blank):
            with_text.append(index)
    if not with_text:
        raise DataError("no pair has text", where=name, fix="give a test set with at least one line")
    labels = test_set.read_labels(run, pairs)
    gold = None
    if alignments is not None:
        lengths = [(len(pair.source.split()), len(pair.target.split())) for pair in pairs]
        gold_of_all = read_gold_alignments(input_lines(alignments), str(alignments), lengths)
        gold = tuple(gold_of_all[index] for index in with_text)
    return TestSet(
        name=name,
        lines=tuple(pairs[index].line for index in with_text),
        sources=tuple(pairs[index].source.strip() for index in with_text),
        references=tuple(pairs[index].target.strip() for index in with_text),
        pairs_read=len(pairs),
        gold=gold,
        notes=tuple(skipped.sentences()),
        labels=None if labels is None else tuple(labels[index] for index in with_text),
    )


def summary(report: AnalysisReport) -> Iterator[str]:
    """Yield the main findings as lines of text."""
    test = report.test
    blank = test.pairs_read - len(test.sources)
    yield f"{test.pairs_read:,} pairs" + (f", {blank:,} of them skipped: both sides are blank" if blank else "")
    yield from _score_lines(report)
    for run in report.runs:
        yield from _label_lines(run)
    for run in report.runs:
        yield from _perturbed_lines(run)
    for run in report.runs:
        errors = ", ".join(f"{count:,} {kind}" for kind, count in count_errors(run.errors).items() if count)
        yield f"errors of {run.name}: {errors or 'none'}"
    for run in report.runs:
        if run.search is not None:
            yield f"search by {run.name}: {_search_errors(run.search)}"
        for calibration, kind in (
            (run.calibration, "given the reference"),
            (run.own_calibration, "of its translations"),
        ):
            if calibration is not None:
                tendency = "overconfident" if calibration.confidence > calibration.accuracy else "underconfident"
                yield (
                    f"calibration error of {run.name}, {kind}: {100 * calibration.error:.1f}%; it is {tendency}: "
                    f"confidence {100 * calibration.confidence:.1f}%, accuracy {100 * calibration.accuracy:.1f}%"
                )
        yield from _confidence(run)
        if run.alignment:
            method, best = min(run.alignment.items(), key=lambda item: item[1].aer)
            rate = f"{100 * best.aer:.1f}% by {method}, in {best.pairs:,} pairs"
            yield f"alignment error rate of {run.name}: {rate}"
    yield from report.notes


def _score_lines(report: AnalysisReport) -> Iterator[str]:
    """Yield the scores of the whole test set, with their intervals and, for two runs, the comparison."""
    width = max(len(run.name) for run in report.runs)
    for key, metric in METRICS.items():
        for run in report.runs:
            score = run.scores[key]
            comparison = "" if score.p is None else _comparison(score.p)
            yield (f"{metric:5} {run.name:{width}} {score.value:6.2f}  [{score.low:.2f}, {score.high:.2f}]{comparison}")
    yield from (f"{name:5} {run:{width}} {score:6.2f}" for name, run, score in _plugin_scores(report))
    for count in report.runs[0].exact_at:
        name = f"top {count}" if count > 1 else "exact"
        for run in report.runs:
            share = run.exact_at[count]
            comparison = "" if share.p is None else _comparison(share.p)
            value, low, high = (100 * number for number in (share.value, share.low, share.high))
            yield f"{name:5} {run.name:{width}} {value:6.2f}  [{low:.2f}, {high:.2f}]{comparison}"


def _label_lines(run: RunResults) -> Iterator[str]:
    """Yield the scores of each label, if the test set has labels."""
    width = max((len(label.label or NO_LABEL) for label in run.labels), default=0)
    for label in run.labels:
        tops = "".join(f"  top {count} {100 * share:6.2f}" for count, share in label.exact_at.items())
        yield (
            f"{run.name}, {label.label or NO_LABEL:{width}}  exact {100 * label.exact:6.2f}{tops}  "
            f"BLEU {label.bleu:6.2f}  chrF {label.chrf:6.2f}  {label.pairs:,} pairs"
        )


def _perturbed_lines(run: RunResults) -> Iterator[str]:
    """Yield the scores on perturbed copies, if they were measured."""
    width = max((len(copy.name) for copy in run.perturbed), default=0)
    for copy in run.perturbed:
        change = f"{-100 * copy.chrf_lost:+z.1f}%".replace("-", "−")
        yield f"{run.name}, {copy.name:{width}}  chrF {copy.chrf:6.2f} ({change})  BLEU {copy.bleu:6.2f}"


def _confidence(run: RunResults) -> Iterator[str]:
    if run.confidence is None:
        return
    for name, level in (("translations", run.confidence.sentence), ("words", run.confidence.word)):
        yield (
            f"confidence of {run.name}, {name}: calibration error {100 * level.calibration.error:.1f}%, AUC "
            f"{_number(level.auc)} (its own probability: {100 * level.raw_error:.1f}%, {_number(level.raw_auc)}); "
            f"{level.calibration.accuracy:.1%} of {level.calibration.tokens:,} are right"
        )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _plugin_scores(report: AnalysisReport) -> Iterator[tuple[str, str, float]]:
    """Yield metric, run and score for each metric of a plugin and each run."""
    for name in report.runs[0].plugin_scores:
        for run in report.runs:
            yield name, run.name, run.plugin_scores[name]


def _comparison(p: float) -> str:
    text = "< 0.001" if p < 0.001 else f"{p:.3f}"
    return f"  {'worse' if p < SIGNIFICANCE_LEVEL else 'no significant difference'}, p {text}"


def _search_errors(search: SearchErrors) -> str:
    unknown = search.unknown
    return (
        f"of {search.sentences:,} sentences, the beam missed the most probable translation in {search.errors:,} and "
        f"found it in {search.optimal:,}" + (f", {unknown:,} unknown" if unknown else "") + "; it is empty in "
        f"{search.empty:,} of the {search.proved:,} sentences where it is proved"
    )
