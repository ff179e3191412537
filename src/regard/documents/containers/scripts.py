"""Subscripts and superscripts in runs of text.

A formula or a unit such as `H2O` or `m2` is not translated. A number after a word, such as that of a note, is markup.
Raised letters of an ordinal are ordinary text, because the ordinal of the translation has others.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby

from regard.documents.containers.items import Item, Markup, Protected, Run, Single, TextWriter
from regard.text.segments import has_letters

MAX_UNIT_LENGTH = 3  # letters of a unit
MAX_ORDINAL_LENGTH = 3  # letters of the ending of an ordinal

_TOKEN = re.compile(r"[\w(](?:\S*[\w)+*\u2212])?")


def resolve_scripts(items: Sequence[Item], write: TextWriter) -> list[Item]:
    """Return the items with subscripts and superscripts replaced."""
    resolved: list[Item] = []
    for _, group in groupby(items, key=lambda item: isinstance(item, Run)):
        part = list(group)
        runs = [item for item in part if isinstance(item, Run)]
        resolved += _AdjacentRuns(runs, write).items() if any(run.style.is_script for run in runs) else part
    return resolved


class _AdjacentRuns:
    """Runs without other items between them, as one text with the span of each run."""

    def __init__(self, runs: Sequence[Run], write: TextWriter) -> None:
        self.write = write
        self.runs: list[Run] = []
        for run in runs:
            before = self.runs[-1] if self.runs else None
            if before and run.style.is_script and run.text.isalpha() and len(run.text) <= MAX_ORDINAL_LENGTH:
                is_ordinal = before.text[-1:].isdigit() and not before.style.is_script
                run = Run(run.text, before.style, run.markup) if is_ordinal else run
            self.runs.append(run)
        self.text = "".join(run.text for run in self.runs)
        self.spans: list[tuple[int, int, Run]] = []
        at = 0
        for run in self.runs:
            self.spans.append((at, at + len(run.text), run))
            at += len(run.text)

    def items(self) -> Iterator[Item]:
        at = 0
        for match in _TOKEN.finditer(self.text):
            first = next(
                (
                    max(start, match.start())
                    for start, _, run in self.overlapping(match.start(), match.end())
                    if run.style.is_script and not has_letters(run.text)
                ),
                match.start(),
            )
            if first == match.start():
                continue
            is_formula = has_letters(self.text[first : match.end()])
            if is_formula or first - match.start() <= MAX_UNIT_LENGTH:
                yield from self.part(at, match.start())
                yield Protected(match[0], self.markup(match.start(), match.end()))
            else:
                yield from self.part(at, first)
                yield Single(self.markup(first, match.end()))
            at = match.end()
        yield from self.part(at, len(self.text))

    def overlapping(self, start: int, end: int) -> list[tuple[int, int, Run]]:
        """Return the runs that have any of the characters [start, end), each with its span."""
        first = bisect_right(self.spans, start, key=lambda span: span[1])
        return self.spans[first : bisect_left(self.spans, end, key=lambda span: span[0])]

    def markup(self, start: int, end: int) -> Markup:
        """Return the markup of characters [start, end)."""
        return Markup.join(run.markup for run in self.part(start, end))

    def part(self, start: int, end: int) -> Iterator[Run]:
        """Yield the runs of characters [start, end)."""
        for run_start, run_end, run in self.overlapping(start, end):
            text = self.text[max(start, run_start) : min(end, run_end)]
            if text == run.text and text:
                yield run
            elif text:
                yield Run(text, run.style, Markup(self.write(text, run.style)))
