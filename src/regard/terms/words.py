"""Words of a text as glossaries see them: their characters, and how they are compared."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from regard.tokenizers.words import UNSPACED

_WORD = re.compile(r"\w+|[^\w\s]")
_KATAKANA = re.compile(r"[\u30a0-\u30ff\uff66-\uff9f]+")


@dataclass(frozen=True)
class Word:
    """A word, a punctuation mark or, in a script without spaces, a character: its text and its span."""

    text: str
    start: int
    end: int


def split_words(text: str) -> list[Word]:
    """Return the words of a text. Each character of a script without spaces is a word; a run of katakana is one."""
    words: list[Word] = []
    for match in _WORD.finditer(text):
        words += (
            _split_scripts(match[0], match.start()) if _has_unspaced(match[0]) else [_word(match[0], match.start())]
        )
    return words


def _word(text: str, start: int) -> Word:
    return Word(text, start, start + len(text))


def _split_scripts(text: str, start: int) -> list[Word]:
    """Divide a run of letters at characters of scripts without spaces; combining marks stay with their letter."""
    words: list[Word] = []
    at = 0
    while at < len(text):
        katakana = _KATAKANA.match(text, at)
        end = katakana.end() if katakana else at + 1
        if not katakana and not is_unspaced(text[at]):
            while end < len(text) and not is_unspaced(text[end]) and not _KATAKANA.match(text[end]):
                end += 1
        while end < len(text) and unicodedata.category(text[end]).startswith("M"):
            end += 1
        words.append(_word(text[at:end], start + at))
        at = end
    return words


def _has_unspaced(text: str) -> bool:
    return not text.isascii() and any(is_unspaced(character) or _KATAKANA.match(character) for character in text)


def find_phrase(text: str, phrase: str, start: int = 0) -> int:
    """Return the first place from `start` on where a phrase is, and words of the text begin and end; -1 for none."""
    edges = _word_edges(text)
    at = text.find(phrase, start)
    while at >= 0 and not (at in edges and at + len(phrase) in edges):
        at = text.find(phrase, at + 1)
    return at


@lru_cache(1 << 10)
def _word_edges(text: str) -> frozenset[int]:
    return frozenset(edge for word in split_words(text) for edge in (word.start, word.end))


@lru_cache(1 << 16)
def is_unspaced(character: str) -> bool:
    """Return whether a character is a letter of a script without spaces between words, katakana excepted."""
    return ord(character) > 0xE00 and unicodedata.name(character, "").startswith(UNSPACED)


@lru_cache(1 << 16)
def fold(word: str) -> str:
    """Return a word without case and diacritics, by which forms of a word are compared: `Häuser` gives `hauser`."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
