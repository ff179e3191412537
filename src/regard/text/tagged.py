"""Tags before a source, as a target language or a domain: one model then serves several (Johnson et al. 2017).

A tag goes with the text that it is of, written in Unicode's tag characters behind U+E0001, which is what they were made
for and what no text has: so whatever hands on text hands on its tags, and nothing that a user types becomes one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import ConfigError
from regard.text.corpus import Aside, Corpus, Pair

if TYPE_CHECKING:
    from regard.text.tokenizer import Tokenizer

BEGIN, SHIFT, END = "\U000e0001", 0xE0000, "\U000e007f"
_TAG = re.compile(f"{BEGIN}([\U000e0021-\U000e007e]+){END}")


def tagged(text: str, tags: Sequence[str]) -> str:
    """A text with tags before it."""
    return "".join(f"{BEGIN}{''.join(chr(ord(one) + SHIFT) for one in tag)}{END}" for tag in tags) + text


def untagged(text: str) -> tuple[list[str], str]:
    """The tags before a text, and the text."""
    tags = []
    while found := _TAG.match(text):
        tags.append("".join(chr(ord(one) - SHIFT) for one in found[1]))
        text = text[found.end() :]
    return tags, text


class TaggedCorpus:
    """A corpus with the same tags before all of its sources."""

    def __init__(self, corpus: Corpus, tags: Sequence[str]) -> None:
        self.corpus = corpus
        self.tags = tags

    @property
    def name(self) -> str:
        """That of the corpus."""
        return self.corpus.name

    @property
    def aside(self) -> Aside:
        """What the corpus left aside."""
        return self.corpus.aside

    def __iter__(self) -> Iterator[Pair]:
        return (replace(pair, source=tagged(pair.source, self.tags)) for pair in self.corpus)


class TaggedTokenizer:
    """A tokenizer with an id for each tag behind its own; it keeps regard.text.tokenizer.Tokenizer's protocol."""

    def __init__(self, inner: Tokenizer, tags: Sequence[str], before: Sequence[str] = ()) -> None:
        """before: the tags that every text begins with. Raises ConfigError where they are none of `tags`."""
        self.inner = inner
        self.tags = tuple(tags)
        self._before = [self._id(tag) for tag in before]

    @property
    def kind(self) -> str:
        """That of the tokenizer inside."""
        return self.inner.kind

    @property
    def size(self) -> int:
        """Ids in all, the tags' included."""
        return self.inner.size + len(self.tags)

    def encode(self, text: str) -> list[int]:
        """The ids of the tags before a text, and of the text. Raises ConfigError for a tag that there is not."""
        return [*self.tag_ids(text), *self.inner.encode(untagged(text)[1])]

    def tag_ids(self, text: str) -> list[int]:
        """Those of the tags before a text alone."""
        return [*self._before, *(self._id(tag) for tag in untagged(text)[0])]

    def _id(self, tag: str) -> int:
        if tag not in self.tags:
            raise ConfigError(
                f"the model knows no tag {tag!r}", where="tags", fix=f"choose among {', '.join(self.tags)}"
            )
        return self.inner.size + self.tags.index(tag)

    def decode(self, ids: Sequence[int]) -> str:
        """One line of text, without tags."""
        return self.inner.decode([id for id in ids if id < self.inner.size])

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The written form of each id; `<de>` for a tag."""
        size = self.inner.size
        return [f"<{self.tags[id - size]}>" if id >= size else self.inner.pieces([id])[0] for id in ids]

    def save(self, folder: Path, name: str) -> None:
        """Writes the files of the tokenizer inside; whoever calls keeps the tags."""
        self.inner.save(folder, name)
