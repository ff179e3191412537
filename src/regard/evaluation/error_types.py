"""Types of errors in translations: degenerate output, and what a comparison with the reference shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from regard.evaluation.degenerate_output import MARKS

MAX_PHRASE_WORDS = 4  # of a repeated phrase
MIN_CHARACTERS = 10  # of the longer text: the length ratio of shorter ones means little
MIN_LETTERS = 4  # of an untranslated word: shorter words may belong to both languages
ERROR_TYPES = {
    **MARKS,
    "repeated": "a phrase of one to four words twice in a row, where the reference has no such repetition",
    "untranslated": "a word of the source, of four letters or more, that the reference does not have",
    "half": "less than half of the reference's characters",
    "double": "more than twice the reference's characters",
}
"""Each error type with its definition: the marks of translations, and what a comparison with the reference shows."""


def classify_errors(problems: Collection[str], source: str, hypothesis: str, reference: str) -> tuple[str, ...]:
    """Return the ERROR_TYPES that apply to a hypothesis. Words are compared without case and punctuation.

    Args:
        problems: The MARKS of the hypothesis.
        source: The source sentence.
        hypothesis: Its translation.
        reference: Its reference.
    """
    length, reference_length = len(hypothesis.strip()), len(reference.strip())
    is_long_enough = max(length, reference_length) >= MIN_CHARACTERS
    source_words, words, reference_words = (_split_words(text) for text in (source, hypothesis, reference))
    errors = {
        "repeated": _count_repetitions(words) > _count_repetitions(reference_words),
        "untranslated": bool(untranslated_words(source_words, words, reference_words)) and "copy" not in problems,
        "half": is_long_enough and 0 < 2 * length < reference_length,
        "double": is_long_enough and length > 2 * reference_length,
    }
    return tuple(name for name in ERROR_TYPES if name in problems or errors.get(name))


def untranslated_words(source: Sequence[str], hypothesis: Sequence[str], reference: Sequence[str]) -> list[str]:
    """Return the words of the hypothesis that are in the source and not in the reference, in order."""
    source_only = set(source) - set(reference)
    return [word for word in hypothesis if word in source_only and sum(map(str.isalpha, word)) >= MIN_LETTERS]


def _split_words(text: str) -> list[str]:
    plain = "".join(letter if letter.isalnum() or letter in "'’-" else " " for letter in text.casefold())
    return [word for word in plain.split() if any(map(str.isalnum, word))]


def _count_repetitions(words: Sequence[str]) -> int:
    """Count the phrases that directly follow themselves."""
    return sum(
        words[index - size : index] == words[index : index + size]
        for size in range(1, MAX_PHRASE_WORDS + 1)
        for index in range(size, len(words) - size + 1)
    )


def count_errors(errors: Sequence[Collection[str]]) -> dict[str, int]:
    """Count the sentences with each error type, in the order of ERROR_TYPES.

    Args:
        errors: The error types of each sentence.
    """
    counts = Counter(name for sentence in errors for name in sentence)
    return {name: counts[name] for name in ERROR_TYPES}
