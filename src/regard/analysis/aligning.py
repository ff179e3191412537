"""Word alignments by what a model looks at while it writes a reference, layer by layer."""

from __future__ import annotations

import numpy as np

from regard.analysis.looking import Weights, look
from regard.evaluation.aer import Link
from regard.text.tagged import TaggedTokenizer
from regard.text.words import word_of_each
from regard.translator import Translator

MEAN = "mean"
LONGEST = 400  # tokens of a side: what is looked at grows with the square of it


def alignments(translator: Translator, source: str, target: str) -> dict[str, frozenset[Link]] | None:
    """Each target word with the source word that it looks at most, both between white space and from 0.

    By the mean of all that the model attends by, and by each layer where it has several (`layer 1`). None where a
    side is longer than LONGEST tokens, or has none.
    """
    ids = translator.tokenizers.target.encode(target.strip())
    asked = translator.tokenizers.source.encode(source.strip())
    if not ids or not asked or max(len(ids), len(asked)) > LONGEST:
        return None
    looks = look(translator, source, ids)
    tags = _tags(translator, asked)
    ours = np.array(word_of_each(translator.tokenizers.target, ids))
    theirs = np.array(word_of_each(translator.tokenizers.source, asked))[tags:]
    found = {MEAN: looks.mean}
    layers = looks.layers.get("source", ())
    if len(layers) > 1:
        found |= {f"layer {number}": layer.mean(0) for number, layer in enumerate(layers, start=1)}
    return {name: _links(weights[: len(ids), tags : len(asked)], ours, theirs) for name, weights in found.items()}


def _tags(translator: Translator, asked: list[int]) -> int:
    """How many of the first tokens are tags, which are no words of the source."""
    tokenizer = translator.tokenizers.source
    return sum(one >= tokenizer.inner.size for one in asked) if isinstance(tokenizer, TaggedTokenizer) else 0


def _links(weights: Weights, ours: np.ndarray, theirs: np.ndarray) -> frozenset[Link]:
    """From weights (T, S) of tokens whose words are `ours` (T,) and `theirs` (S,); EOS is on neither side."""
    if not weights.size:
        return frozenset()
    table = np.zeros((ours.max() + 1, theirs.max() + 1))
    np.add.at(table, (ours[:, None], theirs[None, :]), weights)
    return frozenset((int(table[word].argmax()), int(word)) for word in np.unique(ours))
