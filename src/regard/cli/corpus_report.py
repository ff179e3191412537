"""The faults of a corpus, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regard.corpus_checks.findings import DESCRIPTIONS, Finding, format_line_ranges
from regard.corpus_checks.inspection import CorpusReport
from regard.corpus_checks.lengths import QUANTILES, LengthQuantiles

SHOWN_LINES = 12
SHOWN_EXAMPLES = 3
NOTABLE_SHARE = 0.01  # of unrelated pairs


def as_text(report: CorpusReport) -> Iterator[str]:
    """Yield the lines that `regard inspect` prints."""
    yield f"{report.name}: {report.read:,} pairs, {report.pairs:,} of them with text on both sides"
    for name, lengths, script, language in zip(
        ("source", "target"), report.lengths, report.scripts, report.languages, strict=True
    ):
        yield f"{name}: {language or 'unknown language'}, {' and '.join(script) or 'no letters'}; {_lengths(lengths)}"
    yield from (*report.remarks, *report.skipped.sentences())
    if report.unrelated_share >= NOTABLE_SHARE:
        yield f"about {report.unrelated_share:.0%} of all pairs seem to be unrelated"
    for region in report.regions:
        shift = abs(region.shift)
        where = f"{shift} line{'s' if shift > 1 else ''} further {'down' if region.shift > 0 else 'up'}"
        yield f"lines {region.begin:,} to {region.end:,} are misaligned: their targets are {where}"
    if not list(report.findings):
        yield "no faults found"
    for finding in report.findings:
        yield ""
        yield from _finding(finding, report.read)


def _lengths(lengths: LengthQuantiles) -> str:
    def described(numbers: tuple[int, ...]) -> str:
        at = dict(zip(QUANTILES, numbers, strict=True))
        return f"{at[0.0]:,} to {at[1.0]:,}, median {at[0.5]:,}, 98% from {at[0.01]:,} to {at[0.99]:,}"

    return f"characters {described(lengths.characters)}; words {described(lengths.words)}"


def _finding(finding: Finding, read: int) -> Iterator[str]:
    yield f"{finding.kind.value}: {finding.count:,} ({finding.count / read:.2%}), {DESCRIPTIONS[finding.kind]}"
    shown = finding.lines[:SHOWN_LINES]
    more = f" and {finding.count - len(shown):,} more" if finding.count > len(shown) else ""
    yield f"  line{'s' if finding.count > 1 else ''} {format_line_ranges(shown)}{more}"
    for example in finding.examples[:SHOWN_EXAMPLES]:
        yield f"  {example.line}: {example.note}"
        yield f"    {_visible(example.source)}"
        yield f"    {_visible(example.target)}"


def _visible(text: str) -> str:
    """Return the text with unprintable characters, which could break the terminal, as escapes such as \\u2028."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def as_json(report: CorpusReport) -> dict[str, Any]:
    """Return the report for `json.dumps`, with the first lines and some examples of each kind of fault."""
    sides = zip(("source", "target"), report.lengths, report.scripts, report.languages, strict=True)
    return {
        "corpus": report.name,
        "read": report.read,
        "pairs": report.pairs,
        "left_aside": report.skipped.sentences(),
        "sides": {
            name: {
                "language": language,
                "scripts": list(script),
                "quantiles": list(QUANTILES),
                "characters": list(lengths.characters),
                "words": list(lengths.words),
            }
            for name, lengths, script, language in sides
        },
        "remarks": list(report.remarks),
        "unrelated_share": report.unrelated_share,
        "out_of_step": [{"begin": r.begin, "end": r.end, "shift": r.shift} for r in report.regions],
        "findings": {
            finding.kind.value: {
                "meaning": DESCRIPTIONS[finding.kind],
                "count": finding.count,
                "lines": finding.lines,
                "examples": [
                    {"line": e.line, "note": e.note, "source": e.source, "target": e.target} for e in finding.examples
                ],
            }
            for finding in report.findings
        },
    }
