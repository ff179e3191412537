"""The attention explorer: JavaScript and CSS that draw attention maps, and HTML that holds their data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ExplorerData = Mapping[str, Any]
"""Attention maps as JSON, see `regard.attention.explorer.to_json`."""

START_SCRIPT = """
for (const place of document.querySelectorAll(".explorer")) {
  new Explorer(place, JSON.parse(document.getElementById(place.dataset.maps).textContent));
}
"""
_FOLDER = Path(__file__).parent


def read_script() -> str:
    """Return the JavaScript that defines `new Explorer(place, maps)`."""
    return (_FOLDER / "explorer.js").read_text(encoding="utf-8")


def read_style() -> str:
    """Return the CSS of elements with the class `explorer`, which explorers draw in."""
    return (_FOLDER / "explorer.css").read_text(encoding="utf-8")


def dump_for_script(data: object) -> str:
    """Return JSON that can be a part of a `script` element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def render_explorer(number: int, data: ExplorerData) -> str:
    """Return HTML: the element in which an explorer is drawn, and its data.

    Args:
        number: Number of the explorer, unique on its page.
        data: What it shows.
    """
    return (
        f'<div class="explorer" data-maps="maps-{number}"></div>\n'
        f'<script type="application/json" id="maps-{number}">{dump_for_script(data)}</script>\n'
    )
