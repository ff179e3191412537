"""An interactive page of attention maps, in one file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard.attention.maps import AttentionMaps, AttentionWeights, TokenizedText
from regard.html.page import escape, render_page

DIGITS = 4  # of a weight
_FOLDER = Path(__file__).parent
START_SCRIPT = """
for (const place of document.querySelectorAll(".explorer")) {
  new Explorer(place, JSON.parse(document.getElementById(place.dataset.maps).textContent));
}
"""


def to_json(maps: AttentionMaps) -> dict[str, Any]:
    """Return the maps as JSON: both texts, the mean (T, S), and for each kind its layers (H, rows, columns)."""
    return {
        "source": _text_to_json(maps.source),
        "target": _text_to_json(maps.target),
        "gradient": maps.is_saliency,
        "alignment": [list(link) for link in maps.word_alignment()],
        "mean": _round(maps.mean),
        "layers": {kind: [_round(layer) for layer in layers] for kind, layers in maps.layers.items()},
    }


def _text_to_json(text: TokenizedText) -> dict[str, Any]:
    return {"tokens": text.tokens, "words": text.words, "word_of_token": text.word_of_token}


def _round(weights: AttentionWeights) -> Any:
    return np.round(weights.astype(float), DIGITS).tolist()


def read_script() -> str:
    """Return the JavaScript that defines `new Explorer(place, maps)`."""
    return (_FOLDER / "explorer.js").read_text(encoding="utf-8")


def read_style() -> str:
    """Return the CSS of elements with the class `explorer`, which explorers draw in."""
    return (_FOLDER / "explorer.css").read_text(encoding="utf-8")


def render_explorer(number: int, maps: AttentionMaps) -> str:
    """Return HTML: the element in which an explorer is drawn, and its data.

    Args:
        number: Number of the explorer, unique on its page.
        maps: What it shows.
    """
    data = json.dumps(to_json(maps), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="explorer" data-maps="maps-{number}"></div>\n'
        f'<script type="application/json" id="maps-{number}">{data}</script>\n'
    )


def render_explorer_page(title: str, panels: Sequence[tuple[str, AttentionMaps]]) -> str:
    """Return a complete page with one explorer for each (heading, maps)."""
    texts = "".join(
        f"<section><h2 dir=auto>{escape(heading)}</h2>{render_explorer(number, maps)}</section>\n"
        for number, (heading, maps) in enumerate(panels)
    )
    return render_page(title, f"<main>\n{texts}</main>\n", style=read_style(), script=read_script() + START_SCRIPT)
