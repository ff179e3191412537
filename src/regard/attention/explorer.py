"""An interactive page of attention maps, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from regard.attention.maps import AttentionMaps, AttentionWeights, TokenizedText
from regard.html.explorer import START_SCRIPT, read_script, read_style, render_explorer
from regard.html.page import escape, render_page

DIGITS = 4  # of a weight


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


def render_explorer_page(title: str, panels: Sequence[tuple[str, AttentionMaps]]) -> str:
    """Return a complete page with one explorer for each (heading, maps)."""
    texts = "".join(
        f"<section><h2 dir=auto>{escape(heading)}</h2>{render_explorer(number, to_json(maps))}</section>\n"
        for number, (heading, maps) in enumerate(panels)
    )
    return render_page(title, f"<main>\n{texts}</main>\n", style=read_style(), script=read_script() + START_SCRIPT)
