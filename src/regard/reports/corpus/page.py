"""The report as one self-contained HTML page: no scripts, no fonts, nothing from the network."""

from __future__ import annotations

from functools import partial

from regard.corpus_checks.findings import DESCRIPTIONS, Finding, format_line_ranges
from regard.corpus_checks.inspection import CorpusReport
from regard.corpus_checks.lengths import QUANTILES
from regard.html.page import escape, render_facts, render_page, render_sections, render_table
from regard.reports.corpus import figures
from regard.reports.theme import render_figure

_MAX_LINES = 60  # line numbers listed for each kind of problem
_QUANTILE_NAMES = ("shortest", "1%", "25%", "median", "75%", "99%", "longest")
_SIDES = ("source", "target")

POSITIONS_CAPTION = (
    "Each row is a kind of problem, each column a part of the file. The stronger the colour, the more pairs of the "
    "part have the problem."
)
LENGTH_PAIRS_CAPTION = (
    "Pairs that are translations lie along a line. One side of the pairs far from the line is too long."
)


def render_report(report: CorpusReport) -> str:
    """Return the complete page."""
    sections = [
        ("findings", "Findings", _render_overview(report)),
        ("lengths", "Lengths", _render_lengths(report)),
        (
            "examples",
            "Lines and examples",
            "".join(_render_finding(finding, report.read) for finding in report.findings),
        ),
    ]
    return render_page(f"Corpus: {report.name}", render_sections(sections), facts=_render_head(report))


def _render_head(report: CorpusReport) -> str:
    facts = [("Pairs", f"{report.read:,}, of which {report.pairs:,} have text on both sides")]
    for name, language, scripts in zip(_SIDES, report.languages, report.scripts, strict=True):
        facts.append((name.capitalize(), f"{language or 'unknown language'}, {' and '.join(scripts) or 'no letters'}"))
    facts += [("Note", sentence) for sentence in (*report.remarks, *report.skipped.sentences())]
    return render_facts((name, escape(value)) for name, value in facts)


def _render_overview(report: CorpusReport) -> str:
    findings = list(report.findings)
    if not findings:
        return "<p>No problems were found.</p>"
    rows = [
        (
            f'<a href="#{finding.kind.value}">{finding.kind.value}</a>',
            f"{finding.count:,}",
            f"{finding.count / report.read:.2%}",
            escape(DESCRIPTIONS[finding.kind]),
        )
        for finding in findings
    ]
    html = render_table("Findings by kind", ("kind", "pairs", "share", "meaning"), rows, text_columns=(0, 3))
    if report.unrelated_share >= 0.01:
        html += f"<p>About {report.unrelated_share:.0%} of all pairs do not seem to be translations of each other.</p>"
    return html + _render_shifts(report) + _render_positions(report)


def _render_shifts(report: CorpusReport) -> str:
    if not report.regions:
        return ""
    items = ""
    for region in report.regions:
        lines = f"{abs(region.shift)} line{'' if abs(region.shift) == 1 else 's'}"
        direction = "down" if region.shift > 0 else "up"
        items += f"<li>Lines {region.begin:,} to {region.end:,}: the targets are {lines} further {direction}.</li>"
    return f"<h3>Misaligned lines</h3><ul>{items}</ul>"


def _render_positions(report: CorpusReport) -> str:
    return "<h3>Position in the file</h3>" + render_figure(
        partial(figures.draw_positions, report),
        alt="Heat map of the pairs with each kind of problem, by their position in the file.",
        caption=POSITIONS_CAPTION,
    )


def _render_lengths(report: CorpusReport) -> str:
    rows = [
        (f"{name}, {unit}", *(f"{number:,}" for number in numbers))
        for name, side in zip(_SIDES, report.lengths, strict=True)
        for unit, numbers in (("characters", side.characters), ("words", side.words))
    ]
    return (
        render_table("Lengths", ("", *_QUANTILE_NAMES[: len(QUANTILES)]), rows)
        + render_figure(
            partial(figures.draw_lengths, report),
            alt="Distribution of the number of characters in a text, for the source and the target.",
            caption="The length of the texts of each side.",
        )
        + render_figure(
            partial(figures.draw_length_pairs, report),
            alt="Heat map of pairs by the number of characters in the source and in the target.",
            caption=LENGTH_PAIRS_CAPTION,
        )
    )


def _render_finding(finding: Finding, read: int) -> str:
    kind, meaning = finding.kind.value, escape(DESCRIPTIONS[finding.kind])
    lines = finding.lines[:_MAX_LINES]
    more = f" and {finding.count - len(lines):,} more" if finding.count > len(lines) else ""
    rows = [
        (f"{example.line:,}", escape(example.note), escape(example.source), escape(example.target))
        for example in finding.examples
    ]
    table = render_table(f"Examples of {kind}", ("line", "reason", "source", "target"), rows, text_columns=(0, 1, 2, 3))
    return (
        f'<h3 id="{kind}">{kind}: {finding.count:,} ({finding.count / read:.2%})</h3>'
        f"<p>{meaning[0].upper()}{meaning[1:]}. "
        f"Line{'s' if len(lines) > 1 else ''} {format_line_ranges(lines)}{more}.</p>{table}"
    )
