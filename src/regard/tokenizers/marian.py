"""The tokenizer of a model that comes from Marian: SentencePiece cuts the text, a list of its own numbers the pieces.

It keeps the protocol regard.tokenizers.base.Tokenizer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import sentencepiece

from regard.errors import CheckpointError
from regard.files import read_regular_file
from regard.special_tokens import EOS
from regard.tokenizers.subword import SPACE
from regard.tokenizers.vocabulary import Vocabulary
from regard.tokenizers.whitespace import fold_spaces


class MarianTokenizer:
    """Pieces of words; one that the vocabulary lacks is UNK.

    Text is normalised as the SentencePiece model says. A source may begin with the language that it
    is to be translated into, written `>>fra<<`, which is one token.
    """

    kind = "marian"

    def __init__(self, model: bytes, vocabulary: Vocabulary) -> None:
        """`model` is SentencePiece's own format; ValueError where it is not."""
        if not model:
            raise ValueError("the model is empty")
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model ({error})") from None
        self.vocabulary = vocabulary

    @property
    def size(self) -> int:
        """Ids in all, the special ones included."""
        return len(self.vocabulary)

    @property
    def model(self) -> bytes:
        """What it was made from."""
        model: bytes = self._processor.serialized_model_proto()
        return model

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without BOS and EOS; a lone surrogate becomes `?`."""
        clean = text.encode("utf-8", errors="replace").decode("utf-8")
        language, marked, rest = clean.partition("<<")
        if not (marked and language.startswith(">>")):
            return [self.vocabulary.id(piece) for piece in self._cut(clean)]
        return [self.vocabulary.id(piece) for piece in [language + marked, *self._cut(rest)]]

    def _cut(self, text: str) -> list[str]:
        pieces: list[str] = self._processor.encode(text, out_type=str)
        return pieces

    def decode(self, ids: Sequence[int]) -> str:
        """One line of text, white space folded; PAD, BOS and EOS are skipped."""
        pieces = self.pieces([id for id in ids if id > EOS])
        # SentencePiece gives back as it is a piece that only the other side's model knows
        text = str(self._processor.decode_pieces(pieces)) if pieces else ""
        return fold_spaces(text.replace(SPACE, " "))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The piece of each id: `▁Ein`."""
        return [self.vocabulary.token(int(id)) for id in ids]

    def save(self, folder: Path, name: str) -> None:
        """Writes two files that `load` reads."""
        _model_file(folder, name).write_bytes(self.model)
        self.vocabulary.save(_vocabulary_file(folder, name))

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """What `save` wrote. Raises CheckpointError."""
        vocabulary = Vocabulary.load(_vocabulary_file(folder, name))
        path = _model_file(folder, name)
        try:
            return cls(read_regular_file(path), vocabulary)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the tokenizer cannot be read: {error}", where=path, fix="restore the file from the run it came from"
            ) from None


def _model_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.model"


def _vocabulary_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.vocabulary.json"
