"""Tags before a source, such as a target language or a domain: one model serves several (Johnson et al. 2017).

A tag is part of the text, written in Unicode tag characters after U+E0001. No ordinary text contains these, so tags
travel with the text through all code, and nothing that a user types becomes a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from regard.corpus.corpus import Corpus, DerivedCorpus, Pair

BEGIN, SHIFT, END = "\U000e0001", 0xE0000, "\U000e007f"
_TAG = re.compile(f"{BEGIN}([\U000e0021-\U000e007e]+){END}")


def add_tags(text: str, tags: Sequence[str]) -> str:
    """Return a text with tags before it."""
    return "".join(f"{BEGIN}{_shift(tag, SHIFT)}{END}" for tag in tags) + text


def split_tags(text: str) -> tuple[list[str], str]:
    """Return the tags before a text, and the text without them."""
    tags = []
    while match := _TAG.match(text):
        tags.append(_shift(match[1], -SHIFT))
        text = text[match.end() :]
    return tags, text


def _shift(text: str, offset: int) -> str:
    return "".join(chr(ord(character) + offset) for character in text)


class TaggedCorpus(DerivedCorpus):
    """A single corpus with the same tags before each source."""

    def __init__(self, corpus: Corpus, tags: Sequence[str]) -> None:
        super().__init__(corpus)
        self.tags = tags

    def __iter__(self) -> Iterator[Pair]:
        return (replace(pair, source=add_tags(pair.source, self.tags)) for pair in self.corpus)
