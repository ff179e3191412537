"""Sentences that say what a figure of the report shows, with its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from regard.attention.matrix import AttentionMatrix
from regard.evaluation.by_length import LengthBin
from regard.reports.compare.results import ComparisonReport

UNCERTAIN_BELOW = 30  # sentences in a bin
MIN_SCORE = 1.0  # differences below it are noise


def describe_quality_by_time(report: ComparisonReport) -> str:
    """Say which system ends highest and when it passes the final score of the next."""
    ranked = sorted(
        (system for system in report.systems if system.curve),
        key=lambda system: report.dev_score(system.curve[-1]),
        reverse=True,
    )
    if not ranked:
        return "No system has dev scores."
    best, end = ranked[0], ranked[0].curve[-1]
    metric, highest = report.metric, report.dev_score(end)
    if highest < MIN_SCORE:
        return f"The scores are too low to compare: the highest dev {metric} is {highest:.1f}."
    if len(ranked) == 1:
        start = best.curve[0]
        return (
            f"{best.name} improves from {report.dev_score(start):.1f} dev {metric} after {start.minutes:.1f} minutes "
            f"to {highest:.1f} after {end.minutes:.1f}."
        )
    second, second_score = ranked[1].name, report.dev_score(ranked[1].curve[-1])
    passed = next(point.minutes for point in best.curve if report.dev_score(point) >= second_score)
    sentence = (
        f"{best.name} ends highest, at {highest:.1f} dev {metric} after {end.minutes:.1f} minutes; "
        f"it reaches the final score of the second, {second} ({second_score:.1f}), after {passed:.1f} minutes"
    )
    if len(ranked) > 2:
        sentence += f", and {ranked[-1].name} ends lowest, at {report.dev_score(ranked[-1].curve[-1]):.1f}"
    return f"{sentence}."


def describe_quality_by_length(report: ComparisonReport) -> str:
    """Say how the score of each system changes from the shortest to the longest bin that all systems have."""
    scores = {
        index: {(length_bin.shortest, length_bin.longest): length_bin for length_bin in system.lengths}
        for index, system in enumerate(report.systems)
        if system.lengths
    }
    common = sorted(set.intersection(*map(set, scores.values()))) if scores else []
    if len(common) < 2:
        return "The systems do not have two source lengths in common."
    clauses = []
    for kind, attends in (("without attention", False), ("with attention", True)):
        changes = [
            (end - report.length_score(bins[common[0]]), report.systems[index].name, end)
            for index, bins in scores.items()
            for end in [report.length_score(bins[common[-1]])]
            if report.systems[index].attends == attends
        ]
        if changes:
            clauses.append(_describe_changes(kind, sorted(changes)))
    bins = next(iter(scores.values()))
    shortest, longest = bins[common[0]], bins[common[-1]]
    return (
        f"From sources of {shortest.label} words to those of {longest.label} words, {report.metric} changes as "
        f"follows: {'; '.join(clauses)}.{_describe_uncertainty(longest)}"
    )


def _describe_changes(kind: str, changes: Sequence[tuple[float, str, float]]) -> str:
    listed = ", ".join(f"{name} {_signed(change)} (to {end:.1f})" for change, name, end in changes)
    if len(changes) == 1:
        return f"{kind}, {listed}"
    mean = float(np.mean([change for change, _, _ in changes]))
    return f"{kind}, {_signed(mean)} on average: {listed}"


def _describe_uncertainty(length_bin: LengthBin) -> str:
    if length_bin.sentences >= UNCERTAIN_BELOW:
        return ""
    return f" The last bin has only {length_bin.sentences} sentences."


def describe_step_time(report: ComparisonReport) -> str:
    """Say how much longer a step of each system takes at the longest than at the shortest common length."""
    timed = {
        index: {step.length: step.milliseconds for step in system.step_times if step.milliseconds > 0}
        for index, system in enumerate(report.systems)
        if system.step_times
    }
    common = sorted(set.intersection(*map(set, timed.values()))) if timed else []
    if len(common) < 2:
        return "The systems were not timed at two common lengths."
    first, last = common[0], common[-1]
    ratios = sorted((times[last] / times[first], report.systems[index].name) for index, times in timed.items())
    listed = _join([f"{ratio:.1f} times as long in {name}" for ratio, name in ratios])
    sentence = f"At {last} tokens, {last / first:g} times the length of {first}, a step takes {listed}"
    if len(timed) > 1:
        slowest_last = sorted((times[last], report.systems[index].name) for index, times in timed.items())
        (least, fastest), (most, slowest) = slowest_last[0], slowest_last[-1]
        sentence += (
            f"; at that length {fastest} is the fastest ({least:.0f} ms) and {slowest} the slowest ({most:.0f} ms)"
        )
    return f"{sentence}."


def describe_attention(report: ComparisonReport, sample: int) -> str:
    """Say how sharp the attention of each system is on one sample, and how often it moves backwards."""
    clauses = []
    for system in report.systems:
        matrix = system.attended[sample]
        if matrix is not None and matrix.source_tokens and matrix.target_tokens:
            sharpness, backward = _measure_focus(matrix)
            clauses.append(f"{sharpness:.2f} in {system.name}, which moves backwards {_times(backward)}")
    if not clauses:
        return ""
    return f"The highest weight of a row is, on average, {_join(clauses)}."


def _measure_focus(matrix: AttentionMatrix) -> tuple[float, int]:
    """Return the mean of the highest weights of the rows, and how many rows have it left of the row before."""
    weights = np.array(matrix.weights)
    return float(weights.max(axis=1).mean()), int((np.diff(weights.argmax(axis=1)) < 0).sum())


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _signed(change: float) -> str:
    return f"{change:+.1f}".replace("-", "−")


def _join(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
