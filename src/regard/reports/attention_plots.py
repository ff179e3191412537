"""Pictures of attention: one map for each system, layer or head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from regard.attention.matrix import AttentionMatrix
from regard.reports.theme import Theme, figure_settings, visible_token

_CELL = 0.22  # inches, of one weight
_LONGEST_SIDE = 14.0  # inches, of one map
_TOTAL_WIDTH = 16.0  # inches, of the maps in one row
_READABLE_CELL = 0.1  # inches: the tokens of smaller cells are not written
_MAX_TOKEN = 20  # characters
_MAX_STRETCH = 1.5  # a map with fewer rows than the highest has square cells instead of higher ones


def draw_attention_maps(
    panels: Sequence[tuple[str, AttentionMatrix]],
    theme: Theme,
    *,
    max_columns: int = 4,
    label: str = "attention weight",
    axes_labels: tuple[str, str] = ("source", "target"),
) -> Figure:
    """Draw one map for each (title, weights), as in Bahdanau et al. 2014, figure 3.

    A row is a target token, a column is a source token, and the colour is the weight from 0 to 1.

    Args:
        panels: Titles and weights.
        theme: Colours.
        max_columns: Maps in one row of the picture at most.
        label: What the weights are, written next to the colour scale.
        axes_labels: What the columns and the rows are.
    """
    across = max(len(matrix.source_tokens) for _, matrix in panels)
    down = max(len(matrix.target_tokens) for _, matrix in panels)
    cell = min(_CELL, _LONGEST_SIDE / max(across, down))
    width, height = max(2.4, cell * across + 1.2), max(2.4, cell * down + 1.3)
    columns = max(1, min(len(panels), max_columns, int(_TOTAL_WIDTH / width)))
    rows = math.ceil(len(panels) / columns)
    with figure_settings(theme):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.12)
        figure = Figure(figsize=(columns * width + 0.9, rows * height), layout=layout)
        grid = figure.subplots(rows, columns, squeeze=False)
        scale = LinearSegmentedColormap.from_list("weights", [theme.paper, *theme.scale])
        for axes, (title, matrix) in zip(grid.flat, panels, strict=False):
            aspect = "equal" if down > _MAX_STRETCH * len(matrix.target_tokens) else "auto"
            image = axes.imshow(
                np.array(matrix.weights), cmap=scale, vmin=0, vmax=1, aspect=aspect, interpolation="none"
            )
            axes.set_anchor("N")  # a shorter map is at the top
            _label_tokens(axes, matrix, cell, axes_labels)
            axes.set_title(title, fontsize=11)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        figure.colorbar(image, ax=grid, label=label, shrink=min(1.0, 3.0 / (rows * height)), aspect=15, panchor=False)
        return figure


def _label_tokens(axes: Any, matrix: AttentionMatrix, cell: float, axes_labels: tuple[str, str]) -> None:
    columns, rows = axes_labels
    if cell < _READABLE_CELL:
        axes.set_xlabel(f"{len(matrix.source_tokens)} {columns} tokens")
        axes.set_ylabel(f"{len(matrix.target_tokens)} {rows} tokens")
        return
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    size = min(9.0, 0.75 * 72 * cell)
    sources = [_shorten(token) for token in matrix.source_tokens]
    targets = [_shorten(token) for token in matrix.target_tokens]
    is_upright = all(len(token) == 1 for token in sources)
    axes.set_xticks(range(len(sources)), sources, rotation=0 if is_upright else 90, fontsize=size)
    axes.set_yticks(range(len(targets)), targets, fontsize=size)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=2)


def _shorten(token: str) -> str:
    token = visible_token(token)
    return token if len(token) <= _MAX_TOKEN else token[: _MAX_TOKEN - 1] + "…"
