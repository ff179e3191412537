"""A tokenizer whose tokens are the matches of a regular expression.

It implements the protocol regard.tokenizers.base.Tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from regard.config.patterns import compile_pattern
from regard.errors import DataError
from regard.files import read_regular_file
from regard.tokenizers.simple import VocabularyTokenizer
from regard.tokenizers.vocabulary import Vocabulary, unreadable, vocabulary_file
from regard.tokenizers.whitespace import one_line

SECONDS = 2.0  # that the pattern may take for a text


class PatternTokenizer(VocabularyTokenizer):
    """One token per match of a pattern, and one per code point between matches. Together they spell the text.

    Tokens that are not in the training text are UNK.

    Args:
        vocabulary: The tokens.
        pattern: The pattern, in the syntax of Python's `re` and of the package `regex`.

    Raises:
        ValueError: The pattern is not valid.
    """

    kind = "pattern"

    def __init__(self, vocabulary: Vocabulary, pattern: str) -> None:
        super().__init__(vocabulary)
        self.pattern = pattern
        self._compiled = compile_pattern(pattern)

    @classmethod
    def train(cls, sentences: Iterable[str], size: int, pattern: str) -> Self:
        """Build a vocabulary of the most frequent tokens, with at most `size` ids."""
        return cls(cls(Vocabulary([]), pattern).count(sentences, size), pattern)

    def split(self, text: str) -> Iterator[str]:
        """Yield the tokens of a text. Raise DataError if the pattern takes too long."""
        end = 0
        try:
            for match in self._compiled.finditer(text, timeout=SECONDS):
                yield from text[end : match.start()]
                if match.end() > match.start():
                    yield match.group()
                end = match.end()
        except TimeoutError:
            raise DataError(
                f"the pattern takes more than {SECONDS:g} seconds for a text of {len(text):,} characters",
                where="tokenizer.pattern",
                fix="avoid nested repetitions such as (a+)+",
            ) from None
        yield from text[end:]

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text; PAD, BOS and EOS are skipped."""
        return one_line("".join(self.vocabulary.tokens(ids)))

    def save(self, folder: Path, name: str) -> None:
        """Write the two files that `load` reads."""
        super().save(folder, name)
        pattern_file(folder, name).write_text(self.pattern, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        path = pattern_file(folder, name)
        vocabulary = Vocabulary.load(vocabulary_file(folder, name))
        try:
            return cls(vocabulary, read_regular_file(path).decode())
        except (OSError, ValueError) as error:
            raise unreadable("pattern of the tokenizer", error, path) from None


def pattern_file(folder: Path, name: str) -> Path:
    """Return the file of a pattern in the folder of a checkpoint."""
    return folder / f"{name}.pattern.txt"
