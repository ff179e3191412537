"""The figures of the analysis report, each for a light and for a dark page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from regard.evaluation.by_frequency import FrequencyClass
from regard.evaluation.by_length import LengthBin
from regard.evaluation.calibration import Calibration
from regard.reports.analyze.results import Findings, Report
from regard.reports.compare.figures import DARK, Theme, new_axes, settings
from regard.reports.corpus.figures import svg

_LOOKS = (  # of the first run and the second: on light and on dark paper (Okabe and Ito's), marker, stroke
    ("#0072b2", "#56b4e9", "o", "-"),
    ("#b34700", "#e69f00", "s", "--"),
)


def by_length(report: Report, theme: Theme) -> str:
    """chrF against the source's length in words."""
    bins = report.findings[0].lengths
    with settings(theme):
        figure, axes = new_axes("words in the source (sentences in the test set)", "chrF, 0 to 100")
        for one, compute_attention_maps in _looks(report, theme):
            axes.plot(range(len(bins)), [each.chrf for each in one.lengths], label=one.name, **compute_attention_maps)
        axes.set_xticks(range(len(bins)), [f"{span(each)}\n({each.sentences:,})" for each in bins])
        highest = max(each.chrf for one in report.findings for each in one.lengths)
        return _done(figure, axes, report, 1.1 * highest or 1)


def by_frequency(report: Report, theme: Theme) -> str:
    """F1 of words against how often training has seen them; a class without a word in the references has no point."""
    classes = report.findings[0].frequency
    with settings(theme):
        figure, axes = new_axes("times seen in training (words in the references)", "F1 of words, %")
        for one, compute_attention_maps in _looks(report, theme):
            shown = [(place, each) for place, each in enumerate(one.frequency) if each.in_references]
            axes.plot(
                [place for place, _ in shown],
                [100 * each.f1 for _, each in shown],
                label=one.name,
                **compute_attention_maps,
            )
        axes.set_xticks(range(len(classes)), [f"{often(each)}\n({each.in_references:,})" for each in classes])
        return _done(figure, axes, report, 100)


def reliability(report: Report, theme: Theme, chosen: Callable[[Findings], Calibration | None], right: str) -> str:
    """How often tokens are right against how probable they were; `right` says what that means."""
    with settings(theme):
        figure, axes = new_axes("probability of the token, mean of a bin, %", f"{right}, %")
        figure.set_size_inches(5.6, 5.2)
        axes.plot((0, 100), (0, 100), color=theme.ink, alpha=0.55, linewidth=1, linestyle=":", label="as sure as right")
        for one, compute_attention_maps in _looks(report, theme):
            found = chosen(one)
            if found is None:
                continue
            sure = [100 * each.confidence for each in found.bins]
            axes.plot(sure, [100 * each.accuracy for each in found.bins], label=one.name, **compute_attention_maps)
        axes.set_xlim(0, 102)
        axes.set_ylim(0, 102)
        axes.set_aspect("equal")
        axes.legend(loc="upper left", fontsize=10)
        return svg(figure)


def _looks(report: Report, theme: Theme) -> list[tuple[Findings, dict[str, Any]]]:
    """Each run, and arguments of Axes.plot."""
    found = []
    for one, (light, dark, marker, stroke) in zip(report.findings, _LOOKS, strict=False):
        found.append((one, {"color": dark if theme == DARK else light, "marker": marker, "linestyle": stroke}))
    return found


def _done(figure: Figure, axes: Any, report: Report, top: float) -> str:
    axes.set_ylim(0, top)
    if len(report.findings) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    return svg(figure)


def span(length: LengthBin) -> str:
    """A bin's bounds, in words."""
    return _between(length.shortest, length.longest)


def often(one: FrequencyClass) -> str:
    """A class' bounds, in times seen."""
    if one.max_count == 0:
        return "never"
    return f"{one.min_count:,}+" if one.max_count is None else _between(one.min_count, one.max_count)


def _between(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"
