"""Tags before a source, as a target language or a domain: one model then serves several (Johnson et al. 2017).

A tag goes with the text that it is of, written in Unicode's tag characters behind U+E0001, which is what they were made
for and what no text has: so whatever hands on text hands on its tags, and nothing that a user types becomes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from regard.corpus.corpus import Corpus, Pair, SingleCorpus, SkipReport

BEGIN, SHIFT, END = "\U000e0001", 0xE0000, "\U000e007f"
_TAG = re.compile(f"{BEGIN}([\U000e0021-\U000e007e]+){END}")


def add_tags(text: str, tags: Sequence[str]) -> str:
    """A text with tags before it."""
    return "".join(f"{BEGIN}{''.join(chr(ord(one) + SHIFT) for one in tag)}{END}" for tag in tags) + text


def split_tags(text: str) -> tuple[list[str], str]:
    """The tags before a text, and the text."""
    tags = []
    while found := _TAG.match(text):
        tags.append("".join(chr(ord(one) - SHIFT) for one in found[1]))
        text = text[found.end() :]
    return tags, text


class TaggedCorpus(SingleCorpus):
    """A single corpus with the same tags before each source."""

    def __init__(self, corpus: Corpus, tags: Sequence[str]) -> None:
        self.name = corpus.name
        self.corpus = corpus
        self.tags = tags

    @property
    def skipped(self) -> SkipReport:
        """What the last iteration skipped."""
        return self.corpus.skipped

    def check(self) -> None:
        """Check the corpus."""
        self.corpus.check()

    def __iter__(self) -> Iterator[Pair]:
        return (replace(pair, source=add_tags(pair.source, self.tags)) for pair in self.corpus)
