"""Split a text into the parts that a model translates at a time, and wrap a translation into lines again."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from regard.text.segments import Span, strip_span

_COLUMN_GAP = re.compile(r"(?<=[^\s])(?: {2,}|[ ]*\t\s*)(?=[^\s])")


def split_line_groups(text: str) -> Iterator[Span]:
    r"""Yield the spans of groups of lines that form one sentence, without the last `\n` of each group.

    A line that starts with a lower-case letter continues the line before, unless that one ends a sentence or is
    indented.
    """
    start = at = 0
    previous = ""
    for line in text.split("\n"):
        if at and not _continues(previous, line):
            yield start, at - 1
            start = at
        previous = line
        at += len(line) + 1
    yield start, len(text)


def _continues(previous: str, line: str) -> bool:
    is_open = previous.strip() and not previous.startswith(" ") and previous.rstrip()[-1] not in ".:;!?"
    return bool(line[:1].islower() and is_open)


def split_columns(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the spans of the columns of text[start:end], which two or more spaces or a tab separate."""
    for match in _COLUMN_GAP.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def spans_between(text: str, start: int, end: int, excluded: Sequence[Span]) -> Iterator[Span]:
    """Yield the spans of text[start:end] that are outside the excluded spans and have letters."""
    for first, last in excluded:
        yield from strip_span(text, start, first)
        start = last
    yield from strip_span(text, start, end)


def flatten(text: str) -> str:
    """Return the text with a space for each line break and the white space around it."""
    return re.sub(r"[^\S\n]*+\n\s*", " ", text)


def wrap_lines(text: str, num_lines: int, unbreakable: Sequence[Span] = ()) -> str:
    """Wrap a text without line breaks into `num_lines` lines of similar length, or fewer if it has too few spaces.

    No line is broken within an unbreakable span.
    """
    inside = {index for start, end in unbreakable for index in range(start, end)}
    spaces = [match.start() for match in re.finditer(r"(?<=\S) (?=\S)", text) if match.start() not in inside]
    characters = list(text)
    first = 0
    for line in range(1, num_lines):
        if first == len(spaces):
            break
        ideal = len(text) * line / num_lines
        following = bisect_left(spaces, ideal, first)
        candidates = [index for index in (following - 1, following) if first <= index < len(spaces)]
        nearest = min(candidates, key=lambda index: abs(spaces[index] - ideal))
        characters[spaces[nearest]] = "\n"
        first = nearest + 1
    return "".join(characters)
