"""A page on which a reader goes through all that a model looks at, in one file that needs nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard.analysis.looking import Looks, Side, Weights
from regard.analysis.page import safe

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


def guard(code: str) -> str:
    """The policy of a page whose only script is this code: nothing else in it can run, or be fetched."""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def embedded(number: int, looks: Looks) -> str:
    """The place where it is drawn, and the numbers, as HTML."""
    numbers = json.dumps(table(looks), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<div class="explorer" data-looks="looks-{number}"></div>\n'
        f'<script type="application/json" id="looks-{number}">{numbers}</script>\n'
    )


def page(title: str, panels: Sequence[tuple[str, Looks]]) -> str:
    """A whole page with one explorer for each (heading, looks)."""
    code = script() + START
    css = (_HERE / "page.css").read_text(encoding="utf-8") + style()
    body = "".join(
        f"<section><h2 dir=auto>{safe(heading)}</h2>{embedded(number, looks)}</section>\n"
        for number, (heading, looks) in enumerate(panels)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{guard(code)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{safe(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        f"<header><h1>{safe(title)}</h1></header>\n<main>\n{body}</main>\n<script>{code}</script>\n</body>\n</html>\n"
    )
