"""What `regard translate` writes about a line of input: translations, scores, word alignments and marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from regard.errors import DecodingError
from regard.inference.translation import Translation


@dataclass(frozen=True)
class LineOutput:
    """The results of a line, without what is not written: tokens and attention weights.

    Attributes:
        texts: The translations, best first.
        scores: The score of each translation.
        alignments: The word alignment of each translation in Pharaoh format: source-target, counted from 0. Empty if
            they are not requested.
        marks: Signs of degenerate output in the best translation.
        proved: Whether exact search has proved the best translation; None after other searches.
        is_divided: Whether the line was translated in several segments.
        confidences: The confidence of each translation; empty if it is not requested.
        words: The words of the best translation: start, end and confidence of each.
        is_withheld: Whether a segment of the line stays untranslated because of its confidence.
    """

    texts: tuple[str, ...]
    scores: tuple[float, ...]
    alignments: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    proved: bool | None = None
    is_divided: bool = False
    confidences: tuple[float, ...] = ()
    words: tuple[tuple[int, int, float], ...] = ()
    is_withheld: bool = False

    @classmethod
    def of(cls, best: Translation, *, align: bool = False) -> Self:
        """Return the output of the best translation of a line and its alternatives.

        Args:
            best: The best translation.
            align: Whether to keep word alignments.

        Raises:
            DecodingError: If `align` is set and the model has no attention.
        """
        return cls(
            texts=tuple(translation.text for translation in best.n_best),
            scores=tuple(translation.score for translation in best.n_best),
            alignments=tuple(_alignment(translation) for translation in best.n_best) if align else (),
            marks=best.marks,
            proved=best.proved,
            is_divided=bool(best.parts),
            confidences=tuple(
                translation.confidence for translation in best.n_best if translation.confidence is not None
            ),
            words=best.words,
            is_withheld=best.is_withheld,
        )

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Return the output whose `dataclasses.asdict` was stored as JSON."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        return cls(**values)


def _alignment(translation: Translation) -> str:
    if not translation.tokens:
        return ""
    if not translation.attends:
        raise DecodingError(
            "this model has no attention, so it cannot align words", where="--alignments", fix="remove --alignments"
        )
    return " ".join(f"{source}-{target}" for source, target in translation.alignment)
