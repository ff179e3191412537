"""Subwords by SentencePiece (Kudo and Richardson, 2018): unigram (Kudo, 2018) or BPE (Sennrich et al., 2016)."""

import io
import re
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from regard.errors import CheckpointError, ConfigError, DataError
from regard.files import read_regular_file
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.whitespace import fold_spaces

SubwordKind = Literal["unigram", "bpe"]

SPACE = "▁"  # SentencePiece's way to write a space: a text that holds the character itself needs care
_RESERVED = str.maketrans(dict.fromkeys("▁▅\0", " "))  # its trainer drops or misreads a sentence with one of these

MAX_FULL_ALPHABET = 256  # characters; up to so many, each has a piece of its own
COVERAGE = 0.9995  # of running characters in a larger alphabet; rarer ones are spelt in bytes
THREADS = 4  # a constant, as the sums of unigram training depend on it


class SubwordTokenizer:
    """Pieces of words, falling back to bytes: no text has an unknown token.

    White space is folded, and a space put before the text, by this class rather than by
    SentencePiece, whose own normalisation is off: so the character `▁` can be told from a space.
    """

    def __init__(self, model: bytes, kind: SubwordKind) -> None:
        """`model` is SentencePiece's own format; ValueError where it is not one made by `train`."""
        self.kind = kind
        if not model:
            raise ValueError("the model is empty")
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model ({error})") from None
        spelt = [f"<0x{byte:02X}>" for byte in SPACE.encode()]
        self._space_ids: list[int] = [self._processor.piece_to_id(piece) for piece in spelt]
        if UNK in self._space_ids or tuple(self._processor.id_to_piece(list(range(len(SPECIAL))))) != SPECIAL:
            raise ValueError(f"the model lacks bytes, or its pieces do not begin with {', '.join(SPECIAL)}")

    @classmethod
    def train(cls, sentences: Sequence[str], size: int, kind: SubwordKind, *, text: str = "the text") -> Self:
        """Learns exactly `size` ids. The same sentences give the same tokenizer; `text` names them in errors.

        Raises ConfigError where `size` is not one that these sentences allow, naming the nearest
        that is, and DataError where there is no text.
        """
        folded = [fold_spaces(sentence.translate(_RESERVED)) for sentence in sentences]
        spaced = [f" {sentence}" for sentence in folded if sentence]
        if not spaced:
            raise DataError(f"there are no words in {text} to learn subwords from", fix="check the corpus")
        alphabet = len(set().union(*spaced))
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(spaced),
                model_writer=model,
                vocab_size=size,
                character_coverage=1.0 if alphabet <= MAX_FULL_ALPHABET else COVERAGE,
                **_settings(kind),
            )
        except RuntimeError as error:
            raise _training_error(str(error), size, text) from None
        return cls(model.getvalue(), kind)

    @property
    def size(self) -> int:
        """Ids in all, the special ones included."""
        return int(self._processor.get_piece_size())

    @property
    def model(self) -> bytes:
        """What it was made from."""
        model: bytes = self._processor.serialized_model_proto()
        return model

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without BOS and EOS; a lone surrogate becomes `?`."""
        folded = fold_spaces(text).encode("utf-8", errors="replace").decode("utf-8")
        if not folded:
            return []
        first, *others = f" {folded}".split(SPACE)
        ids: list[int] = self._processor.encode(first)
        for part in others:
            ids += self._space_ids
            ids += self._processor.encode(part)
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode` of each, in less time."""
        folded = [fold_spaces(text).encode("utf-8", errors="replace").decode("utf-8") for text in texts]
        spaced = ["" if SPACE in text or not text else f" {text}" for text in folded]
        found: list[list[int]] = self._processor.encode(spaced, num_threads=1)
        return [self.encode(text) if SPACE in text else ids for text, ids in zip(folded, found, strict=True)]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """One line of text, white space folded; PAD, BOS and EOS are skipped."""
        return fold_spaces(self._processor.decode([int(id) for id in ids if id > EOS]))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The piece of each id: `▁Ein`, `<0xC3>`."""
        return [self._pieces[id] for id in ids]

    @cached_property
    def _pieces(self) -> list[str]:
        return [str(self._processor.id_to_piece(id)) for id in range(self.size)]

    def matching_pieces(self) -> dict[int, str]:
        """Return the pieces that may match text by their ids: neither special ones nor bytes."""
        processor = self._processor
        kinds = (processor.is_byte, processor.is_control, processor.is_unknown, processor.is_unused)
        return {id: piece for id, piece in enumerate(self._pieces) if not any(kind(id) for kind in kinds)}

    @cached_property
    def byte_ids(self) -> tuple[int, ...]:
        """The ids of the pieces `<0x00>` to `<0xFF>`."""
        return tuple(self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256))

    def score(self, id: int) -> float:
        """What its search goes by: a log-probability (unigram), or the earlier merged, the higher (bpe)."""
        return float(self._processor.get_score(id))

    def with_new_pieces(self, pieces: Mapping[str, float]) -> Self:
        """This one with new pieces, by their scores, behind its own."""
        # a protobuf message behind another is one message, with what the second repeats behind the first's
        return type(self)(self.model + b"".join(map(_piece_message, pieces, pieces.values())), self.kind)

    def save(self, folder: Path, name: str) -> None:
        """Writes one file that `load` and SentencePiece read."""
        _model_file(folder, name).write_bytes(self.model)

    @classmethod
    def load(cls, folder: Path, name: str, kind: SubwordKind) -> Self:
        """What `save` wrote. Raises CheckpointError."""
        path = _model_file(folder, name)
        try:
            return cls(read_regular_file(path), kind)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the tokenizer cannot be read: {error}", where=path, fix="restore the file from the run it came from"
            ) from None


def _piece_message(piece: str, score: float) -> bytes:
    """ModelProto.pieces, field 1: a message of the piece, field 1, and its score, field 2; its type is NORMAL."""
    written = piece.encode()
    if len(written) + 7 >= 128:
        raise ValueError(f"the piece {piece!r} is too long")  # for lengths of one byte
    return bytes([0x0A, len(written) + 7, 0x0A, len(written)]) + written + b"\x15" + struct.pack("<f", score)


def _model_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.model"


def _settings(kind: SubwordKind) -> dict[str, Any]:
    return {
        "model_type": kind,
        "byte_fallback": True,
        "pad_id": PAD,
        "bos_id": BOS,
        "eos_id": EOS,
        "unk_id": UNK,
        "unk_surface": SPECIAL[UNK],
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "max_sentence_length": 2**30,  # bytes; longer ones would be skipped
        "num_threads": THREADS,
        "minloglevel": 2,
    }


def _training_error(message: str, size: int, text: str) -> ConfigError | DataError:
    where = "tokenizer.vocabulary_size"
    if most := re.search(r"too high.*<= (\d+)", message):
        return ConfigError(
            f"a vocabulary of {size} is more than {text} gives: there are subwords for {most[1]} at most",
            where=where,
            fix=f"set it to {most[1]} or less, or choose another tokenizer.kind",
        )
    if least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return ConfigError(
            f"a vocabulary of {size} is too small: the bytes and the characters of {text} alone take {least[1]}",
            where=where,
            fix=f"set it to {least[1]} or more, or choose another tokenizer.kind",
        )
    return DataError(f"SentencePiece cannot learn from {text}: {message}", fix="check the corpus")
