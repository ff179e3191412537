"""A tokenizer with ids for the tags before a text (see regard.corpus.tagged)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from regard.corpus.tagged import add_tags, split_tags
from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.tokenizers.base import Tokenizer


class TaggedTokenizer:
    """Adds ids for tags after those of another tokenizer; implements regard.tokenizers.base.Tokenizer."""

    def __init__(self, inner: Tokenizer, tags: Sequence[str], before: Sequence[str] = ()) -> None:
        """Wrap a tokenizer.

        Args:
            inner: The tokenizer of the text.
            tags: The tags that have ids.
            before: Tags to put before every text. ConfigError if they are not among `tags`.
        """
        self.inner = inner
        self.tags = tuple(tags)
        self._before = [self._id(tag) for tag in before]

    @property
    def kind(self) -> str:
        """The kind of the inner tokenizer."""
        return self.inner.kind

    @property
    def size(self) -> int:
        """The number of ids, including those of tags."""
        return self.inner.size + len(self.tags)

    def encode(self, text: str) -> list[int]:
        """Return the ids of the tags before a text, and of the text. Raise ConfigError for an unknown tag."""
        return [*self.tag_ids(text), *self.inner.encode(split_tags(text)[1])]

    def tag_ids(self, text: str) -> list[int]:
        """Return the ids of the tags before a text only."""
        return [*self._before, *(self._id(tag) for tag in split_tags(text)[0])]

    def _id(self, tag: str) -> int:
        if tag not in self.tags:
            raise ConfigError(
                f"the model has no tag {tag!r}", where="tags", fix=f"choose one of {', '.join(self.tags)}"
            )
        return self.inner.size + self.tags.index(tag)

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text, without tags."""
        return self.inner.decode([id for id in ids if id < self.inner.size])

    def decode_with_tags(self, ids: Sequence[int]) -> str:
        """Return one line of text with the tags before it; see regard.corpus.tagged."""
        size = self.inner.size
        tags = [self.tags[id - size] for id in takewhile(lambda id: id >= size, ids)]
        return add_tags(self.decode(ids), tags)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id, `<de>` for a tag."""
        size = self.inner.size
        return [f"<{self.tags[id - size]}>" if id >= size else self.inner.pieces([id])[0] for id in ids]

    def save(self, folder: Path, name: str) -> None:
        """Write the files of the inner tokenizer; the caller saves the tags."""
        self.inner.save(folder, name)
