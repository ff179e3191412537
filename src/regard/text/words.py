"""From tokens to the words of the text that they spell: what an alignment between words needs."""

import unicodedata
from collections.abc import Sequence

from regard.text.tagged import TaggedTokenizer
from regard.text.tokenizer import Tokenizer

# Scripts that put no space between words, as the names of their letters begin.
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


def word_of_each(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """For each id the white-space separated word, counted from 0, that it ends in or belongs to.

    A token that spells only white space belongs to the word before it (the first one, if there is none).
    """
    return [max(0, len(tokenizer.decode(ids[: end + 1]).split()) - 1) for end in range(len(ids))]


def unit_of_each(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """As word_of_each, for a reader: where words have no space between them, each token is one of its own.

    So is each token of a text that is one word in all, and tags before a source.
    """
    words = word_of_each(tokenizer, ids)
    if len(set(words)) <= 1:
        return list(range(len(ids)))
    tags = 0
    if isinstance(tokenizer, TaggedTokenizer):
        tags = sum(token >= tokenizer.inner.size for token in ids)
    units: list[int] = []
    for place, (word, piece) in enumerate(zip(words, tokenizer.pieces(ids), strict=True)):
        apart = 0 < place <= tags or (place > 0 and word != words[place - 1]) or any(map(_unspaced, piece))
        units.append(units[-1] + apart if units else 0)
    return units


def _unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)
