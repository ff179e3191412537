"""What a plugin can add, and the names that regard itself has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["architectures", "scores", "tokenizers", "searches", "formats", "metrics"]

BUILT_IN: Final[Mapping[Kind, tuple[str, ...]]] = {
    "architectures": (
        "cho2014",
        "sutskever2014",
        "bahdanau2014",
        "luong2015",
        "gnmt2016",
        "bytenet2016",
        "convs2s2017",
        "transformer2017",
        "modern",
    ),
    "scores": ("dot", "general", "concat", "scaled_dot"),
    "tokenizers": ("unigram", "bpe", "character", "word", "byte", "pattern", "list", "marian"),
    "searches": ("beam", "diverse", "lookahead", "exact", "sample", "mbr"),
    "formats": (".tsv", ".csv", ".tmx", ".po", ".mo", ".xlf", ".xliff", ".jsonl", ".parquet", ".sqlite"),
    "metrics": ("chrf", "bleu", "exact", "loss"),
}

RESERVED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "tokenizers": ("columns",),  # of a source with several columns
    "formats": (".gz", ".xz", ".zst", ".txt"),
    "metrics": ("ter", "wer", "signatures", "lines", "left_aside", "seconds"),  # keys of `regard evaluate --json`
}
"""Further names that plugins cannot use."""

NOUNS: Final[Mapping[Kind, str]] = {
    "architectures": "architecture",
    "scores": "attention score",
    "tokenizers": "tokenizer",
    "searches": "search",
    "formats": "corpus format",
    "metrics": "metric",
}
