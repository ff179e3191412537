"""Subwords by SentencePiece (Kudo and Richardson 2018): unigram (Kudo 2018) or BPE (Sennrich et al. 2016)."""

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

from regard.errors import ConfigError, DataError
from regard.files import read_regular_file
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.vocabulary import unreadable
from regard.tokenizers.whitespace import fold_spaces

SubwordKind = Literal["unigram", "bpe"]

SPACE = "▁"  # how SentencePiece writes a space; texts with this character need special treatment
_RESERVED = str.maketrans(dict.fromkeys("▁▅\0", " "))  # the trainer drops or misreads sentences with these

MAX_FULL_ALPHABET = 256  # an alphabet of at most this size has a piece for every character
COVERAGE = 0.9995  # share of the text that pieces of a larger alphabet cover; rarer characters are spelled in bytes
THREADS = 4  # constant, because the sums in unigram training depend on it


def load_processor(model: bytes) -> Any:
    """Return SentencePiece with a serialized model. Raise ValueError for other data."""
    if not model:
        raise ValueError("the model is empty")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise ValueError(f"not a SentencePiece model ({error})") from None


class SubwordTokenizer:
    """Pieces of words with byte fallback: no text has an unknown token.

    This class folds white space and puts a space before the text. The normalisation of SentencePiece is off, so that
    the character `▁` stays distinct from a space.
    """

    def __init__(self, model: bytes, kind: SubwordKind) -> None:
        """Create a tokenizer from a serialized SentencePiece model. Raise ValueError if it was not made by `train`."""
        self.kind = kind
        self._processor = load_processor(model)
        pieces = [f"<0x{byte:02X}>" for byte in SPACE.encode()]
        self._space_ids: list[int] = [self._processor.piece_to_id(piece) for piece in pieces]
        if UNK in self._space_ids or tuple(self._processor.id_to_piece(list(range(len(SPECIAL))))) != SPECIAL:
            raise ValueError(f"the model lacks bytes, or its pieces do not begin with {', '.join(SPECIAL)}")

    @classmethod
    def train(cls, sentences: Sequence[str], size: int, kind: SubwordKind, *, text: str = "the text") -> Self:
        """Train a tokenizer with exactly `size` ids. The same sentences give the same tokenizer.

        Args:
            sentences: The training text.
            size: The number of ids, including the special ones.
            kind: The algorithm.
            text: The name of the training text in errors.

        Raises:
            ConfigError: `size` is too large or too small for the sentences; the message says the limit.
            DataError: There is no text.
        """
        folded = [fold_spaces(sentence.translate(_RESERVED)) for sentence in sentences]
        spaced = [f" {sentence}" for sentence in folded if sentence]
        if not spaced:
            raise DataError(f"there are no words in {text} to train subwords on", fix="check the corpus")
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
        """The number of ids, including the special ones."""
        return int(self._processor.get_piece_size())

    @property
    def model(self) -> bytes:
        """The serialized SentencePiece model."""
        model: bytes = self._processor.serialized_model_proto()
        return model

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without BOS and EOS; a lone surrogate becomes `?`."""
        folded = fold_spaces(text).encode("utf-8", errors="replace").decode("utf-8")
        if not folded:
            return []
        first, *rest = f" {folded}".split(SPACE)
        ids: list[int] = self._processor.encode(first)
        for part in rest:
            ids += self._space_ids
            ids += self._processor.encode(part)
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode several texts, faster than one by one."""
        folded = [fold_spaces(text).encode("utf-8", errors="replace").decode("utf-8") for text in texts]
        spaced = ["" if SPACE in text or not text else f" {text}" for text in folded]
        encoded: list[list[int]] = self._processor.encode(spaced, num_threads=1)
        return [self.encode(text) if SPACE in text else ids for text, ids in zip(folded, encoded, strict=True)]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Return one line of text with white space folded; PAD, BOS and EOS are skipped."""
        return fold_spaces(self._processor.decode([int(id) for id in ids if id > EOS]))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the piece of each id, such as `▁Ein` or `<0xC3>`."""
        return [self._pieces[id] for id in ids]

    @cached_property
    def _pieces(self) -> list[str]:
        return [str(self._processor.id_to_piece(id)) for id in range(self.size)]

    def matching_pieces(self) -> dict[int, str]:
        """Return the pieces that can match text, by id: all except special ones and bytes."""
        processor = self._processor
        kinds = (processor.is_byte, processor.is_control, processor.is_unknown, processor.is_unused)
        return {id: piece for id, piece in enumerate(self._pieces) if not any(kind(id) for kind in kinds)}

    @cached_property
    def byte_ids(self) -> tuple[int, ...]:
        """The ids of the pieces `<0x00>` to `<0xFF>`."""
        return tuple(self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in range(256))

    def score(self, id: int) -> float:
        """Return the score of a piece: its log-probability (unigram), or its merge priority (bpe)."""
        return float(self._processor.get_score(id))

    def with_new_pieces(self, pieces: Mapping[str, float]) -> Self:
        """Return a tokenizer with new pieces after the present ones. `pieces` maps them to their scores."""
        # concatenated protobuf messages are one message, in which repeated fields are concatenated
        return type(self)(self.model + b"".join(map(_piece_message, pieces, pieces.values())), self.kind)

    def save(self, folder: Path, name: str) -> None:
        """Write one file that `load` and SentencePiece read."""
        model_file(folder, name).write_bytes(self.model)

    @classmethod
    def load(cls, folder: Path, name: str, kind: SubwordKind) -> Self:
        """Read what `save` wrote. Raises CheckpointError."""
        path = model_file(folder, name)
        try:
            return cls(read_regular_file(path), kind)
        except (OSError, ValueError) as error:
            raise unreadable("tokenizer", error, path) from None


def _piece_message(piece: str, score: float) -> bytes:
    """Return an entry of ModelProto.pieces (field 1): the piece (field 1) and its score (field 2), of type NORMAL."""
    written = piece.encode()
    if len(written) + 7 >= 128:
        raise ValueError(f"the piece {piece!r} is too long")  # lengths must fit in one byte
    return bytes([0x0A, len(written) + 7, 0x0A, len(written)]) + written + b"\x15" + struct.pack("<f", score)


def model_file(folder: Path, name: str) -> Path:
    """Return the file of a SentencePiece model in the folder of a checkpoint."""
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
        "max_sentence_length": 2**30,  # bytes; longer sentences would be skipped
        "num_threads": THREADS,
        "minloglevel": 2,
    }


def _training_error(message: str, size: int, text: str) -> ConfigError | DataError:
    where = "tokenizer.vocabulary_size"
    if match := re.search(r"too high.*<= (\d+)", message):
        return ConfigError(
            f"a vocabulary of {size} is too large for {text}: there are at most {match[1]} subwords",
            where=where,
            fix=f"set it to {match[1]} or less, or choose another tokenizer.kind",
        )
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return ConfigError(
            f"a vocabulary of {size} is too small: the bytes and the characters of {text} alone take {match[1]}",
            where=where,
            fix=f"set it to {match[1]} or more, or choose another tokenizer.kind",
        )
    return DataError(f"SentencePiece cannot be trained on {text}: {message}", fix="check the corpus")
