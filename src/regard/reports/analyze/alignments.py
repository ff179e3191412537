"""Word alignments by what a model looks at while it writes a reference, layer by layer."""

from __future__ import annotations

from regard.attention.maps import look
from regard.inference.translator import Translator
from regard.tokenizers.words import Link, WordMap

MEAN = "mean"
LONGEST = 400  # tokens of a side: what is looked at grows with the square of it


def alignments(translator: Translator, source: str, target: str) -> dict[str, frozenset[Link]] | None:
    """Each target word with the source word that it looks at most.

    By the mean of all that the model attends by, and by each layer where it has several (`layer 1`). None where a
    side is longer than LONGEST tokens, or has none.
    """
    ids = translator.tokenizers.target.encode(target.strip())
    asked = translator.tokenizers.source.encode(source.strip())
    if not ids or not asked or max(len(ids), len(asked)) > LONGEST:
        return None
    looks = look(translator, source, ids)
    words = WordMap.from_ids(translator.tokenizers, asked, ids)
    found = {MEAN: looks.mean}
    layers = looks.layers.get("source", ())
    if len(layers) > 1:
        found |= {f"layer {number}": layer.mean(0) for number, layer in enumerate(layers, start=1)}
    return {name: frozenset(words.link_words(weights)) for name, weights in found.items()}
