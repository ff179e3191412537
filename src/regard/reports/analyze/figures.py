"""The figures of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from regard.evaluation.calibration import Calibration
from regard.reports.analyze.results import AnalysisReport, RunResults
from regard.reports.theme import BLUE, DARK, ORANGE, Theme, create_axes, figure_settings

_LINES = ((*BLUE, "o", "-"), (*ORANGE, "s", "--"))  # of the first and the second run

CalibrationGetter = Callable[[RunResults], Calibration | None]


def draw_by_length(report: AnalysisReport, theme: Theme) -> Figure:
    """Draw chrF against the number of words in the source."""
    bins = report.runs[0].lengths
    with figure_settings(theme):
        figure, axes = create_axes("words in the source (sentences in the test set)", "chrF, 0 to 100")
        for run, style in _styled_runs(report, theme):
            axes.plot(range(len(bins)), [length_bin.chrf for length_bin in run.lengths], label=run.name, **style)
        axes.set_xticks(range(len(bins)), [f"{length_bin.label}\n({length_bin.sentences:,})" for length_bin in bins])
        highest = max(length_bin.chrf for run in report.runs for length_bin in run.lengths)
        axes.set_ylim(0, 1.1 * highest or 1)
        _add_legend(figure, report)
        return figure


def draw_by_frequency(report: AnalysisReport, theme: Theme) -> Figure:
    """Draw F1 of words against their count in the training data. Classes without words have no point."""
    classes = report.runs[0].frequency
    with figure_settings(theme):
        figure, axes = create_axes("count in the training data (words in the references)", "F1 of words, %")
        for run, style in _styled_runs(report, theme):
            points = [(index, row) for index, row in enumerate(run.frequency) if row.in_references]
            axes.plot([index for index, _ in points], [100 * row.f1 for _, row in points], label=run.name, **style)
        axes.set_xticks(range(len(classes)), [f"{row.label}\n({row.in_references:,})" for row in classes])
        axes.set_ylim(0, 100)
        _add_legend(figure, report)
        return figure


def draw_reliability(
    report: AnalysisReport,
    theme: Theme,
    get: CalibrationGetter,
    y_label: str,
    x_label: str = "probability of the token",
) -> Figure:
    """Draw a reliability diagram: accuracy against probability.

    Args:
        report: The report.
        theme: Colours.
        get: Returns the calibration of a run that is drawn.
        y_label: What accuracy means here.
        x_label: What the probability is.
    """
    with figure_settings(theme):
        figure, axes = create_axes(f"{x_label}, mean of a bin, %", f"{y_label}, %")
        figure.set_size_inches(5.6, 5.2)
        axes.plot((0, 100), (0, 100), color=theme.ink, alpha=0.55, linewidth=1, linestyle=":", label="calibrated")
        for run, style in _styled_runs(report, theme):
            calibration = get(run)
            if calibration is not None:
                confidence = [100 * part.confidence for part in calibration.bins]
                axes.plot(confidence, [100 * part.accuracy for part in calibration.bins], label=run.name, **style)
        axes.set_xlim(0, 102)
        axes.set_ylim(0, 102)
        axes.set_aspect("equal")
        axes.legend(loc="upper left", fontsize=10)
        return figure


def _styled_runs(report: AnalysisReport, theme: Theme) -> list[tuple[RunResults, dict[str, Any]]]:
    """Return each run with keyword arguments of `Axes.plot`."""
    return [
        (run, {"color": dark if theme == DARK else light, "marker": marker, "linestyle": line})
        for run, (light, dark, marker, line) in zip(report.runs, _LINES, strict=False)
    ]


def _add_legend(figure: Figure, report: AnalysisReport) -> None:
    if len(report.runs) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=10)
