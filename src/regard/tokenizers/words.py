"""Map tokens to words, to derive an alignment of words from attention between tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from regard.errors import DecodingError
from regard.special_tokens import EOS, UNK
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.columns import find_columns_tokenizer
from regard.tokenizers.tagged import TaggedTokenizer

Link = tuple[int, int]  # source word and target word, separated by white space and counted from 0

# Beginnings of the Unicode names of letters in scripts without spaces between words.
_FIRST_UNSPACED = "\u0e00"  # no character before this one belongs to such a script
SPACE_MARK = "\u2581"  # a space in the pieces of SentencePiece
_NOT_SPACE = re.compile(r"\S+")
UNSPACED = ("CJK ", "HIRAGANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")  # katakana excepted


def word_indices(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Return for each id the index of the word that it ends in; words are separated by white space.

    A token of white space belongs to the word before it, or to the first word.
    """
    return [max(0, len(tokenizer.decode(ids[: end + 1]).split()) - 1) for end in range(len(ids))]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of the words of a text, in order.

    Words are separated by white space. In scripts without spaces, each character is a word, with the marks and the
    punctuation that follow it.
    """
    spans = [match.span() for match in _NOT_SPACE.finditer(text)]
    if max(text, default="") < _FIRST_UNSPACED:
        return spans
    return [part for span in spans for part in _split_unspaced(text, *span)]


def _split_unspaced(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for place in range(start + 1, end):
        if unicodedata.category(text[place])[0] not in "LN":
            continue
        if _is_unspaced(text[place]) or _is_unspaced(text[first]):
            yield first, place
            first = place
    yield first, end


def token_ends(tokenizer: Tokenizer, ids: Sequence[int], decoded: str) -> NDArray[np.int64]:
    """Return for each of T tokens where it ends in their decoded text: (T,), never decreasing.

    Tokens that only together give a character, such as bytes, end at the end of that character.
    """
    pieces = tokenizer.pieces(ids)
    joined = "".join(pieces).replace(SPACE_MARK, " ")
    if joined.lstrip() == decoded:  # so that the text need not be decoded up to each token
        ends: NDArray[np.int64] = np.cumsum([len(piece) for piece in pieces]) - (len(joined) - len(decoded))
        return ends.clip(min=0)
    lengths = np.array([len(tokenizer.decode(ids[: end + 1])) for end in range(len(ids))], dtype=np.int64)
    return np.minimum.accumulate(lengths[::-1])[::-1]


def count_tags(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """Return how many of the ids are tags; these are not words of the text."""
    return sum(id >= tokenizer.inner.size for id in ids) if isinstance(tokenizer, TaggedTokenizer) else 0


@dataclass(frozen=True)
class WordMap:
    """The word of each token of a pair, without EOS.

    Attributes:
        tags: The number of tags before the source.
        source: (S - tags,) The word of each source token after the tags.
        target: (T,) The word of each target token.
    """

    tags: int
    source: NDArray[np.int64]
    target: NDArray[np.int64]

    @classmethod
    def from_ids(cls, tokenizers: Tokenizers, source: Sequence[int], target: Sequence[int]) -> WordMap:
        """Map the ids of a pair, without EOS."""
        tags = count_tags(tokenizers.source, source)
        source_words = word_indices(tokenizers.source, source)[tags:]
        return cls(tags, np.array(source_words, int), np.array(word_indices(tokenizers.target, target), int))

    def link_words(self, weights: NDArray[np.floating[Any]]) -> tuple[Link, ...]:
        """Link each target word to the source word with the most attention from its tokens, in target order.

        weights: Attention, (T, S), with or without rows and columns of EOS.
        """
        if not self.source.size or not self.target.size:
            return ()
        table = np.zeros((self.target.max() + 1, self.source.max() + 1))
        attention = weights[: len(self.target), self.tags : self.tags + len(self.source)]
        np.add.at(table, (self.target[:, None], self.source[None, :]), attention)
        return tuple((int(table[word].argmax()), int(word)) for word in np.unique(self.target))


def unit_indices(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Return for each id the index of its unit for display.

    A unit is a word, as in `word_indices`. In scripts without spaces, and in a text that is a single word, each token
    is a unit. Each tag is a unit, too. In a source with several columns, this is so in each column.
    """
    columns = find_columns_tokenizer(tokenizer)
    if columns is not None:
        tags = count_tags(tokenizer, ids)
        in_columns = list(range(tags))
        for column, column_ids in columns.split_ids(ids[tags:]):
            first = in_columns[-1] + 1 if in_columns else 0
            in_columns += [first + unit for unit in ([0] if column is None else unit_indices(column, column_ids))]
        return in_columns
    words = word_indices(tokenizer, ids)
    if len(set(words)) <= 1:
        return list(range(len(ids)))
    tags = count_tags(tokenizer, ids)
    units: list[int] = []
    for index, (word, piece) in enumerate(zip(words, tokenizer.pieces(ids), strict=True)):
        begins = 0 < index <= tags or (index > 0 and word != words[index - 1]) or any(map(_is_unspaced, piece))
        units.append(units[-1] + begins if units else 0)
    return units


def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith((*UNSPACED, "KATAKANA"))


class TokenKind(IntEnum):
    """What a token does after a letter."""

    SPACE = 0  # begins with white space, or adds nothing: the word ends before it
    INSIDE = 1  # continues the word
    MARK = 2  # begins with punctuation, or in a script without spaces: the word ends before it


_WITHIN_WORDS = "'\u2019-\u2010\u2011\u00ad_\ufffd"  # characters inside of words; U+FFFD is a part of a character
_KINDS: WeakKeyDictionary[Tokenizer, NDArray[np.int8]] = WeakKeyDictionary()


def token_kinds(tokenizer: Tokenizer) -> NDArray[np.int8]:
    """Return the `TokenKind` of each id, (V,)."""
    kinds = _KINDS.get(tokenizer)
    if kinds is None:
        before = tokenizer.encode("a")
        size = len(tokenizer.decode(before))
        added = (tokenizer.decode([*before, id])[size : size + 1] for id in range(tokenizer.size))
        kinds = np.fromiter((_kind_of(character) for character in added), np.int8, tokenizer.size)
        kinds[: EOS + 1] = TokenKind.SPACE
        _KINDS[tokenizer] = kinds
    return kinds


def encode_prefix(
    tokenizer: Tokenizer, prefix: str, place: str | None = None
) -> tuple[tuple[int, ...], frozenset[int]]:
    """Return the ids of the beginning of a text, and those that must not follow it.

    If the beginning ends with white space, its last word is complete, so no token that continues a word may follow.
    Raise DecodingError, with `place`, if the vocabulary lacks a part of the beginning.
    """
    text = prefix.rstrip()
    if not text:
        return (), frozenset()
    if problem := prefix_problem(tokenizer, text):
        raise DecodingError(problem, where=place, fix="change the prefix")
    is_complete = text != prefix
    not_next = np.flatnonzero(token_kinds(tokenizer) == TokenKind.INSIDE).tolist() if is_complete else []
    return tuple(tokenizer.encode(text)), frozenset(not_next)


def prefix_problem(tokenizer: Tokenizer, prefix: str) -> str:
    """Return which words or characters of a prefix the vocabulary lacks, as a message; empty if it has them all."""
    ids = tokenizer.encode(prefix)
    if UNK not in ids or tokenizer.decode(ids).split() == prefix.split():  # such as `<unk>` that a model has written
        return ""
    words = [word for word in prefix.split() if UNK in tokenizer.encode(word)]
    characters = [character for character in "".join(words) if UNK in tokenizer.encode(character)]
    lacking = words if tokenizer.kind in ("word", "pattern") else characters or words
    return f"the vocabulary of the target lacks a part of the prefix: {' '.join(dict.fromkeys(lacking))}"


def _kind_of(character: str) -> TokenKind:
    if not character.strip():
        return TokenKind.SPACE
    is_inside = character.isalnum() or character in _WITHIN_WORDS or unicodedata.category(character)[0] == "M"
    return TokenKind.INSIDE if is_inside and not _is_unspaced(character) else TokenKind.MARK
