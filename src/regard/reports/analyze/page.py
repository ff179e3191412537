"""The report as one self-contained HTML page. Its only script draws attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from regard.attention.explorer import to_json
from regard.attention.maps import AttentionMaps
from regard.html import explorer
from regard.html.page import escape, render_facts, render_page, render_sections, render_table
from regard.reports.analyze import sections
from regard.reports.analyze.results import AnalysisReport, Example

MAX_WEIGHTS = 60_000  # attention weights of one sentence in the page, about 400 kB

_STYLE = """
article { margin: 1.6rem 0 2.4rem; }
article h4 { font-size: 1rem; margin: 0 0 0.3rem; }
article > .wide th[scope="row"] { width: 11rem; }
article > .wide table { min-width: min(100%, 40rem); }
.note { border-inline-start: 3px solid var(--quiet); padding-inline-start: 0.8rem; }
#errors thead th { white-space: nowrap; }
#errors td.text { min-width: 6rem; }
.pairs { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.pairs figure { flex: 1 1 20rem; max-width: 30rem; margin-bottom: 0.5rem; }
.pairs figure img { min-width: 0; }
"""


def render_report(report: AnalysisReport) -> str:
    """Return the complete page."""
    parts = [
        *sections.render_all(report),
        ("sentences", "Sentences", _render_examples(report)),
        ("method", "Method", sections.render_method(report)),
    ]
    return render_page(
        "Analysis: " + " and ".join(run.name for run in report.runs),
        render_sections(parts),
        facts=_render_head(report),
        style=explorer.read_style() + _STYLE,
        script=explorer.read_script() + explorer.START_SCRIPT,
    )


def _render_head(report: AnalysisReport) -> str:
    test = report.test
    skipped = test.pairs_read - len(test)
    pairs = f"{test.pairs_read:,}" + (
        f", of which {skipped:,} have no text on either side and are skipped" if skipped else ""
    )
    facts = [("Date", report.date), ("Test set", test.name), ("Pairs", pairs)]
    facts += [(run.name, "; ".join(f"{name}: {value}" for name, value in run.facts.items())) for run in report.runs]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    return render_facts((name, escape(value)) for name, value in facts) + notes


def _render_examples(report: AnalysisReport) -> str:
    numbers = count()
    names = [run.name for run in report.runs]
    groups = [
        (f"Worst translations of {name}", "By chrF against the reference.", examples)
        for name, examples in zip(names, report.worst, strict=True)
    ]
    if report.differing:
        groups += [
            (f"{better} better than {worse}", "By the difference in chrF.", examples)
            for better, worse, examples in zip(names, reversed(names), report.differing, strict=True)
        ]
    html = ""
    for heading, order, examples in groups:
        articles = "".join(_render_example(report, example, numbers) for example in examples)
        html += f"<h3>{escape(heading)}</h3><p>{order}</p>{articles or '<p>There are none.</p>'}"
    return html


def _render_example(report: AnalysisReport, example: Example, numbers: Iterator[int]) -> str:
    test, index = report.test, example.index
    rows = [("source", _render_text(test.sources[index])), ("reference", _render_text(test.references[index]))]
    for run in report.runs:
        note = "; ".join([f"chrF {run.chrf[index]:.1f}", *run.errors[index]])
        rows.append((f"{escape(run.name)}<small>{escape(note)}</small>", _render_text(run.hypotheses[index])))
    line = f"{test.lines[index]:,}"
    table = render_table(f"line {line}", (), rows, text_columns=(0, 1))
    maps = "".join(
        _render_attention(run.name, run_maps, next(numbers))
        for run, run_maps in zip(report.runs, example.maps, strict=True)
    )
    return f"<article><h4>Line {line}</h4>{table}{maps}</article>\n"


def _render_text(text: str) -> str:
    return escape(text) if text.strip() else '<span class="quiet">(empty)</span>'


def _render_attention(name: str, maps: AttentionMaps | None, number: int) -> str:
    title = f"Attention of {escape(name)}"
    if maps is None:
        return f"<p>{title}: not shown, the sentence is too long.</p>"
    return (
        f"<details><summary>{title}</summary>{explorer.render_explorer(number, to_json(_limit_size(maps)))}</details>\n"
    )


def _limit_size(maps: AttentionMaps) -> AttentionMaps:
    """Drop layers until MAX_WEIGHTS are left: first those of the encoder, then the decoder's, then all but the mean."""
    layers = dict(maps.layers)
    for kind in ("encoder", "decoder", "source"):
        if sum(weights.size for kind_layers in layers.values() for weights in kind_layers) <= MAX_WEIGHTS:
            break
        layers.pop(kind, None)
    return replace(maps, layers=layers)
