"""A text divided into what a model translates at a time, put together again, and wrapped as it was."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from regard.text.segments import Span, strip_span

_COLUMN_ENDS = re.compile(r"(?<=[^\s])(?: {2,}|[ ]*\t\s*)(?=[^\s])")


def split_line_groups(text: str) -> Iterator[Span]:
    r"""Spans of lines, their last `\n` not in them: one that begins small goes on with one that does not end."""
    start = at = 0
    before = ""
    for line in text.split("\n"):
        if at and not _goes_on(before, line):
            yield start, at - 1
            start = at
        before = line
        at += len(line) + 1
    yield start, len(text)


def _goes_on(before: str, line: str) -> bool:
    return bool(
        line[:1].islower() and before.strip() and not before.startswith(" ") and before.rstrip()[-1] not in ".:;!?"
    )


def split_columns(text: str, start: int, end: int) -> Iterator[Span]:
    """What of characters start to end stands in a column of its own: between two or more spaces, or a tab."""
    for match in _COLUMN_ENDS.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def spans_between(text: str, start: int, end: int, kept: Sequence[Span]) -> Iterator[Span]:
    """What of characters start to end is in none of the `kept` spans, and has letters."""
    for first, last in kept:
        yield from strip_span(text, start, first)
        start = last
    yield from strip_span(text, start, end)


def flatten(text: str) -> str:
    """The same with a space for each line break and the white space around it."""
    return re.sub(r"[^\S\n]*+\n\s*", " ", text)


def wrap_lines(text: str, lines: int, kept: Sequence[Span] = ()) -> str:
    """A flat text with some spaces made line breaks: so many lines, of like length, as far as it can.

    None is made within a `kept` span.
    """
    inside = {place for start, end in kept for place in range(start, end)}
    spaces = [match.start() for match in re.finditer(r"(?<=\S) (?=\S)", text) if match.start() not in inside]
    characters = list(text)
    first = 0
    for line in range(1, lines):
        if first == len(spaces):
            break
        wanted = len(text) * line / lines
        after = bisect_left(spaces, wanted, first)
        near = [place for place in (after - 1, after) if first <= place < len(spaces)]
        nearest = min(near, key=lambda place: abs(spaces[place] - wanted))
        characters[spaces[nearest]] = "\n"
        first = nearest + 1
    return "".join(characters)
