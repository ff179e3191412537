"""HTML that a notebook shows as the value of a cell. It needs no network, and takes its colours from the notebook."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from regard.html.explorer import ExplorerData, dump_for_script, read_script, read_style
from regard.html.page import escape

MAX_CELLS = 1500  # of a table of weights; the explorer shows larger ones, too
MIN_SHOWN = 0.05  # lowest weight whose number is shown in the table


def render_output_table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return a table of plain texts. The first cell of each row is its heading."""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    thead = f"<thead><tr>{columns}</tr></thead>" if head else ""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td dir=auto>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return f"<table>{thead}<tbody>{body}</tbody></table>"


def render_output_explorers(panels: Sequence[ExplorerData]) -> str:
    """Return an explorer for each panel. Where no scripts run, each is a table of the mean weights of tokens.

    The ids are random, so that the outputs of a notebook do not interfere.
    """
    if not panels:
        return ""
    ids = [f"regard-{secrets.token_hex(8)}" for _ in panels]
    places = "".join(f'<div id="{name}">{_render_weights(data)}</div>' for name, data in zip(ids, panels, strict=True))
    draw = Path(__file__).with_name("notebook.js").read_text(encoding="utf-8")
    arguments = f"{dump_for_script(list(zip(ids, panels, strict=True)))}, {dump_for_script(read_style())}"
    return f"{places}<script>(() => {{\n{read_script()}{draw}drawExplorers({arguments});\n}})();</script>"


def _render_weights(data: ExplorerData) -> str:
    rows, columns = data["target"]["tokens"], data["source"]["tokens"]
    if len(rows) * len(columns) > MAX_CELLS:
        return f"<p>Attention of {len(rows):,} tokens to {len(columns):,}.</p>"
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_render_weight, weights))}</tr>'
        for name, weights in zip(rows, data["mean"], strict=True)
    )
    return f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"


def _render_weight(weight: float) -> str:
    shown = f"{100 * weight:.0f}" if weight >= MIN_SHOWN else ""
    return f'<td style="background: rgba(58, 130, 210, {0.75 * weight:.2f})">{shown}</td>'
