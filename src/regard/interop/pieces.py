"""What a tokenizer of ours is to others: a SentencePiece model for plain text, and a list of pieces."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import sentencepiece

from regard.errors import CheckpointError
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.marian import MarianTokenizer
from regard.tokenizers.subword import SubwordTokenizer

_LAST_WHITE_SPACE = 0x3000


def written_forms(tokenizer: Tokenizer, side: str) -> list[str]:
    """The piece of every id. Raises CheckpointError where two ids are written alike, naming the `side`."""
    pieces = tokenizer.pieces(range(tokenizer.size))
    piece, count = Counter(pieces).most_common(1)[0]
    if count > 1:
        raise CheckpointError(
            f"{count} tokens of the {side} vocabulary are written {piece!r}, and the format tells tokens by that",
            fix="train with tokenizer.kind = unigram, whose tokens are all written differently",
        )
    return pieces


def plain_text_model(tokenizer: Tokenizer) -> bytes | None:
    """A SentencePiece model that makes of plain text what the tokenizer does; None where there can be none.

    One exception: the character `▁` in a text, which ours spells in bytes, is a space to it.
    """
    if isinstance(tokenizer, MarianTokenizer):
        return tokenizer.model
    if isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.model + _white_space_rules()  # messages one behind the other are one message: so is protobuf
    return None


def _white_space_rules() -> bytes:
    """A model that holds nothing but what our tokenizer does to a text before SentencePiece sees it."""
    white = [code for code in range(_LAST_WHITE_SPACE + 1) if chr(code).isspace() and chr(code) != " "]
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(f"{code:X}\t20\n" for code in white), encoding="utf-8")
        sentencepiece.set_min_log_level(2)  # it would tell of every file that it reads
        normalizer = sentencepiece.SentencePieceNormalizer(
            rule_tsv=str(rules), add_dummy_prefix=True, remove_extra_whitespaces=True, escape_whitespaces=True
        )
    model: bytes = normalizer.serialized_model_proto()
    return model
