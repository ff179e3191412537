"""The analysis report as one HTML page that needs nothing beside it; its one script draws what runs look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from regard.attention import explorer
from regard.attention.maps import AttentionMaps
from regard.html.page import escape, render_page, render_sections
from regard.reports.analyze import sections
from regard.reports.analyze.results import Example, Report

MOST_WEIGHTS = 60_000  # of one sentence that are kept in the page: some 400 kB


def document(report: Report) -> str:
    """The whole page."""
    parts = [
        *sections.sections(report),
        ("sentences", "Sentences", _sentences(report)),
        ("method", "How the numbers were taken", sections.method(report)),
    ]
    return render_page(
        "Analysis: " + " and ".join(one.name for one in report.findings),
        render_sections(parts),
        facts=_facts(report),
        style=explorer.read_style() + _STYLE,
        script=explorer.read_script() + explorer.START_SCRIPT,
    )


_STYLE = """
article { margin: 1.6rem 0 2.4rem; }
article h4 { font-size: 1rem; margin: 0 0 0.3rem; }
article > .wide td { text-align: start; overflow-wrap: anywhere; max-width: 46rem; }
article > .wide th[scope="row"] { width: 11rem; }
article > .wide table { min-width: min(100%, 40rem); }
.note { border-inline-start: 3px solid var(--quiet); padding-inline-start: 0.8rem; }
#faults thead th { white-space: nowrap; }
#faults td.said { min-width: 6rem; }
.pairs { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.pairs figure { flex: 1 1 20rem; max-width: 30rem; margin-bottom: 0.5rem; }
.pairs figure img { min-width: 0; }
"""


def _facts(report: Report) -> str:
    test = report.test
    aside = test.read - len(test.sources)
    pairs = f"{test.read:,}" + (f", of which {aside:,} have no text on either side and are left aside" if aside else "")
    facts = [("Date", report.date), ("Test set", test.name), ("Pairs", pairs)]
    for one in report.findings:
        facts += [(one.name, "; ".join(f"{name} {value}" for name, value in one.facts.items()))]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>{listed}</dl>" + "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)


def _sentences(report: Report) -> str:
    numbers = count()
    names = [one.name for one in report.findings]
    parts = []
    for name, examples in zip(names, report.worst, strict=True):
        parts.append((f"The worst of {name}", "The least chrF against the reference.", examples))
    if report.differing:
        for name, other, examples in zip(names, reversed(names), report.differing, strict=True):
            parts.append((f"{name} better than {other}", "By the difference in chrF.", examples))
    return "".join(
        f"<h3>{escape(heading)}</h3><p>{how}</p>"
        + ("".join(_sentence(report, example, numbers) for example in examples) or "<p>There are none.</p>")
        for heading, how, examples in parts
    )


def _sentence(report: Report, example: Example, numbers: Iterator[int]) -> str:
    test, place = report.test, example.place
    rows = [
        _row("source", test.sources[place], ""),
        _row("reference", test.references[place], ""),
        *(
            _row(one.name, one.hypotheses[place], "; ".join([f"chrF {one.chrf[place]:.1f}", *one.faults[place]]))
            for one in report.findings
        ),
    ]
    looks = "".join(
        _explorer(one.name, found, next(numbers)) for one, found in zip(report.findings, example.looks, strict=True)
    )
    return (
        f'<article><h4>Line {test.lines[place]:,}</h4><div class="wide" role="region" tabindex="0" '
        f'aria-label="line {test.lines[place]}"><table><tbody>{"".join(rows)}</tbody></table></div>{looks}</article>\n'
    )


def _row(name: str, text: str, note: str) -> str:
    small = f"<small>{escape(note)}</small>" if note else ""
    shown = escape(text) if text.strip() else '<span class="quiet">(nothing)</span>'
    return f'<tr><th scope="row">{escape(name)}{small}</th><td dir="auto">{shown}</td></tr>'


def _explorer(name: str, looks: AttentionMaps | None, number: int) -> str:
    what = f"What {escape(name)} looked at"
    if looks is None:
        return f"<p>{what} is not shown: the sentence is too long.</p>"
    return f"<details><summary>{what}</summary>{explorer.render_explorer(number, _bounded(looks))}</details>\n"


def _bounded(looks: AttentionMaps) -> AttentionMaps:
    """With as many of its layers as a page can bear: all, those from target to source, or their mean alone."""
    layers = dict(looks.layers)
    for kind in ("encoder", "decoder", "source"):
        if sum(layer.size for some in layers.values() for layer in some) <= MOST_WEIGHTS:
            break
        layers.pop(kind, None)
    return replace(looks, layers=layers)
