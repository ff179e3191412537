"""Texts in capitals and headlines in title case, for models whose vocabulary lacks the words in capitals.

Such a vocabulary spells `A DOG RUNS` letter by letter, which the model has rarely or never seen in training. The model
gets `A dog runs` instead, and its translation is written in capitals again. A headline, `A Dog Runs on the Beach`, also
becomes `A dog runs on the beach`, and its translation stays in normal case, as most languages write headlines.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from regard.special_tokens import UNK
from regard.text.placeholders import find_placeholders
from regard.tokenizers.base import Tokenizer

WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
MIN_WORDS = 2  # in capitals: one word may be an acronym
MIN_TITLE_WORDS = 4  # with a capital, in title case: three may be a name
SHORT_WORD = 3  # letters of words that may be lower-case in title case: `of`, `the`
MAX_COST = 0.75  # of the text without capitals, as a share of that of the text: otherwise the vocabulary knows capitals
UNKNOWN_COST = 4  # tokens
TURKIC = ("tr", "az")  # languages with a dotted and a dotless I


def is_upper(text: str) -> bool:
    """Return whether all letters of a text that are not part of a placeholder are capitals, in several words."""
    return _is_upper(text, words_outside_placeholders(text))


def _is_upper(text: str, words: Sequence[re.Match[str]]) -> bool:
    is_long = len(words) >= MIN_WORDS and len(text.split()) >= MIN_WORDS
    return is_long and all(word[0] == word[0].upper() != word[0].lower() for word in words)


def is_title(text: str) -> bool:
    """Return whether all words of a text begin with a capital, except short ones; it is not all in capitals."""
    words = words_outside_placeholders(text)
    return _is_title(words) and not _is_upper(text, words)


def _is_title(words: Sequence[re.Match[str]]) -> bool:
    """Return whether all words begin with a capital, except short ones."""
    initials = [word[0][0] for word in words]
    capitalized = [initial for initial in initials if initial.isupper() or initial.istitle()]
    return len(capitalized) >= MIN_TITLE_WORDS and all(
        len(word[0]) <= SHORT_WORD for word in words if not word[0][0].isupper()
    )


def lower_capitals(text: str, tokenizer: Tokenizer, language: str = "") -> str:
    """Return a text in normal case if it is in capitals or in title case and its vocabulary does not know it so.

    Whether a word begins with a capital is chosen by the vocabulary: the form with fewer tokens is more usual. The
    result has as many characters as the text.

    Args:
        text: The text.
        tokenizer: The tokenizer that will encode it.
        language: Its language, empty if it is not known.
    """
    words = words_outside_placeholders(text)
    if not (_is_title(words) or _is_upper(text, words)):
        return text
    lowered = to_normal_case(text, tokenizer, language)
    return lowered if _cost(lowered, tokenizer) <= MAX_COST * _cost(text, tokenizer) else text


def to_normal_case(text: str, tokenizer: Tokenizer, language: str = "") -> str:
    """Return a text with each word in the usual form, and a capital at its beginning if the vocabulary has it."""
    words = words_outside_placeholders(text)
    parts, at = [], 0
    for index, word in enumerate(words):
        lower = _lower(word[0], language)
        capitalized = word[0][0] + lower[1:]
        is_known = UNK not in tokenizer.encode(capitalized)
        is_usual = _cost(capitalized, tokenizer) < _cost(lower, tokenizer)
        parts += [text[at : word.start()], capitalized if is_usual or (not index and is_known) else lower]
        at = word.end()
    return "".join([*parts, text[at:]])


def to_upper(text: str, language: str = "") -> str:
    """Return a text in capitals, except for placeholders such as URLs and `%s`."""
    parts, at = [], 0
    for word in words_outside_placeholders(text):
        lower = word[0].replace("i", "İ") if language in TURKIC else word[0]
        parts += [text[at : word.start()], lower.upper()]
        at = word.end()
    return "".join([*parts, text[at:]])


def words_outside_placeholders(text: str) -> list[re.Match[str]]:
    """Return the words of a text that are not part of a placeholder."""
    placeholders = find_placeholders(text)
    ends = [placeholder.end for placeholder in placeholders]
    words = []
    for word in WORD.finditer(text):
        after = bisect_right(ends, word.start())  # the first placeholder that does not end before the word
        if after == len(ends) or placeholders[after].start >= word.end():
            words.append(word)
    return words


def _lower(word: str, language: str) -> str:
    """Return a word in lower case, with as many characters."""
    lower = (word.replace("I", "ı").replace("İ", "i") if language in TURKIC else word).lower()
    return lower if len(lower) == len(word) else "".join(c.lower() if len(c.lower()) == 1 else c for c in word)


def _cost(text: str, tokenizer: Tokenizer) -> int:
    """Return the number of tokens of a text; unknown ones cost more."""
    ids = tokenizer.encode(text)
    return len(ids) + UNKNOWN_COST * ids.count(UNK)
