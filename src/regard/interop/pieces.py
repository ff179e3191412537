"""Convert a tokenizer for other toolkits: its list of pieces, and its SentencePiece model for plain text."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import sentencepiece

from regard.errors import CheckpointError
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.columns import count_columns
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.subword import SubwordTokenizer

_LAST_WHITESPACE = 0x3000


def written_forms(tokenizer: Tokenizer, side: str) -> list[str]:
    """Return the piece of every id. Raise CheckpointError, naming the `side`, if two ids have the same piece."""
    pieces = tokenizer.pieces(range(tokenizer.size))
    piece, count = Counter(pieces).most_common(1)[0]
    if count > 1:
        raise CheckpointError(
            f"{count} tokens of the {side} vocabulary have the form {piece!r}, but this format needs unique forms",
            fix="train with tokenizer.kind = unigram, whose tokens all have unique forms",
        )
    return pieces


def refuse_columns(tokenizers: Tokenizers, where: str) -> None:
    """Raise CheckpointError for sources with several columns. `where` is the format."""
    if (count := count_columns(tokenizers.source)) > 1:
        raise CheckpointError(
            f"the sources of this run have {count} columns, and this format is for text",
            where=where,
            fix="export to ONNX, whose manifest has the tokenizer of each column",
        )


def plain_text_model(tokenizer: Tokenizer) -> bytes | None:
    """Return a serialized SentencePiece model that encodes plain text as the tokenizer does, or None if none exists.

    One exception: the model reads the character `▁` in a text as a space; the tokenizer encodes it as bytes.
    """
    if isinstance(tokenizer, MarianTokenizer):
        return tokenizer.model
    if isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.model + _whitespace_rules()  # protobuf merges concatenated messages
    return None


def _whitespace_rules() -> bytes:
    """Return a serialized model that holds only the whitespace normalization of the tokenizer."""
    codes = [code for code in range(_LAST_WHITESPACE + 1) if chr(code).isspace() and chr(code) != " "]
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(f"{code:X}\t20\n" for code in codes), encoding="utf-8")
        sentencepiece.set_min_log_level(2)  # silence a message for every file read
        normalizer = sentencepiece.SentencePieceNormalizer(
            rule_tsv=str(rules), add_dummy_prefix=True, remove_extra_whitespaces=True, escape_whitespaces=True
        )
    model: bytes = normalizer.serialized_model_proto()
    return model
