"""The figures of a corpus' page, each for a light and for a dark page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from regard.corpus_checks.findings import POSITION_BINS, Finding
from regard.corpus_checks.inspection import HISTOGRAM_BINS, CorpusReport, LengthHistogram
from regard.reports.compare.figures import DARK, Theme, new_axes, settings

_BLUE, _ORANGE = ("#0072b2", "#56b4e9"), ("#b34700", "#e69f00")  # Okabe and Ito's, the first darker for light paper
_MARKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000, 1_000_000)  # characters, where an axis has a tick


def svg(figure: Figure) -> str:
    """The figure as text; call it under `settings` of its theme."""
    with io.StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None})
        return text.getvalue()


def _edges(grid: LengthHistogram) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Of the grid's cells, in characters."""
    return np.expm1(np.linspace(0, np.log1p(grid.max_length), HISTOGRAM_BINS + 1))


def lengths(report: CorpusReport, theme: Theme) -> str:
    """How many texts of each side have how many characters."""
    with settings(theme):
        figure, axes = new_axes("characters in a text (logarithmic)", "texts, % of the side")
        edges = np.log1p(_edges(report.length_histogram))
        for name, colours, axis, style in (("source", _BLUE, 1, "-"), ("target", _ORANGE, 0, "--")):
            counts = report.length_histogram.counts.sum(axis)
            share = 100 * counts / max(counts.sum(), 1)
            axes.stairs(share, edges, label=name, color=colours[theme == DARK], linestyle=style, linewidth=2)
        _log_ticks(axes.xaxis, report.length_histogram)
        axes.set_ylim(bottom=0)
        axes.set_xlim(*_span(report.length_histogram))
        axes.legend()
        return svg(figure)


def ratios(report: CorpusReport, theme: Theme) -> str:
    """How many pairs have so many characters in the source and so many in the target."""
    with settings(theme):
        figure, axes = new_axes("characters in the source (logarithmic)", "characters in the target (logarithmic)")
        edges = np.log1p(_edges(report.length_histogram))
        counts = np.ma.masked_equal(report.length_histogram.counts.T, 0)
        mesh = axes.pcolormesh(
            edges, edges, counts, cmap=_map(theme), norm=LogNorm(1, max(2, int(report.length_histogram.counts.max()))),
            rasterized=True,
        )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            _log_ticks(axis, report.length_histogram)
        axes.set_xlim(*_span(report.length_histogram))
        axes.set_ylim(*_span(report.length_histogram))
        axes.set_aspect("equal")
        _plain(figure.colorbar(mesh, ax=axes, label="pairs in a cell (logarithmic)"))
        return svg(figure)


def places(report: CorpusReport, theme: Theme) -> str:
    """In which part of the file faults of each kind stand."""
    with settings(theme):
        findings: Sequence[Finding] = list(report.findings)
        figure, axes = new_axes(f"pair of the corpus ({POSITION_BINS} parts)", "")
        figure.set_size_inches(7.6, 1.3 + 0.36 * len(findings))
        table = np.stack([finding.counts_by_position for finding in findings])
        each = max(report.read / POSITION_BINS, 1)
        shares = np.ma.masked_equal(100 * table / each, 0)
        mesh = axes.imshow(
            shares, aspect="auto", interpolation="nearest", cmap=_map(theme), norm=LogNorm(min(0.1, 100 / each), 100),
            extent=(0, report.read, len(findings) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_yticks(range(len(findings)), [finding.kind.value for finding in findings])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))
        _plain(figure.colorbar(mesh, ax=axes, label="% of the part's pairs (logarithmic)"))
        return svg(figure)


def _plain(bar: Colorbar) -> None:
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,g}"))


def _map(theme: Theme) -> matplotlib.colors.Colormap:
    return LinearSegmentedColormap.from_list("pairs", theme.weights)


def _span(grid: LengthHistogram) -> tuple[float, float]:
    """Where both axes begin and end: where the first and the last text lie."""
    used = np.flatnonzero(grid.counts.sum(0) + grid.counts.sum(1))
    edges = np.log1p(_edges(grid))
    return float(edges[used[0]]), float(edges[used[-1] + 1])


def _log_ticks(axis: matplotlib.axis.Axis, grid: LengthHistogram) -> None:
    low, high = _span(grid)
    marks = [mark for mark in _MARKS if low <= np.log1p(mark) <= high]
    axis.set_ticks([float(np.log1p(mark)) for mark in marks], [f"{mark:,}" for mark in marks])
