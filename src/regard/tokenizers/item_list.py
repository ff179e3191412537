"""A tokenizer whose tokens are the items of a list, such as `V;PST;3;SG`.

It implements the protocol regard.tokenizers.base.Tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from regard.files import read_regular_file
from regard.tokenizers.simple import VocabularyTokenizer
from regard.tokenizers.vocabulary import Vocabulary, unreadable, vocabulary_file
from regard.tokenizers.whitespace import one_line


class ListTokenizer(VocabularyTokenizer):
    """One token per item between delimiters. Decoding puts the delimiter between items, so no token stands for it.

    Items that are not in the training text are UNK.
    """

    kind = "list"

    def __init__(self, vocabulary: Vocabulary, delimiter: str) -> None:
        """Create the tokenizer. Raise ValueError if the delimiter is empty."""
        if not delimiter:
            raise ValueError("the delimiter is empty")
        super().__init__(vocabulary)
        self.delimiter = delimiter

    @classmethod
    def train(cls, sentences: Iterable[str], size: int, delimiter: str) -> Self:
        """Build a vocabulary of the most frequent items, with at most `size` ids."""
        return cls(cls(Vocabulary([]), delimiter).count(sentences, size), delimiter)

    def split(self, text: str) -> list[str]:
        """Return the items of a text."""
        return text.split(self.delimiter) if text else []

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text, with the delimiter between items; PAD, BOS and EOS are skipped."""
        return one_line(self.delimiter.join(self.vocabulary.tokens(ids)))

    def save(self, folder: Path, name: str) -> None:
        """Write the two files that `load` reads."""
        super().save(folder, name)
        delimiter_file(folder, name).write_text(self.delimiter, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        path = delimiter_file(folder, name)
        vocabulary = Vocabulary.load(vocabulary_file(folder, name))
        try:
            return cls(vocabulary, read_regular_file(path).decode())
        except (OSError, ValueError) as error:
            raise unreadable("delimiter of the tokenizer", error, path) from None


def delimiter_file(folder: Path, name: str) -> Path:
    """Return the file of a delimiter in the folder of a checkpoint."""
    return folder / f"{name}.delimiter.txt"
