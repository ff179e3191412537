"""The attention of one translation as a record with its tokens."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from regard.inference.translator import Translation

DIGITS = 4  # of a weight


class AttentionMatrix(BaseModel):
    """Attention weights (T, S) from target tokens to source tokens. Each row sums to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


def attention_matrix(translation: Translation) -> AttentionMatrix | None:
    """Return the attention of a translation, or None if it has none."""
    if translation.attention is None:
        return None
    weights = np.round(translation.attention.astype(float), DIGITS).tolist()
    return AttentionMatrix(
        source_tokens=translation.source_tokens,
        target_tokens=translation.target_tokens,
        weights=tuple(tuple(row) for row in weights),
    )
