"""What was found in a corpus as one HTML page that needs nothing beside it: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Callable

from regard.corpus_checks.findings import MEANING, Finding, spans
from regard.corpus_checks.inspection import Report
from regard.corpus_checks.lengths import QUANTILES
from regard.html.page import render_page, safe, sectioned, svg_picture
from regard.reports.compare.figures import DARK, LIGHT, Theme
from regard.reports.corpus import figures

_SHOWN = 60  # lines of a kind
_QUANTILES = ("least", "1%", "25%", "median", "75%", "99%", "most")


def document(report: Report) -> str:
    """The whole page."""
    sections = [
        ("findings", "What was found", _overview(report)),
        ("lengths", "Lengths", _lengths(report)),
        ("examples", "Lines and examples", "".join(_finding(finding, report.read) for finding in report.findings)),
    ]
    return render_page(f"Corpus: {report.name}", sectioned(sections), facts=_facts(report))


def _facts(report: Report) -> str:
    sides = [
        (name.capitalize(), f"{language or 'language not clear'}, {' and '.join(scripts) or 'no letters'}")
        for name, language, scripts in zip(("source", "target"), report.languages, report.scripts, strict=True)
    ]
    facts = [
        ("Pairs", f"{report.read:,}, of them with text on both sides {report.pairs:,}"),
        *sides,
        *(("Remark", sentence) for sentence in (*report.remarks, *report.skipped.sentences())),
    ]
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{safe(value)}</dd>' for name, value in facts)}</dl>"


def _overview(report: Report) -> str:
    findings = list(report.findings)
    if not findings:
        return "<p>Nothing was found.</p>"
    rows = "".join(
        f'<tr><th scope="row"><a href="#{finding.kind.value}">{finding.kind.value}</a></th>'
        f"<td>{finding.count:,}</td><td>{finding.count / report.read:.2%}</td>"
        f'<td class="said">{safe(MEANING[finding.kind])}</td></tr>\n'
        for finding in findings
    )
    text = (
        '<div class="wide" role="region" tabindex="0" aria-label="Faults by kind"><table><thead><tr>'
        '<th scope="col">kind</th><th scope="col">pairs</th><th scope="col">of all</th>'
        f'<th scope="col" class="left">meaning</th></tr></thead><tbody>\n{rows}</tbody></table></div>'
    )
    if report.unrelated_share >= 0.01:
        text += f"<p>About {report.unrelated_share:.0%} of all pairs do not seem to belong together.</p>"
    if report.regions:
        items = "".join(
            f"<li>Lines {region.begin:,} to {region.end:,}: targets stand {abs(region.shift)} "
            f"{'line' if abs(region.shift) == 1 else 'lines'} further {'down' if region.shift > 0 else 'up'}.</li>"
            for region in report.regions
        )
        text += f"<h3>Out of step</h3><ul>{items}</ul>"
    return (
        text
        + "<h3>Where they stand</h3>"
        + _picture(
            lambda theme: figures.places(report, theme),
            "Where faults stand in the file, a row for each kind.",
            "A row is a kind of fault, a column a part of the file: the stronger its colour, the more pairs have it.",
        )
    )


def _lengths(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{name}, {unit}</th>{"".join(f"<td>{number:,}</td>" for number in numbers)}</tr>\n'
        for name, side in zip(("source", "target"), report.lengths, strict=True)
        for unit, numbers in (("characters", side.characters), ("words", side.words))
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("", *_QUANTILES[: len(QUANTILES)]))
    return (
        '<div class="wide" role="region" tabindex="0" aria-label="Lengths"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>"
        + _picture(
            lambda theme: figures.lengths(report, theme),
            "Two curves of the share of texts against their number of characters, source and target.",
            "How long the texts of both sides are.",
        )
        + _picture(
            lambda theme: figures.ratios(report, theme),
            "Pairs by characters in the source and in the target.",
            "Pairs that translate one another lie along a line; what lies far from it has one side too long.",
        )
    )


def _finding(finding: Finding, read: int) -> str:
    kept = finding.lines[:_SHOWN]
    more = f" and {finding.count - len(kept):,} more" if finding.count > len(kept) else ""
    rows = "".join(
        f'<tr><th scope="row">{example.line:,}</th><td class="said">{safe(example.note)}</td>'
        f'<td class="said" dir="auto">{safe(example.source)}</td>'
        f'<td class="said" dir="auto">{safe(example.target)}</td>'
        "</tr>\n"
        for example in finding.examples
    )
    return (
        f'<h3 id="{finding.kind.value}">{finding.kind.value}: {finding.count:,} ({finding.count / read:.2%})</h3>'
        f"<p>{safe(MEANING[finding.kind])}. Lines {spans(kept)}{more}.</p>"
        f'<div class="wide" role="region" tabindex="0" aria-label="Examples of {finding.kind.value}"><table><thead><tr>'
        '<th scope="col">line</th><th scope="col" class="left">why</th><th scope="col" class="left">source</th>'
        f'<th scope="col" class="left">target</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n'
    )


def _picture(draw: Callable[[Theme], str], alt: str, caption: str) -> str:
    """A figure element for light and dark pages."""
    return svg_picture(draw(LIGHT), draw(DARK), kind="chart", alt=alt, caption=caption)
