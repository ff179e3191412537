"""Units of encoded text: the words, punctuation marks and, in scripts without spaces, tokens of a store of pairs.

A unit never ends inside a token. Only units with letters or digits can be terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.terms.words import is_unspaced
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.tagged import TaggedTokenizer
from regard.tokenizers.words import SPACE_MARK

Numbers = NDArray[np.int64]
_HASH = 0x9E3779B97F4A7C15


class UnitBoundaries:
    """Says where units begin in the ids of a tokenizer.

    Attributes:
        begins: (V,) whether a token always begins a unit.
        has_letters: (V,) whether a token has letters or digits. A unit ends where this changes.
        is_tag: (V,) whether a token is a tag, which is a unit without letters.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        inner = tokenizer.inner if isinstance(tokenizer, TaggedTokenizer) else tokenizer
        pieces = [*inner.pieces(range(inner.size)), *[""] * (tokenizer.size - inner.size)]
        is_word = inner.kind == "word"
        self.begins = np.array(
            [is_word or piece.startswith(SPACE_MARK) or any(map(is_unspaced, piece)) for piece in pieces], dtype=bool
        )
        self.has_letters = np.array([any(map(str.isalnum, piece)) for piece in pieces], dtype=bool)
        self.is_tag = np.arange(tokenizer.size) >= inner.size
        self.begins |= self.is_tag

    def starts(self, ids: Numbers, offsets: Numbers) -> Numbers:
        """Return the positions at which the units of concatenated sentences begin, given where these begin."""
        begins = self.begins[ids]
        begins[1:] |= self.has_letters[ids[1:]] != self.has_letters[ids[:-1]]
        begins[offsets[offsets < len(ids)]] = True
        return np.flatnonzero(begins)


@dataclass(frozen=True)
class Units:
    """The units of one side of a store.

    Attributes:
        start: (units,) The position of each unit in the concatenated tokens.
        offsets: (pairs + 1,) The first unit of each sentence, and the number of units.
        word: (units,) The index of each unit in `texts`.
        tokens: The number of tokens of all sentences.
        texts: The distinct units as text; "" for those without letters and for tags.
    """

    start: Numbers
    offsets: Numbers
    word: Numbers
    tokens: int
    texts: list[str]

    @property
    def sentence(self) -> Numbers:
        """(units,) The sentence of each unit."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @classmethod
    def of(cls, tokenizer: Tokenizer, sentences: Sequence[NDArray[Any]]) -> Units:
        """Divide sentences of token ids into units."""
        ids = np.concatenate([np.empty(0, np.int64), *sentences]).astype(np.int64)
        ends = np.cumsum([0, *map(len, sentences)])
        boundaries = UnitBoundaries(tokenizer)
        start = boundaries.starts(ids, ends[:-1])
        bounds = np.append(start, len(ids))
        first, word = _distinct(ids, start)
        is_text = boundaries.has_letters[ids[start[first]]] & ~boundaries.is_tag[ids[start[first]]]
        texts = [
            tokenizer.decode(ids[bounds[unit] : bounds[unit + 1]].tolist()).strip() if has_text else ""
            for unit, has_text in zip(first.tolist(), is_text.tolist(), strict=True)
        ]
        return cls(start, np.searchsorted(start, ends), word, len(ids), texts)


def _distinct(ids: Numbers, start: Numbers) -> tuple[Numbers, Numbers]:
    """Return the first unit of each distinct sequence of tokens, and the index of the sequence of each unit."""
    if not len(start):
        return start, start
    lengths = np.diff(start, append=len(ids))
    within = np.arange(len(ids)) - np.repeat(start, lengths)
    with np.errstate(over="ignore"):
        mixed = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(_HASH)
        mixed ^= mixed >> np.uint64(29)
        powers = np.uint64(_HASH) ** np.arange(lengths.max(), dtype=np.uint64)  # odd, so that none is a multiple of 2
        hashes = np.add.reduceat(mixed * powers[within], start)
    _, first, word = np.unique(hashes, return_index=True, return_inverse=True)
    return first, word
