"""What the report's figures show, in sentences made of their numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from regard.reports.compare.figures import span
from regard.reports.compare.results import Attended, Lineage

FEW = 30  # sentences, below which a bin's BLEU is called uncertain


def by_time(lineage: Lineage) -> str:
    """Which system ends highest, and when it passed the next."""
    last = sorted(
        (system for system in lineage.systems if system.curve), key=lambda system: system.curve[-1].bleu, reverse=True
    )
    if not last:
        return "No system has a dev curve."
    first, end = last[0], last[0].curve[-1]
    if len(last) == 1:
        begin = first.curve[0]
        return (
            f"{first.name} goes from {begin.bleu:.1f} dev BLEU at {begin.minutes:.1f} minutes "
            f"to {end.bleu:.1f} at {end.minutes:.1f}."
        )
    bar = last[1].curve[-1].bleu
    passed = next(point.minutes for point in first.curve if point.bleu >= bar)
    said = (
        f"{first.name} ends highest, at {end.bleu:.1f} dev BLEU after {end.minutes:.1f} minutes; "
        f"it reaches the last score of the next, {last[1].name} ({bar:.1f}), at {passed:.1f} minutes"
    )
    if len(last) > 2:
        said += f", and {last[-1].name} ends lowest, at {last[-1].curve[-1].bleu:.1f}"
    return f"{said}."


def by_length(lineage: Lineage) -> str:
    """How far each system's BLEU changes from the shortest sources to the longest that all were measured at."""
    scores = {
        index: {(a.shortest, a.longest): a for a in system.lengths}
        for index, system in enumerate(lineage.systems)
        if system.lengths
    }
    common = sorted(set.intersection(*map(set, scores.values()))) if scores else []
    if len(common) < 2:
        return "The systems were not measured at two lengths in common."
    clauses = []
    for kind, attends in (("without attention", False), ("with attention", True)):
        changes = sorted(
            (ends[common[-1]].bleu - ends[common[0]].bleu, lineage.systems[index].name, ends[common[-1]].bleu)
            for index, ends in scores.items()
            if lineage.systems[index].attends == attends
        )
        told = [f"{name} {_signed(change)} (to {end:.1f})" for change, name, end in changes]
        if told:
            mean = f" {_signed(float(np.mean([change for change, _, _ in changes])))} on average:" if told[1:] else ""
            clauses.append(f"{kind}{mean} {', '.join(told)}")
    ends = next(iter(scores.values()))
    a, b = ends[common[0]], ends[common[-1]]
    few = f" The last rests on {b.sentences} sentences only." if b.sentences < FEW else ""
    return f"From sources of {span(a)} words to those of {span(b)} BLEU changes {'; '.join(clauses)}.{few}"


def by_step(lineage: Lineage) -> str:
    """How much longer each system's step takes at the longest sentences that all were timed at than at the shortest."""
    timed = {
        index: {step.length: step.milliseconds for step in system.step_times if step.milliseconds > 0}
        for index, system in enumerate(lineage.systems)
        if system.step_times
    }
    common = sorted(set.intersection(*map(set, timed.values()))) if timed else []
    if len(common) < 2:
        return "The systems were not timed at two lengths in common."
    first, last = common[0], common[-1]
    ratios = sorted((times[last] / times[first], lineage.systems[index].name) for index, times in timed.items())
    told = [f"{ratio:.1f} times as long in {name}" for ratio, name in ratios]
    said = f"At {last} tokens, {last / first:g} times the length of {first}, a step takes {_listed(told)}"
    if len(timed) > 1:
        slowness = sorted((times[last], lineage.systems[index].name) for index, times in timed.items())
        (least, fastest), (most, slowest) = slowness[0], slowness[-1]
        said += f"; there {fastest} is the fastest ({least:.0f} ms) and {slowest} the slowest ({most:.0f} ms)"
    return f"{said}."


def of_alignment(lineage: Lineage, sample: int) -> str:
    """How sharp each system's attention is in one sample, and how often it goes back."""
    told = []
    for system in lineage.systems:
        attended = system.attended[sample]
        if attended is not None and attended.source_tokens and attended.target_tokens:
            heaviest, back = _focus(attended)
            told.append(f"{heaviest:.2f} in {system.name}, which goes back {_times(back)}")
    if not told:
        return ""
    return f"The heaviest source token of a row has, on average, a weight of {_listed(told)}."


def _focus(attended: Attended) -> tuple[float, int]:
    """The mean of the rows' largest weights, and in how many rows that weight lies left of the last row's."""
    weights = np.array(attended.weights)
    return float(weights.max(axis=1).mean()), int((np.diff(weights.argmax(axis=1)) < 0).sum())


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _signed(change: float) -> str:
    return f"{change:+.1f}".replace("-", "−")


def _listed(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
