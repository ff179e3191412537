"""The figures of the report. A figure is None if the report has nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from regard.evaluation.by_length import LengthBin
from regard.reports.attention_plots import draw_attention_maps
from regard.reports.compare.complexity import find_architecture
from regard.reports.compare.results import ComparisonReport, SystemResults
from regard.reports.theme import DARK, Theme, create_axes, figure_settings

# Colours on light and on dark pages, and the marker of each architecture. For readers with and without normal colour
# vision, any two colours of a page differ by at least 19 in CIE Lab.
_ARCHITECTURE_STYLES = {
    "cho2014": ("#ad6860", "#efbeb7", "o"),
    "sutskever2014": ("#47536f", "#a47984", "s"),
    "bahdanau2014": ("#e46c4b", "#e48d1d", "^"),
    "luong2015": ("#007903", "#6af277", "v"),
    "gnmt2016": ("#770db3", "#7560f7", "D"),
    "bytenet2016": ("#7d2e35", "#d74541", "P"),
    "convs2s2017": ("#e10f9e", "#ca39b2", "X"),
    "transformer2017": ("#5893c4", "#0bb7ff", "*"),
    "modern": ("#16003e", "#c8ff1c", "h"),
}


@dataclass(frozen=True)
class LineStyle:
    """The colours and the line of a system in all figures. Systems without attention have dashed lines."""

    light: str
    dark: str
    marker: str
    is_dashed: bool

    def plot_arguments(self, theme: Theme) -> dict[str, Any]:
        """Return keyword arguments of `Axes.plot`."""
        return {
            "color": self.dark if theme == DARK else self.light,
            "marker": self.marker,
            "clip_on": False,  # the first and the last marker are on the frame
            "linestyle": (0, (4, 2)) if self.is_dashed else "-",
        }


def choose_styles(systems: Sequence[SystemResults]) -> list[LineStyle]:
    """Choose a line style for each system.

    The first system of an architecture gets the style of the architecture; the others share the unused styles.
    """
    architectures: list[str | None] = []
    for system in systems:
        architecture = find_architecture(system.name)
        architectures.append(architecture if architecture not in architectures else None)
    unused = [name for name in _ARCHITECTURE_STYLES if name not in architectures] or list(_ARCHITECTURE_STYLES)
    used = 0
    styles = []
    for system, architecture in zip(systems, architectures, strict=True):
        if architecture is None:
            architecture = unused[used % len(unused)]
            used += 1
        styles.append(LineStyle(*_ARCHITECTURE_STYLES[architecture], is_dashed=not system.attends))
    return styles


def draw_quality_by_time(report: ComparisonReport, theme: Theme) -> Figure | None:
    """Draw dev scores against minutes of training."""
    if not any(system.curve for system in report.systems):
        return None
    with figure_settings(theme):
        figure, axes = create_axes("minutes of training", f"dev {report.metric}")
        for system, style in zip(report.systems, choose_styles(report.systems), strict=True):
            minutes = [point.minutes for point in system.curve]
            axes.plot(
                minutes,
                [report.dev_score(point) for point in system.curve],
                label=system.name,
                markevery=max(1, len(minutes) // 8),
                **style.plot_arguments(theme),
            )
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        _add_legend(figure, report)
        return figure


def list_length_bins(report: ComparisonReport) -> list[LengthBin]:
    """Return every bin of source lengths that at least one system has, shortest first."""
    bins = {
        (length_bin.shortest, length_bin.longest): length_bin
        for system in reversed(report.systems)
        for length_bin in system.lengths
    }
    return [bins[bounds] for bounds in sorted(bins)]


def draw_quality_by_length(report: ComparisonReport, theme: Theme) -> Figure | None:
    """Draw the report's metric against the number of words in the source (Bahdanau et al. 2014, figure 2)."""
    bins = list_length_bins(report)
    if not bins:
        return None
    positions = {(length_bin.shortest, length_bin.longest): index for index, length_bin in enumerate(bins)}
    with figure_settings(theme):
        figure, axes = create_axes("words in the source (sentences in the test set)", report.metric)
        for system, style in zip(report.systems, choose_styles(report.systems), strict=True):
            axes.plot(
                [positions[length_bin.shortest, length_bin.longest] for length_bin in system.lengths],
                [report.length_score(length_bin) for length_bin in system.lengths],
                label=system.name,
                **style.plot_arguments(theme),
            )
        axes.set_xticks(range(len(bins)), [f"{length_bin.label}\n({length_bin.sentences})" for length_bin in bins])
        axes.set_ylim(bottom=0)
        _add_legend(figure, report)
        return figure


def draw_step_time(report: ComparisonReport, theme: Theme) -> Figure | None:
    """Draw milliseconds of a training step against the length, both on log scales, with the slopes of n and n²."""
    steps = [step for system in report.systems for step in system.step_times if step.milliseconds > 0]
    if not steps:
        return None
    with figure_settings(theme):
        figure, axes = create_axes("tokens in the source and in the target", "milliseconds per training step")
        axes.set_xscale("log")
        axes.set_yscale("log")
        for system, style in zip(report.systems, choose_styles(report.systems), strict=True):
            timed = [step for step in system.step_times if step.milliseconds > 0]
            axes.plot(
                [step.length for step in timed],
                [step.milliseconds for step in timed],
                label=system.name,
                **style.plot_arguments(theme),
            )
        lengths = sorted({step.length for step in steps})
        _draw_slopes(axes, lengths, min(step.milliseconds for step in steps), theme)
        axes.set_xticks(lengths, [str(length) for length in lengths])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _add_legend(figure, report)
        return figure


def draw_sample_attention(report: ComparisonReport, sample: int, theme: Theme) -> Figure | None:
    """Draw the attention of each system that has it on one sample, side by side."""
    matrices = [(system.name, system.attended[sample]) for system in report.systems]
    panels = [
        (name, matrix)
        for name, matrix in matrices
        if matrix is not None and matrix.source_tokens and matrix.target_tokens
    ]
    return draw_attention_maps(panels, theme) if panels else None


def _add_legend(figure: Figure, report: ComparisonReport) -> None:
    has_dashes = any(not system.attends for system in report.systems)
    figure.legend(
        loc="outside lower center",
        ncols=min(3, len(report.systems)),
        title="dashed: without attention" if has_dashes else None,
        fontsize=10,
        title_fontsize=10,
    )


def _draw_slopes(axes: Any, lengths: Sequence[int], lowest: float, theme: Theme) -> None:
    """Draw the growth of n and of n², starting below the lowest time."""
    first, last, lowest = lengths[0], lengths[-1], 0.7 * lowest
    if first == last:
        return
    top = axes.get_ylim()[1]
    for power, name in ((1, "n"), (2, "n²")):
        end = min(float(last), first * (top / lowest) ** (1 / power))
        height = lowest * (end / first) ** power
        axes.plot((first, end), (lowest, height), color=theme.ink, alpha=0.55, linewidth=1.0, linestyle=":")
        axes.annotate(name, (end, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=10)
