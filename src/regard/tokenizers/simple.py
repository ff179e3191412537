"""Tokenizers of characters, words and bytes, trained by counting.

All implement the protocol regard.tokenizers.base.Tokenizer.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from regard.special_tokens import SPECIAL
from regard.tokenizers.vocabulary import Vocabulary, vocabulary_file
from regard.tokenizers.whitespace import fold_spaces, one_line

VISIBLE_SPACE = "▁"  # how a space is displayed


class VocabularyTokenizer(ABC):
    """Base class of tokenizers whose tokens are in a vocabulary; tokens that are not in the training text are UNK."""

    kind: str

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @abstractmethod
    def split(self, text: str) -> Iterable[str]:
        """Return the tokens of a text."""

    def count(self, sentences: Iterable[str], size: int) -> Vocabulary:
        """Return a vocabulary of the most frequent tokens of sentences, with at most `size` ids."""
        return Vocabulary.count((token for sentence in sentences for token in self.split(sentence)), size)

    @property
    def size(self) -> int:
        """The number of ids, including the special ones."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS."""
        return [self.vocabulary.id(token) for token in self.split(text)]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id, a space as `▁`."""
        return [self.vocabulary.token(id).replace(" ", VISIBLE_SPACE) for id in ids]

    def save(self, folder: Path, name: str) -> None:
        """Write the file of the vocabulary."""
        self.vocabulary.save(vocabulary_file(folder, name))


class PlainTokenizer(VocabularyTokenizer):
    """Base class of tokenizers that have a vocabulary and no settings."""

    @classmethod
    def train(cls, sentences: Iterable[str], size: int) -> Self:
        """Build a vocabulary of the most frequent tokens, with at most `size` ids."""
        return cls(cls(Vocabulary([])).count(sentences, size))

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        return cls(Vocabulary.load(vocabulary_file(folder, name)))


class CharacterTokenizer(PlainTokenizer):
    """One token per Unicode code point."""

    kind = "character"

    def split(self, text: str) -> Iterable[str]:
        """Return the code points."""
        return text

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text; PAD, BOS and EOS are skipped."""
        return one_line("".join(self.vocabulary.tokens(ids)))


class WordTokenizer(PlainTokenizer):
    """One token per word between white space."""

    kind = "word"

    def split(self, text: str) -> Iterable[str]:
        """Return the words."""
        return text.split()

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text, with a space between words; PAD, BOS and EOS are skipped."""
        return fold_spaces(" ".join(self.vocabulary.tokens(ids)))


class ByteTokenizer:
    """One token per byte of UTF-8. It can encode every text, and has nothing to train or save."""

    kind = "byte"
    size = len(SPECIAL) + 256

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS; a lone surrogate becomes `?`."""
        return [len(SPECIAL) + byte for byte in text.encode("utf-8", errors="replace")]

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text; special ids are skipped, and bytes that are not UTF-8 become U+FFFD."""
        data = bytes(id - len(SPECIAL) for id in ids if id >= len(SPECIAL))
        return one_line(data.decode("utf-8", errors="replace"))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the written form of each id: an ASCII character as itself, a space as `▁`, other bytes as `<0xC3>`."""
        return [_byte_piece(id - len(SPECIAL)) if id >= len(SPECIAL) else SPECIAL[id] for id in ids]

    def save(self, folder: Path, name: str) -> None:
        """Do nothing."""


def _byte_piece(byte: int) -> str:
    if byte == ord(" "):
        return VISIBLE_SPACE
    return chr(byte) if 0x20 < byte < 0x7F else f"<0x{byte:02X}>"
