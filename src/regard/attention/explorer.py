"""A page on which a reader goes through all that a model looks at, in one file that needs nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard.attention.maps import Looks, Side, Weights
from regard.html.page import render_page, safe

DIGITS = 4  # of a weight
_HERE = Path(__file__).parent
START = """
for (const place of document.querySelectorAll(".explorer")) {
  new Explorer(place, JSON.parse(document.getElementById(place.dataset.looks).textContent));
}
"""


def table(looks: Looks) -> dict[str, Any]:
    """As JSON has it: both sides, the mean over all (T, S), and of each kind the layers, (H, rows, columns)."""
    return {
        "source": _side(looks.source),
        "target": _side(looks.target),
        "gradient": looks.gradient,
        "alignment": [list(link) for link in looks.alignment()],
        "mean": _rounded(looks.mean),
        "layers": {kind: [_rounded(layer) for layer in layers] for kind, layers in looks.layers.items()},
    }


def _side(side: Side) -> dict[str, Any]:
    return {"tokens": side.tokens, "words": side.words, "word_of_token": side.unit}


def _rounded(weights: Weights) -> Any:
    return np.round(weights.astype(float), DIGITS).tolist()


def script() -> str:
    """What draws, `new Explorer(place, looks)`, as JavaScript."""
    return (_HERE / "explorer.js").read_text(encoding="utf-8")


def style() -> str:
    """How it looks, as CSS; a place of the class `explorer` is drawn in."""
    return (_HERE / "explorer.css").read_text(encoding="utf-8")


def embedded(number: int, looks: Looks) -> str:
    """The place where it is drawn, and the numbers, as HTML."""
    numbers = json.dumps(table(looks), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="explorer" data-looks="looks-{number}"></div>\n'
        f'<script type="application/json" id="looks-{number}">{numbers}</script>\n'
    )


def page(title: str, panels: Sequence[tuple[str, Looks]]) -> str:
    """A whole page with one explorer for each (heading, looks)."""
    texts = "".join(
        f"<section><h2 dir=auto>{safe(heading)}</h2>{embedded(number, looks)}</section>\n"
        for number, (heading, looks) in enumerate(panels)
    )
    return render_page(title, f"<main>\n{texts}</main>\n", style=style(), script=script() + START)
