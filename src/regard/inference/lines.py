"""The lines that a translator is given: numbered, divided into parts, and batched by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from regard.data.batch import length_batches
from regard.errors import DecodingError
from regard.inference.translation import Constraints
from regard.text.segments import Span

BATCH_TOKENS = 8192  # of padded source in one batch at most, however many sentences were asked for


@dataclass(frozen=True)
class Line:
    """A line, or a part of one: its number from 0, its text, and what is wished of its translation."""

    number: int
    text: str
    constraints: Constraints
    part: int = 0  # which part of the line it is

    @property
    def place(self) -> str:
        """Return where it is, as errors say it: `line 12`."""
        return f"line {self.number + 1}"

    def parts(self, spans: Sequence[Span]) -> list[Line]:
        """Return the line's segments, given their spans, as lines; a line that is not divided is itself.

        A prefix goes with the first part, what is forbidden with all of them, and a required phrase with the first
        part whose source has it. Where no part has it, nothing says where it belongs: the line is not divided.
        """
        texts = [self.text[start:end] for start, end in spans]
        wished = self.constraints
        homes = [next((place for place, text in enumerate(texts) if phrase in text), -1) for phrase in wished.require]
        if len(spans) < 2 or -1 in homes:
            return [self]
        parts = []
        for place, text in enumerate(texts):
            require = tuple(phrase for phrase, home in zip(wished.require, homes, strict=True) if home == place)
            own = Constraints(require, wished.forbid, "" if place else wished.prefix)
            parts.append(Line(self.number, text, own, place))
        return parts


def numbered(lines: Iterable[str], constraints: Iterable[Constraints] | None, first: int) -> Iterator[Line]:
    """Number lines from `first`. Raises DecodingError where there are fewer constraints than lines."""
    wishes = repeat(Constraints()) if constraints is None else iter(constraints)
    for number, text in enumerate(lines, start=first):
        wished = next(wishes, None)
        if wished is None:
            raise DecodingError(
                f"there are constraints for {number:,} lines and more lines than that", fix="give them for every line"
            )
        yield Line(number, text.strip(), wished)


def batches(encoded: dict[int, list[int]], batch_size: int) -> Iterator[list[int]]:
    """Places of like lengths together, at most batch_size of them and BATCH_TOKENS padded tokens, longest first.

    Their order is by what stands there, so that the same lines in another order make the same batches.
    """
    longest_first = sorted(encoded, key=lambda place: (-len(encoded[place]), encoded[place]))
    return length_batches(
        longest_first, lambda place: len(encoded[place]) + 1, max_tokens=BATCH_TOKENS, max_rows=batch_size
    )
