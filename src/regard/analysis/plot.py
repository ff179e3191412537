"""Pictures of attention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from numpy.typing import NDArray

from regard.errors import DataError
from regard.symbols import SPECIAL
from regard.translator import Translation

CELL = 0.28  # inches
LEAST = 2.0  # inches, of a map's side


def draw_attention(panels: Sequence[tuple[str, Translation]], path: Path) -> None:
    """One map for each (title, translation), one above the other, as a PNG or whatever the path's ending says.

    A row is a target token, a column a source token, and a cell the weight between 0 and 1 that the
    one gave the other; rows sum to 1 (Bahdanau et al. 2014, figure 3). Raises DataError where a
    translation has no attention.
    """
    widths, heights = [], []
    for title, translation in panels:
        if translation.attention is None:
            raise DataError(
                f"{title}: there is no attention to draw", fix="translate with_attention, by a model that attends"
            )
        rows, columns = translation.attention.shape
        widths.append(max(LEAST, CELL * columns))
        heights.append(max(LEAST, CELL * rows))
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"], "svg.fonttype": "none"}):
        figure = Figure(figsize=(max(widths) + 2.2, sum(heights) + 1.2 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axes, (title, translation) in zip(grid[:, 0], panels, strict=True):
            image = _draw(axes, title, translation)
        figure.colorbar(image, ax=list(grid[:, 0]), label="attention weight", shrink=0.7)
        figure.savefig(path, dpi=150)


def _draw(axes: Any, title: str, translation: Translation) -> Any:
    attention: NDArray[Any] | None = translation.attention
    assert attention is not None
    image = axes.imshow(attention, cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
    said = [*translation.tokens, SPECIAL[2]][: attention.shape[0]]
    axes.set_xticks(range(len(translation.source_tokens)), [_shown(token) for token in translation.source_tokens])
    axes.set_yticks(range(len(said)), [_shown(token) for token in said])
    axes.tick_params(axis="x", labeltop=True, labelbottom=False, top=True, bottom=False)
    for label in axes.get_xticklabels():
        label.set_rotation(90 if len(label.get_text()) > 1 else 0)
    axes.set_xlabel("source token")
    axes.set_ylabel("target token")
    axes.set_title(title)
    return image


def _shown(token: str) -> str:
    return "␣" if token == " " else token
