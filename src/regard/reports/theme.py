"""Figures for HTML pages: colours for light and dark pages, fonts, axes, and files."""

from __future__ import annotations

import functools
import io
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure

from regard.files import open_atomic
from regard.html.page import render_svg


@dataclass(frozen=True)
class Theme:
    """The colours of a page.

    Attributes:
        paper: The background.
        ink: Text and axes.
        grid: Grid lines.
        scale: Colours of a colour map, from low to high. The lowest value is drawn in `paper`.
    """

    paper: str
    ink: str
    grid: str
    scale: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1b1e24", "#d5d9e0", ("#9cc3e6", "#2f6fb0", "#0b2347"))
DARK = Theme("#14171c", "#e6e8ec", "#3a404a", ("#3c4f7a", "#d3803a", "#fff0b8"))

# Two colours of Okabe and Ito for two lines in one figure, each for light and dark paper.
BLUE, ORANGE = ("#0072b2", "#56b4e9"), ("#b34700", "#e69f00")

# Fonts with letters that DejaVu Sans lacks, used if they are installed.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans Thai",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Ethiopic", "Arial Unicode MS",
)  # fmt: skip
_WIDTH, _HEIGHT = 7.6, 4.9  # inches


@contextmanager
def figure_settings(theme: Theme) -> Iterator[None]:
    """Set up matplotlib to create or save a figure.

    A letter that no font has becomes an empty box in a PNG; in an SVG the reader's fonts are used. Matplotlib's
    warnings about such letters are turned off.
    """
    settings: dict[Any, Any] = {
        "font.family": [*_font_families(), "sans-serif"],
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
        "grid.color": theme.grid,
        "lines.linewidth": 2.0,
        "lines.markersize": 7.0,
        "legend.frameon": False,
        "legend.handlelength": 3.5,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support", category=UserWarning)
        yield


def create_axes(x_label: str, y_label: str) -> tuple[Figure, Any]:
    """Create a figure with one pair of axes. Call it under `figure_settings`."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_png(figure: Figure, path: Path) -> None:
    """Save a picture that is at least 1,000 pixels wide. An existing file is replaced atomically. Raises OSError."""
    with figure_settings(LIGHT), open_atomic(path) as file:
        figure.savefig(file, format="png", dpi=max(60, min(160, 12_000 / max(figure.get_size_inches()))))


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG. Text stays text, in a font of the reader; the same figure gives the same SVG."""
    with figure_settings(LIGHT), io.StringIO() as text:
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        return text.getvalue()


def render_figure(
    draw: Callable[[Theme], Figure | None], *, alt: str, caption: str, kind: str = "chart", png: Path | None = None
) -> str:
    """Return HTML with the figure for light and dark pages, or "" if there is nothing to draw.

    Args:
        draw: Draws the figure with a theme; None if there is nothing to draw.
        alt: What the figure shows, in plain text.
        caption: Plain text below the figure.
        kind: Class of the figure: `chart`, `square` or `maps`.
        png: File for a copy of the figure as PNG.
    """
    light, dark = draw(LIGHT), draw(DARK)
    if light is None or dark is None:
        return ""
    if png is not None:
        save_png(light, png)
    return render_svg(to_svg(light), to_svg(dark), kind=kind, alt=alt, caption=caption)


def visible_token(token: str) -> str:
    """Return a token as it is drawn: a space becomes visible, control characters become U+FFFD."""
    if token == " ":
        return "␣"
    return "".join("�" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in token)


def find_missing_glyphs(text: str) -> set[str]:
    """Return the letters that no installed font has. A PNG shows an empty box for each."""
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in _font_families()]
    return {
        letter
        for letter in set(text)
        if not letter.isspace() and not any(font.get_char_index(ord(letter)) for font in fonts)
    }


@functools.cache
def _font_families() -> tuple[str, ...]:
    _add_new_fonts()
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed))


def _add_new_fonts() -> None:
    """Add fonts that were installed after matplotlib cached its list of fonts."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(OSError, RuntimeError, ValueError):  # not a font
                font_manager.fontManager.addfont(path)
