"""A tokenizer with an id for each tag before a text: see regard.corpus.tagged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regard.corpus.tagged import split_tags
from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.tokenizers.base import Tokenizer


class TaggedTokenizer:
    """A tokenizer with an id for each tag behind its own; it keeps regard.tokenizers.base.Tokenizer's protocol."""

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
        return [*self.tag_ids(text), *self.inner.encode(split_tags(text)[1])]

    def tag_ids(self, text: str) -> list[int]:
        """Those of the tags before a text alone."""
        return [*self._before, *(self._id(tag) for tag in split_tags(text)[0])]

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
