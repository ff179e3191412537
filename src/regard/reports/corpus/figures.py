"""The figures of the report."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from regard.corpus_checks.findings import POSITION_BINS, Finding
from regard.corpus_checks.inspection import HISTOGRAM_BINS, CorpusReport, LengthHistogram
from regard.reports.theme import BLUE, DARK, ORANGE, Theme, create_axes, figure_settings

MIN_HEIGHT = 2.6  # inches; a lower figure would cut off the label of its colour scale
_TICKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000, 1_000_000)  # characters


def draw_lengths(report: CorpusReport, theme: Theme) -> Figure:
    """Draw the distribution of the lengths of both sides."""
    with figure_settings(theme):
        figure, axes = create_axes("characters in a text (logarithmic)", "texts, % of the side")
        edges = np.log1p(_cell_edges(report.length_histogram))
        for name, colours, axis, line in (("source", BLUE, 1, "-"), ("target", ORANGE, 0, "--")):
            counts = report.length_histogram.counts.sum(axis)
            share = 100 * counts / max(counts.sum(), 1)
            axes.stairs(share, edges, label=name, color=colours[theme == DARK], linestyle=line, linewidth=2)
        _set_log_ticks(axes.xaxis, report.length_histogram)
        axes.set_ylim(bottom=0)
        axes.set_xlim(*_axis_range(report.length_histogram))
        axes.legend()
        return figure


def draw_length_pairs(report: CorpusReport, theme: Theme) -> Figure:
    """Draw the number of pairs by the length of the source and the length of the target."""
    with figure_settings(theme):
        figure, axes = create_axes("characters in the source (logarithmic)", "characters in the target (logarithmic)")
        axes.grid(False)  # it would cross the cells
        edges = np.log1p(_cell_edges(report.length_histogram))
        counts = np.ma.masked_equal(report.length_histogram.counts.T, 0)
        norm = LogNorm(1, max(2, int(report.length_histogram.counts.max())))
        mesh = axes.pcolormesh(
            edges, edges, counts, cmap=_colour_map(theme), norm=norm,
            rasterized=True,
        )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            _set_log_ticks(axis, report.length_histogram)
        axes.set_xlim(*_axis_range(report.length_histogram))
        axes.set_ylim(*_axis_range(report.length_histogram))
        axes.set_aspect("equal")
        _format_plainly(figure.colorbar(mesh, ax=axes, label="pairs in a cell"))
        return figure


def draw_positions(report: CorpusReport, theme: Theme) -> Figure:
    """Draw in which part of the file the pairs with each kind of problem are."""
    with figure_settings(theme):
        findings: Sequence[Finding] = list(report.findings)
        figure, axes = create_axes(f"pair of the corpus ({POSITION_BINS} parts)", "")
        axes.grid(False)  # it would cross the cells
        figure.set_size_inches(7.6, max(MIN_HEIGHT, 1.3 + 0.36 * len(findings)))
        table = np.stack([finding.counts_by_position for finding in findings])
        pairs_per_part = max(report.read / POSITION_BINS, 1)
        shares = np.ma.masked_equal(100 * table / pairs_per_part, 0)
        mesh = axes.imshow(
            shares, aspect="auto", interpolation="nearest", cmap=_colour_map(theme),
            norm=LogNorm(min(0.1, 100 / pairs_per_part), 100),
            extent=(0, report.read, len(findings) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_yticks(range(len(findings)), [finding.kind.value for finding in findings])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
        _format_plainly(figure.colorbar(mesh, ax=axes, label="% of the pairs of a part"))
        return figure


def _cell_edges(grid: LengthHistogram) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the edges of the grid's cells, in characters."""
    return np.expm1(np.linspace(0, np.log1p(grid.max_length), HISTOGRAM_BINS + 1))


def _format_plainly(bar: Colorbar) -> None:
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,g}"))


def _colour_map(theme: Theme) -> matplotlib.colors.Colormap:
    return LinearSegmentedColormap.from_list("pairs", theme.scale)


def _axis_range(grid: LengthHistogram) -> tuple[float, float]:
    """Return the range of both axes, from the shortest to the longest text."""
    used = np.flatnonzero(grid.counts.sum(0) + grid.counts.sum(1))
    edges = np.log1p(_cell_edges(grid))
    return float(edges[used[0]]), float(edges[used[-1] + 1])


def _set_log_ticks(axis: matplotlib.axis.Axis, grid: LengthHistogram) -> None:
    low, high = _axis_range(grid)
    ticks = [tick for tick in _TICKS if low <= np.log1p(tick) <= high]
    axis.set_ticks([float(np.log1p(tick)) for tick in ticks], [f"{tick:,}" for tick in ticks])
