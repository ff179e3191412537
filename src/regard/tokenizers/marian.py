"""The tokenizer of an imported Marian model: SentencePiece splits the text, a separate vocabulary numbers the pieces.

It implements the protocol regard.tokenizers.base.Tokenizer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from regard.files import read_regular_file
from regard.special_tokens import EOS
from regard.tokenizers.subword import SPACE, load_processor, model_file
from regard.tokenizers.vocabulary import Vocabulary, unreadable, vocabulary_file
from regard.tokenizers.whitespace import fold_spaces


class MarianTokenizer:
    """One token per piece; pieces that are not in the vocabulary are UNK.

    Text is normalised by the SentencePiece model. A source may begin with its target language, written `>>fra<<`,
    which is one token.
    """

    kind = "marian"

    def __init__(self, model: bytes, vocabulary: Vocabulary) -> None:
        """Create a tokenizer from a serialized SentencePiece model. Raise ValueError for other data."""
        self._processor = load_processor(model)
        self.vocabulary = vocabulary

    @property
    def size(self) -> int:
        """The number of ids, including the special ones."""
        return len(self.vocabulary)

    @property
    def model(self) -> bytes:
        """The serialized SentencePiece model."""
        model: bytes = self._processor.serialized_model_proto()
        return model

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS; a lone surrogate becomes `?`."""
        clean = text.encode("utf-8", errors="replace").decode("utf-8")
        language, marked, rest = clean.partition("<<")
        if not (marked and language.startswith(">>")):
            return [self.vocabulary.id(piece) for piece in self._split(clean)]
        return [self.vocabulary.id(piece) for piece in [language + marked, *self._split(rest)]]

    def _split(self, text: str) -> list[str]:
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return pieces

    def decode(self, ids: Sequence[int]) -> str:
        """Return one line of text with white space folded; PAD, BOS and EOS are skipped."""
        pieces = self.pieces([id for id in ids if id > EOS])
        # SentencePiece returns pieces that only the other side's model knows unchanged
        text = str(self._processor.decode_pieces(pieces)) if pieces else ""
        return fold_spaces(text.replace(SPACE, " "))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the piece of each id, such as `▁Ein`."""
        return [self.vocabulary.token(int(id)) for id in ids]

    def save(self, folder: Path, name: str) -> None:
        """Write two files that `load` reads."""
        model_file(folder, name).write_bytes(self.model)
        self.vocabulary.save(vocabulary_file(folder, name))

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        vocabulary = Vocabulary.load(vocabulary_file(folder, name))
        path = model_file(folder, name)
        try:
            return cls(read_regular_file(path), vocabulary)
        except (OSError, ValueError) as error:
            raise unreadable("tokenizer", error, path) from None
