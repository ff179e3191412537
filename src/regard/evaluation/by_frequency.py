"""Translation quality of words by their frequency in the training data (as compare-mt, Neubig et al. 2019)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sacrebleu.metrics.bleu import BLEU

from regard.errors import DataError

CLASS_STARTS = (0, 1, 2, 5, 10, 100, 1000)  # lowest training count of each class


@dataclass(frozen=True)
class FrequencyClass:
    """Scores of the words that occur `min_count` to `max_count` times in the training data.

    Attributes:
        min_count: Lowest count of the class.
        max_count: Highest count of the class, inclusive; None for no upper bound.
        in_references: Running words of the references that belong to the class.
        in_hypotheses: Running words of the hypotheses that belong to the class.
        matched: Words that a hypothesis shares with its reference, each occurrence counted once.
        precision: matched / in_hypotheses; 0 if the class is empty.
        recall: matched / in_references; 0 if the class is empty.
        f1: Harmonic mean of precision and recall.
    """

    min_count: int
    max_count: int | None
    in_references: int
    in_hypotheses: int
    matched: int
    precision: float
    recall: float
    f1: float

    @property
    def label(self) -> str:
        """The bounds as text: "never", "1", "2–4" or "1,000+"."""
        if self.max_count == 0:
            return "never"
        if self.max_count is None:
            return f"{self.min_count:,}+"
        return f"{self.min_count:,}" if self.min_count == self.max_count else f"{self.min_count:,}–{self.max_count:,}"


def split_words(text: str, metric: BLEU) -> list[str]:
    """Return the words of a text as this BLEU tokenizes them."""
    words: list[str] = metric.tokenizer(text).split()
    return words


def by_frequency(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], counts: Mapping[str, int]
) -> list[FrequencyClass]:
    """Score words by how often they occur in the training data, unseen words first.

    Args:
        hypotheses: The words of each hypothesis, compared with its reference as a bag of words.
        references: The words of each reference.
        counts: How often each word occurs on the target side of the training data. A missing word was never seen.

    Returns:
        All classes, from the rarest words to the most frequent, including empty classes.

    Raises:
        DataError: There are no references, or their number is not that of the hypotheses.
    """
    if len(hypotheses) != len(references) or not references:
        raise DataError(
            f"there are {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give one reference for each hypothesis, and at least one",
        )
    in_references, in_hypotheses, matched = ([0] * len(CLASS_STARTS) for _ in range(3))
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        hypothesis_words, reference_words = Counter(hypothesis), Counter(reference)
        for totals, words in (
            (in_hypotheses, hypothesis_words),
            (in_references, reference_words),
            (matched, hypothesis_words & reference_words),
        ):
            for word, times in words.items():
                totals[_class_index(counts.get(word, 0))] += times
    ends = [following - 1 for _, following in pairwise(CLASS_STARTS)]
    return [
        _make_class(least, most, *numbers)
        for least, most, *numbers in zip(
            CLASS_STARTS, [*ends, None], in_references, in_hypotheses, matched, strict=True
        )
    ]


def _class_index(count: int) -> int:
    return sum(start <= count for start in CLASS_STARTS) - 1


def _make_class(
    min_count: int, max_count: int | None, in_references: int, in_hypotheses: int, matched: int
) -> FrequencyClass:
    precision = matched / in_hypotheses if in_hypotheses else 0.0
    recall = matched / in_references if in_references else 0.0
    total = in_hypotheses + in_references
    f1 = 2 * matched / total if total else 0.0
    return FrequencyClass(min_count, max_count, in_references, in_hypotheses, matched, precision, recall, f1)
