"""Choose a tokenizer for each column of a source."""

from __future__ import annotations

from collections.abc import Sequence

from regard.config.schema import ColumnTokenizerConfig, TokenizerConfig
from regard.runs.column_scan import ColumnScan
from regard.special_tokens import SPECIAL

MIN_SIZE = 8  # the smallest vocabulary that a recipe can have


def add_columns(tokenizer: TokenizerConfig, columns: Sequence[ColumnScan]) -> TokenizerConfig:
    """Return a tokenizer whose source has these columns: lists of items, or text that is split as the target is.

    Args:
        tokenizer: The tokenizer that suits the target. Returned as it is if it has columns, or is not trained.
        columns: The columns of the source. If there are none, the tokenizer is returned as it is.
    """
    if not columns or tokenizer.source_columns or tokenizer.kind == "marian":
        return tokenizer
    as_target = ColumnTokenizerConfig(
        kind=tokenizer.kind, pattern=tokenizer.pattern, delimiter=tokenizer.delimiter, vocabulary_size=None
    )
    configs = tuple(_list_tokenizer(column) if column.delimiter else as_target for column in columns)
    joint = any(map(tokenizer.is_shared, configs))
    return tokenizer.model_copy(update={"source_columns": configs, "joint": joint})


def _list_tokenizer(column: ColumnScan) -> ColumnTokenizerConfig:
    size = max(MIN_SIZE, column.distinct_items + len(SPECIAL))
    return ColumnTokenizerConfig(kind="list", delimiter=column.delimiter, vocabulary_size=size)
