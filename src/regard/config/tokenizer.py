"""The [tokenizer] section of a recipe: how text is split into tokens."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Annotated, Self

from pydantic import Field, model_validator

from regard.config.data import Section
from regard.config.names import NameOf
from regard.config.patterns import compile_pattern

MAX_VOCABULARY = 1_000_000


class ColumnTokenizerConfig(Section):
    """[[tokenizer.source_columns]]: how a column of the source is split into tokens."""

    kind: Annotated[str, NameOf("tokenizers", without=("marian",))] = Field(
        description="Tokenizer of the column, one of those of `tokenizer.kind`."
    )
    vocabulary_size: int | None = Field(
        None, ge=8, le=MAX_VOCABULARY, description="Vocabulary size of the column; by default that of [tokenizer]."
    )
    pattern: str | None = Field(
        None, max_length=10_000, description="Regular expression of the tokenizer `pattern`, as in [tokenizer]."
    )
    delimiter: str | None = Field(
        None, min_length=1, max_length=100, description="Text between the items of the tokenizer `list`."
    )

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        check_keys({self.kind}, self.pattern, self.delimiter)
        return self


class TokenizerConfig(Section):
    """[tokenizer]: how text is split into tokens."""

    kind: Annotated[str, NameOf("tokenizers")] = Field(
        "unigram",
        description="Tokenizer: SentencePiece `unigram` or `bpe`, `character`, whitespace-separated `word`, UTF-8 "
        "`byte`, the matches of a `pattern`, or the items of a `list`. `marian` is set only by `regard import`.",
    )
    target_kind: Annotated[str | None, NameOf("tokenizers", without=("marian",))] = Field(
        None, description="Tokenizer of the target side, if it differs from `kind`. Requires `joint = false`."
    )
    vocabulary_size: int = Field(
        8000,
        ge=8,
        le=MAX_VOCABULARY,
        description="Vocabulary size, special tokens included. Exact for `unigram` and `bpe`, a maximum for "
        "`character`, `word`, `pattern` and `list`; `byte` ignores it.",
    )
    pattern: str | None = Field(
        None,
        max_length=10_000,
        description="Regular expression of the tokenizer `pattern`: each match is a token, and so is each character "
        "between matches.",
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Text between the items of the tokenizer `list`: each item is a token, the delimiter is none.",
    )
    joint: bool = Field(
        True,
        description="Share one vocabulary between source and target. With `source_columns`, the target and the "
        "columns that are split as it is share their tokens.",
    )
    source_columns: tuple[ColumnTokenizerConfig, ...] = Field(
        (),
        strict=False,
        description="For a source with several columns: the tokenizer of each, in order, as a table "
        "`[[tokenizer.source_columns]]`. `kind` is then that of the target.",
    )

    @property
    def target(self) -> str:
        """The kind of tokenizer of the target."""
        return self.target_kind or self.kind

    @property
    def source_kinds(self) -> tuple[str, ...]:
        """The kind of tokenizer of each column of the source."""
        return tuple(column.kind for column in self.source_columns) or (self.kind,)

    def is_shared(self, column: ColumnTokenizerConfig) -> bool:
        """Return whether a column of the source and the target share their tokens."""
        keys = "kind", "pattern", "delimiter"
        return self.joint and all(getattr(self, key) == getattr(column, key) for key in keys)

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        check_keys({self.kind, self.target}, self.pattern, self.delimiter)
        return self

    @model_validator(mode="after")
    def _check_joint(self) -> Self:
        if self.source_columns:
            self._check_source_columns()
        elif self.joint and self.target_kind not in (None, self.kind):
            raise ValueError("a joint vocabulary has one kind of token: set `joint = false` to use `target_kind`")
        return self

    def _check_source_columns(self) -> None:
        if len(self.source_columns) == 1:
            raise ValueError("`source_columns` is for two or more columns: for a single one, set `kind`")
        if self.target_kind is not None or self.kind == "marian":
            raise ValueError("with `source_columns`, `kind` is that of the target: remove `target_kind`")
        shared = [column for column in self.source_columns if self.is_shared(column)]
        if self.joint and not shared:
            raise ValueError(
                f"no column is split as the target is ({self.kind}), so they share no tokens: set `joint = false`"
            )
        if any(column.vocabulary_size not in (None, self.vocabulary_size) for column in shared):
            raise ValueError(
                "a column that shares the tokens of the target has the size of [tokenizer]: remove its "
                "`vocabulary_size`, or set `joint = false`"
            )


def check_keys(kinds: AbstractSet[str], pattern: str | None, delimiter: str | None) -> None:
    """Raise ValueError unless exactly the keys that the kinds need are set, and the pattern is valid."""
    for key, kind, value, noun in (
        ("pattern", "pattern", pattern, "a regular expression"),
        ("delimiter", "list", delimiter, "a delimiter"),
    ):
        if value is None and kind in kinds:
            raise ValueError(f"the tokenizer `{kind}` needs {noun}: set `{key}`")
        if value is not None and kind not in kinds:
            names = " and ".join(f"`{name}`" for name in sorted(kinds))
            raise ValueError(f"`{key}` is for the tokenizer `{kind}`, and the tokenizer is {names}")
    if pattern is not None:
        compile_pattern(pattern)
