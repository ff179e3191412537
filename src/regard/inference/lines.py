"""The lines of a translator's input: numbered, divided into segments, and batched by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from regard.data.batch import length_batches
from regard.errors import DecodingError
from regard.inference.translation import Constraints
from regard.terms.words import find_phrase
from regard.text.model_input import ModelInput, prepare_input
from regard.text.segments import Span
from regard.tokenizers.base import Tokenizers

BATCH_TOKENS = 8192  # the most padded source tokens in a batch, whatever its batch size


@dataclass(frozen=True)
class Line:
    """A line or a segment of it.

    Attributes:
        number: The number of the line, from 0.
        text: Its text.
        constraints: The constraints on its translation.
        part: The number of the segment within the line.
        removed: Numbers and addresses that the model does not read.
        tags_terms: Whether the terms of the constraints are tagged in the source.
        requires_terms: Whether the search requires the terms of the constraints.
    """

    number: int
    text: str
    constraints: Constraints
    part: int = 0
    removed: tuple[str, ...] = ()
    tags_terms: bool = False
    requires_terms: bool = False

    @property
    def place(self) -> str:
        """Return the place of the line for error messages: `line 12`."""
        return f"line {self.number + 1}"

    def prepare(self, tokenizers: Tokenizers, languages: tuple[str, str]) -> tuple[Line, ModelInput]:
        """Return the line as the model reads it, and what restores its translation."""
        require, forbid, prefix = self.constraints.require, self.constraints.forbid, self.constraints.prefix
        text = prepare_input(self.text, tokenizers, (*require, *forbid, prefix), languages, removed=self.removed)
        phrases = tuple(map(text.phrase, require)), tuple(map(text.phrase, forbid)), text.phrase(prefix)
        constraints = Constraints(*phrases, self.constraints.terms)
        return replace(self, text=text.text, constraints=constraints), text

    def parts(self, spans: Sequence[Span]) -> list[Line]:
        """Return the line's segments as lines, given their spans; the line itself if it cannot be divided.

        The prefix applies to the first segment and forbidden phrases apply to all. A required phrase applies to the
        first segment whose source contains it. If none does, it is unknown where it belongs, and the line is not
        divided.
        """
        texts = [self.text[start:end] for start, end in spans]
        constraints = self.constraints
        homes = [
            next((place for place, text in enumerate(texts) if phrase in text), -1) for phrase in constraints.require
        ]
        if len(spans) < 2 or -1 in homes:
            return [self]
        parts = []
        for place, text in enumerate(texts):
            require = tuple(phrase for phrase, home in zip(constraints.require, homes, strict=True) if home == place)
            terms = tuple(term for term in constraints.terms if find_phrase(text.lower(), term.source.lower()) >= 0)
            part = Constraints(require, constraints.forbid, "" if place else constraints.prefix, terms)
            parts.append(Line(self.number, text, part, place))
        return parts


def number_lines(lines: Iterable[str], constraints: Iterable[Constraints] | None, first: int) -> Iterator[Line]:
    """Number lines from `first`. Raises DecodingError if there are fewer constraints than lines."""
    remaining = repeat(Constraints()) if constraints is None else iter(constraints)
    for number, text in enumerate(lines, start=first):
        line_constraints = next(remaining, None)
        if line_constraints is None:
            raise DecodingError(
                f"there are constraints for {number:,} lines, but more lines", fix="give constraints for every line"
            )
        yield Line(number, text.strip(), line_constraints)


def batch_lines(encoded: dict[int, list[int]], batch_size: int) -> Iterator[list[int]]:
    """Yield batches of places with similar lengths, longest first: at most `batch_size` lines and BATCH_TOKENS tokens.

    Lines of equal length are sorted by their tokens, so the same lines in another order make the same batches.
    """
    longest_first = sorted(encoded, key=lambda place: (-len(encoded[place]), encoded[place]))
    return length_batches(
        longest_first, lambda place: len(encoded[place]) + 1, max_tokens=BATCH_TOKENS, max_rows=batch_size
    )
