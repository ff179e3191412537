"""From tokens to the words of the text that they spell: what an alignment between words needs."""

from collections.abc import Sequence

from regard.text.tokenizer import Tokenizer


def word_of_each(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """For each id the white-space separated word, counted from 0, that it ends in or belongs to.

    A token that spells only white space belongs to the word before it (the first one, if there is none).
    """
    return [max(0, len(tokenizer.decode(ids[: end + 1]).split()) - 1) for end in range(len(ids))]
