"""The table of several values as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from regard.files import write_atomic
from regard.html.page import escape, render_details, render_facts, render_page, render_sections, render_table
from regard.reports.compare.results import MeanScore
from regard.reports.compare.value_table import MISSING, ValueTable

STYLE = """
th[scope="row"] { min-width: 0; position: sticky; left: 0; background: var(--paper); }
th, td { padding: 0.35rem 0.5rem; white-space: nowrap; }
tbody tr.mean > * { border-top: 2px solid var(--rule); font-weight: 600; }
"""
METHOD = (
    "Each row has the results on one test set, each column those of one system. The highest score of a row is shaded.",
    "± is the sample standard deviation over the seeds. Without it, there is one seed.",
    "The mean is that of the rows. Its deviation is that of the means of the rows for each seed. A system that lacks a "
    "result has no mean.",
    "Exact match is the share of translations that equal their reference character by character. BLEU and chrF are "
    "computed by sacreBLEU; its signatures are in the page of each row. The beam size is {beam_size}.",
    "The name of a row leads to its comparison: intervals, speed, learning curves, sample translations and attention. "
    "<code>report.json</code> has the same numbers as this page.",
)


def write_value_page(table: ValueTable, out: Path) -> Path:
    """Write OUT/index.html, and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    write_atomic(page, _render(table))
    return page


def _render(table: ValueTable) -> str:
    rest = [metric for metric in table.metrics if metric != table.metric]
    sections = [
        ("scores", escape(_heading(table.metric)), _render_scores(table, table.metric)),
        ("metrics", "Other metrics", "".join(_render_metric(table, metric) for metric in rest)),
        ("method", "Method", _render_method(table)),
    ]
    if table.failures:
        items = "".join(f"<li>{escape(name)}: {escape(text)}</li>" for name, text in table.failures.items())
        sections.insert(1, ("failures", "Left out", f"<ul>{items}</ul>"))
    return render_page(table.title, render_sections(sections), facts=_render_facts(table), style=STYLE)


def _heading(metric: str) -> str:
    return "Exact match, in percent" if metric == "exact %" else metric


def _render_facts(table: ValueTable) -> str:
    seeds = f", {table.seeds} seeds" if table.seeds > 1 else ""
    return render_facts(
        [
            ("Date", f'<time datetime="{escape(table.date)}">{escape(table.date)}</time>'),
            ("Machine", escape(table.machine)),
            ("Training", escape(f"{table.budget} for each system{seeds}")),
            ("Rows", escape(", ".join(table.placeholders))),
        ]
    )


def _render_scores(table: ValueTable, metric: str) -> str:
    links = [f'<a href="{quote(row.folder)}/index.html">{escape(row.value)}</a>' for row in table.rows]
    pairs = [f"<small>{row.test_pairs:,} pairs</small>" for row in table.rows]
    names = [
        link + size if row.test_pairs else escape(row.value)
        for link, size, row in zip(links, pairs, table.rows, strict=True)
    ]
    rows = [
        (names[index] if index < len(names) else escape(name), *_render_cells(scores))
        for index, (name, scores) in enumerate(table.cells(metric))
    ]
    head = (escape(", ".join(table.placeholders)), *map(escape, table.systems))
    html = render_table(f"{_heading(metric)} of each system for each value", head, rows)
    if len(table.rows) > 1:  # the last row is the mean
        before, _, last = html.rpartition("<tr>")
        html = f'{before}<tr class="mean">{last}'
    return html


def _render_cells(scores: Sequence[MeanScore | None]) -> list[str]:
    best = max((score.mean for score in scores if score is not None), default=0.0)
    return [_render_cell(score, best) for score in scores]


def _render_cell(score: MeanScore | None, best: float) -> str:
    if score is None:
        return f"<td>{MISSING}</td>"
    deviation = "" if score.deviation is None else f"<small>± {score.deviation:.2f}</small>"
    shade = " class=best" if 0 < best == score.mean else ""
    return f"<td{shade}>{score.mean:.2f}{deviation}</td>"


def _render_metric(table: ValueTable, metric: str) -> str:
    return render_details(escape(_heading(metric)), _render_scores(table, metric))


def _render_method(table: ValueTable) -> str:
    return f"<ul>{''.join(f'<li>{point.format(beam_size=table.beam_size)}</li>' for point in METHOD)}</ul>"
