"""Sources with several columns: checked, and never divided (see regard.corpus.source_columns)."""

from __future__ import annotations

from regard.corpus.source_columns import SEPARATOR, columns_fix, columns_problem
from regard.errors import DecodingError
from regard.text.segments import Fits, Span, split_segments


def check_columns(source: str, count: int, place: str = "") -> None:
    """Raise DecodingError for a source of other than `count` columns; a `count` of 1 is plain text."""
    if count > 1 and (problem := columns_problem(source.split(SEPARATOR), count)):
        raise DecodingError(problem, where=place or None, fix=columns_fix(count))


def column_segments(text: str, count: int, fits: Fits, place: str = "") -> list[Span]:
    """Return the spans of the lines of a text. Raise DecodingError for other columns, or for a line too long."""
    spans = split_segments(text, "", "lines", lambda _: True)
    for start, end in spans:
        check_columns(text[start:end], count, place)
        if not fits(text[start:end]):
            fix = "shorten it: a source with several columns cannot be divided"
            raise DecodingError("the source has too many tokens", where=place or None, fix=fix)
    return spans
