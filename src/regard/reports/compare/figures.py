"""The figures of the side-by-side report, each for a light and for a dark page.

A figure function returns None where the lineage has nothing for it to draw.
"""

from __future__ import annotations

import functools
import io
import math
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from regard.files import open_atomic
from regard.reports.compare.complexity import architecture
from regard.reports.compare.results import Attended, LengthBin, Lineage, System


@dataclass(frozen=True)
class Theme:
    """The colours of a page. weights: a map's colour for a weight of 1; for 0 it is `paper`."""

    paper: str
    ink: str
    faint: str
    weights: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1b1e24", "#d5d9e0", ("#9cc3e6", "#2f6fb0", "#0b2347"))
DARK = Theme("#14171c", "#e6e8ec", "#3a404a", ("#3c4f7a", "#d3803a", "#fff0b8"))

# By the first paper that has it; on each page the least distance between two colours is 20 in CIE Lab for
# readers with and without normal colour vision.
_LOOKS = {
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
# Seen to have letters that DejaVu Sans lacks; those that are installed help it out.
_HELPERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans Thai",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Ethiopic", "Arial Unicode MS",
)  # fmt: skip
_WIDTH, _HEIGHT = 7.6, 4.9  # inches
_CELL = 0.22  # inches, of a map
_LONGEST_SIDE = 14.0  # inches, of a map
_ACROSS = 16.0  # inches, of the maps side by side
_READABLE = 0.1  # inches, the least cell beside which a token is written
_TOKEN = 20  # characters of a token that are written


@dataclass(frozen=True)
class Style:
    """How a system is drawn wherever it appears."""

    light: str
    dark: str
    marker: str
    dashed: bool  # does not attend

    def line(self, theme: Theme) -> dict[str, Any]:
        """Arguments of Axes.plot."""
        return {
            "color": self.dark if theme == DARK else self.light,
            "marker": self.marker,
            "linestyle": (0, (4, 2)) if self.dashed else "-",
        }


def styles(systems: Sequence[System]) -> list[Style]:
    """A style for each: its architecture's own; for the unknown and the second of a kind, one that is still free."""
    own: list[str | None] = []
    for system in systems:
        known = architecture(system.name)
        own.append(known if known not in own else None)
    free = [look for look in _LOOKS if look not in own] or list(_LOOKS)
    taken = 0
    found = []
    for system, known in zip(systems, own, strict=True):
        if known is None:
            known = free[taken % len(free)]
            taken += 1
        found.append(Style(*_LOOKS[known], dashed=not system.attends))
    return found


def quality_by_time(lineage: Lineage, theme: Theme) -> Figure | None:
    """Dev BLEU against minutes of training, one line a system."""
    if not any(system.curve for system in lineage.systems):
        return None
    with settings(theme):
        figure, axes = new_axes("minutes of training", "dev BLEU")
        for system, style in zip(lineage.systems, styles(lineage.systems), strict=True):
            minutes = [point.minutes for point in system.curve]
            axes.plot(
                minutes,
                [point.bleu for point in system.curve],
                label=system.name,
                markevery=max(1, len(minutes) // 8),
                **style.line(theme),
            )
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        _name_lines(figure, lineage)
        return figure


def bins(lineage: Lineage) -> list[LengthBin]:
    """Every bin of source lengths that some system has, the shortest first."""
    return sorted(
        {(a.shortest, a.longest): a for system in reversed(lineage.systems) for a in system.lengths}.values(),
        key=lambda a: (a.shortest, a.longest),
    )


def span(length: LengthBin) -> str:
    """A bin's bounds as they are written."""
    if length.longest > 9999:
        return f"{length.shortest}+"
    return str(length.shortest) if length.shortest == length.longest else f"{length.shortest}–{length.longest}"


def quality_by_length(lineage: Lineage, theme: Theme) -> Figure | None:
    """BLEU against the source's length in words, one line a system (Bahdanau et al. 2014, figure 2)."""
    every = bins(lineage)
    if not every:
        return None
    places = {(a.shortest, a.longest): place for place, a in enumerate(every)}
    with settings(theme):
        figure, axes = new_axes("words in the source (sentences in the test set)", "BLEU")
        for system, style in zip(lineage.systems, styles(lineage.systems), strict=True):
            axes.plot(
                [places[a.shortest, a.longest] for a in system.lengths],
                [a.bleu for a in system.lengths],
                label=system.name,
                **style.line(theme),
            )
        axes.set_xticks(range(len(every)), [f"{span(a)}\n({a.sentences})" for a in every])
        axes.set_ylim(bottom=0)
        _name_lines(figure, lineage)
        return figure


def step_time(lineage: Lineage, theme: Theme) -> Figure | None:
    """Milliseconds of a training step against the length, both logarithmic, with the slopes of n and of n²."""
    steps = [step for system in lineage.systems for step in system.step_times if step.milliseconds > 0]
    if not steps:
        return None
    with settings(theme):
        figure, axes = new_axes("tokens in the source and in the target", "milliseconds a training step")
        axes.set_xscale("log")
        axes.set_yscale("log")
        for system, style in zip(lineage.systems, styles(lineage.systems), strict=True):
            timed = [step for step in system.step_times if step.milliseconds > 0]
            axes.plot(
                [step.length for step in timed],
                [step.milliseconds for step in timed],
                label=system.name,
                **style.line(theme),
            )
        lengths = sorted({step.length for step in steps})
        _guides(axes, lengths, min(step.milliseconds for step in steps), theme)
        axes.set_xticks(lengths, [str(length) for length in lengths])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _name_lines(figure, lineage)
        return figure


def alignments(lineage: Lineage, sample: int, theme: Theme) -> Figure | None:
    """What each system that attends looked at in one sample: one map a system, side by side."""
    found = [(system.name, system.attended[sample]) for system in lineage.systems]
    panels = [(name, a) for name, a in found if a is not None and a.source_tokens and a.target_tokens]
    return maps(panels, theme) if panels else None


def maps(
    panels: Sequence[tuple[str, Attended]], theme: Theme, *, most_columns: int = 4, of: str = "attention weight"
) -> Figure:
    """One map for each (title, weights): a row is a target token, a column a source token, dark is 1.

    Rows sum to 1 (Bahdanau et al. 2014, figure 3).
    """
    across = max(len(attended.source_tokens) for _, attended in panels)
    down = max(len(attended.target_tokens) for _, attended in panels)
    cell = min(_CELL, _LONGEST_SIDE / max(across, down))
    width, height = max(2.4, cell * across + 1.2), max(2.4, cell * down + 1.3)
    columns = max(1, min(len(panels), most_columns, int(_ACROSS / width)))
    rows = math.ceil(len(panels) / columns)
    with settings(theme):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.12)
        figure = Figure(figsize=(columns * width + 0.9, rows * height), layout=layout)
        grid = figure.subplots(rows, columns, squeeze=False)
        scale = LinearSegmentedColormap.from_list("weights", [theme.paper, *theme.weights])
        for axes, (name, attended) in zip(grid.flat, panels, strict=False):
            image = axes.imshow(
                np.array(attended.weights), cmap=scale, vmin=0, vmax=1, aspect="auto", interpolation="none"
            )
            _name_tokens(axes, attended, cell)
            axes.set_title(name, fontsize=11)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        figure.colorbar(image, ax=grid, label=of, shrink=min(1.0, 3.0 / (rows * height)), aspect=15)
        return figure


def to_png(figure: Figure, path: Path) -> None:
    """Write a picture 1,000 pixels wide or more; an existing file is replaced whole. Raises OSError."""
    with settings(LIGHT), open_atomic(path) as file:
        figure.savefig(file, format="png", dpi=max(60, min(160, 12_000 / max(figure.get_size_inches()))))


def to_svg(figure: Figure) -> str:
    """As SVG whose letters stay letters, in a font of the reader's machine; of the same figure always the same text."""
    with settings(LIGHT), io.StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        return text.getvalue()


def shown(token: str) -> str:
    """A token as it can be written in a picture: a space is seen, control characters are not."""
    if token == " ":
        return "␣"
    return "".join("�" if unicodedata.category(a) in ("Cc", "Cs") else a for a in token)


def _short(token: str) -> str:
    token = shown(token)
    return token if len(token) <= _TOKEN else token[: _TOKEN - 1] + "…"


@contextmanager
def settings(theme: Theme) -> Iterator[None]:
    """Settings under which a figure is made and written.

    A letter that no font has is an empty box in a PNG (in an SVG the reader's machine finds it): no reason
    to warn of it.
    """
    chosen: dict[Any, Any] = {
        "font.family": [*_families(), "sans-serif"],
        "font.size": 11.0,
        "text.parse_math": False,  # a token may be "$"
        "text.usetex": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "regard",
        "figure.facecolor": theme.paper,
        "savefig.facecolor": "auto",
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "grid.color": theme.faint,
        "lines.linewidth": 2.0,
        "lines.markersize": 7.0,
        "legend.frameon": False,
        "legend.handlelength": 3.5,
    }
    with matplotlib.rc_context(chosen), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support", category=UserWarning)
        yield


@functools.cache
def _families() -> tuple[str, ...]:
    _find_new_fonts()
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _HELPERS if name in installed))


def _find_new_fonts() -> None:
    """Matplotlib keeps its list of fonts for good, and so misses those that have been installed since."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(OSError, RuntimeError, ValueError):  # no font after all
                font_manager.fontManager.addfont(path)


def unwritable(text: str) -> set[str]:
    """The letters of a text that no font here has: a PNG shows an empty box for each."""
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in _families()]
    return {
        letter
        for letter in set(text)
        if not letter.isspace() and not any(font.get_char_index(ord(letter)) for font in fonts)
    }


def new_axes(across: str, up: str) -> tuple[Figure, Any]:
    """A figure with one chart in it, and the names of its axes."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _name_lines(figure: Figure, lineage: Lineage) -> None:
    mute = any(not system.attends for system in lineage.systems)
    figure.legend(
        loc="outside lower center",
        ncols=min(3, len(lineage.systems)),
        title="dashed: without attention" if mute else None,
        fontsize=10,
        title_fontsize=10,
    )


def _guides(axes: Any, lengths: Sequence[int], lowest: float, theme: Theme) -> None:
    """From below the lowest time, how n and n² would grow."""
    first, last, lowest = lengths[0], lengths[-1], 0.7 * lowest
    if first == last:
        return
    top = axes.get_ylim()[1]
    for power, name in ((1, "n"), (2, "n²")):
        end = min(float(last), first * (top / lowest) ** (1 / power))
        height = lowest * (end / first) ** power
        axes.plot((first, end), (lowest, height), color=theme.ink, alpha=0.55, linewidth=1.0, linestyle=":")
        axes.annotate(name, (end, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=10)


def _name_tokens(axes: Any, attended: Attended, cell: float) -> None:
    if cell < _READABLE:
        axes.set_xlabel(f"{len(attended.source_tokens)} source tokens")
        axes.set_ylabel(f"{len(attended.target_tokens)} target tokens")
        return
    size = min(9.0, 0.75 * 72 * cell)
    sources = [_short(token) for token in attended.source_tokens]
    targets = [_short(token) for token in attended.target_tokens]
    upright = all(len(token) == 1 for token in sources)
    axes.set_xticks(range(len(sources)), sources, rotation=0 if upright else 90, fontsize=size)
    axes.set_yticks(range(len(targets)), targets, fontsize=size)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=2)
