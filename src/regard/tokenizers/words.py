"""From tokens to the words of the text that they spell: what an alignment between words needs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

Link = tuple[int, int]  # source word, target word, both between white space and counted from 0

# Scripts that put no space between words, as the names of their letters begin.
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


def word_indices(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """For each id the white-space separated word, counted from 0, that it ends in or belongs to.

    A token that spells only white space belongs to the word before it (the first one, if there is none).
    """
    return [max(0, len(tokenizer.decode(ids[: end + 1]).split()) - 1) for end in range(len(ids))]


def count_tags(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """How many of the first ids are tags, which are no words of the text."""
    return sum(one >= tokenizer.inner.size for one in ids) if isinstance(tokenizer, TaggedTokenizer) else 0


@dataclass(frozen=True)
class WordMap:
    """The words that a pair's tokens belong to: what an attention between tokens is folded by.

    tags: how many tokens before the source are no words of it. source: (S - tags,) the word of each other token of
    the source. target: (T,) of each token of the target. EOS is in neither.
    """

    tags: int
    source: NDArray[np.int64]
    target: NDArray[np.int64]

    @classmethod
    def from_ids(cls, tokenizers: Tokenizers, source: Sequence[int], target: Sequence[int]) -> WordMap:
        """Those of a pair's ids, without EOS."""
        tags = count_tags(tokenizers.source, source)
        theirs = word_indices(tokenizers.source, source)[tags:]
        return cls(tags, np.array(theirs, int), np.array(word_indices(tokenizers.target, target), int))

    def link_words(self, weights: NDArray[np.floating[Any]]) -> tuple[Link, ...]:
        """Each target word with the source word that its tokens together look at most, in the target's order.

        weights: (T, tags + S) or with EOS behind either.
        """
        if not self.source.size or not self.target.size:
            return ()
        table = np.zeros((self.target.max() + 1, self.source.max() + 1))
        looked = weights[: len(self.target), self.tags : self.tags + len(self.source)]
        np.add.at(table, (self.target[:, None], self.source[None, :]), looked)
        return tuple((int(table[word].argmax()), int(word)) for word in np.unique(self.target))


def unit_indices(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """As word_of_each, for a reader: where words have no space between them, each token is one of its own.

    So is each token of a text that is one word in all, and tags before a source.
    """
    words = word_indices(tokenizer, ids)
    if len(set(words)) <= 1:
        return list(range(len(ids)))
    tags = count_tags(tokenizer, ids)
    units: list[int] = []
    for place, (word, piece) in enumerate(zip(words, tokenizer.pieces(ids), strict=True)):
        apart = 0 < place <= tags or (place > 0 and word != words[place - 1]) or any(map(_unspaced, piece))
        units.append(units[-1] + apart if units else 0)
    return units


def _unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)
