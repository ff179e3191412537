"""A translation as HTML, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regard.html.explorer import ExplorerData
from regard.html.notebook import render_output_explorers, render_output_table
from regard.html.page import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regard.inference.translation import Translation

DIGITS = 4  # of a weight


def render_translation(translation: Translation) -> str:
    """Return the text, its score, the alternatives, and an explorer of the attention of each segment that has some."""
    facts = [f"score {translation.score:.3f}", *translation.marks]
    if translation.confidence is not None:
        facts.insert(1, f"right with a probability of {translation.confidence:.0%}")
    if not translation.finished:
        facts.append("cut at the length limit")
    segments = [part.translation for part in translation.parts] or [translation]
    alternatives = [(f"{rival.score:.3f}", rival.text) for rival in translation.alternatives]
    return (
        f'<p dir="auto"><strong>{escape(translation.text)}</strong></p><p>{escape(", ".join(facts))}</p>'
        + (render_output_table(alternatives, ("score", "alternative")) if alternatives else "")
        + render_output_explorers([_explorer_data(segment) for segment in segments if segment.attention is not None])
    )


def _explorer_data(translation: Translation) -> ExplorerData:
    """Return the attention between the tokens of a translation, as regard.attention.explorer.to_json does."""
    weights = np.round(np.asarray(translation.attention, dtype=float), DIGITS).tolist()
    return {
        "source": _tokens(translation.source_tokens),
        "target": _tokens(translation.target_tokens),
        "gradient": False,
        "mean": weights,
        "layers": {},
        "words_unknown": True,
    }


def _tokens(tokens: Sequence[str]) -> dict[str, Any]:
    return {"tokens": tokens, "words": tokens, "word_of_token": list(range(len(tokens)))}
