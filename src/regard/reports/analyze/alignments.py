"""Word alignments from attention, by the mean and by each layer."""

from __future__ import annotations

from regard.attention.maps import compute_attention_maps
from regard.inference.translator import Translator
from regard.tokenizers.words import Link, WordMap

MEAN = "mean"
MAX_TOKENS = 400  # of a side: attention grows with the square of the length


def align_words(translator: Translator, source: str, target: str) -> dict[str, frozenset[Link]] | None:
    """Link each target word to the source word with the highest attention weight.

    The model reads the source as in translation: without emoji and capitals that its vocabulary lacks. The links count
    the words of the source and the target as they are written.

    Returns:
        Links by `mean`, the mean of all attention, and by each layer (`layer 1`) if there are several. None if a side
        has no tokens or more than MAX_TOKENS.
    """
    read = translator.prepare(source)
    written = read.reference(target.strip())
    source_ids, target_ids = read.encode(), translator.tokenizers.target.encode(written.text)
    if not target_ids or not source_ids or max(len(target_ids), len(source_ids)) > MAX_TOKENS:
        return None
    maps = compute_attention_maps(translator, source, target_ids)
    source_words, target_words = read.emoji_free.source_words(), written.source_words()
    words = WordMap.from_ids(translator.tokenizers, source_ids, target_ids)
    weights = {MEAN: maps.mean}
    layers = maps.layers.get("source", ())
    if len(layers) > 1:
        weights |= {f"layer {number}": layer.mean(0) for number, layer in enumerate(layers, start=1)}
    return {
        name: frozenset((source_words[source], target_words[target]) for source, target in words.link_words(matrix))
        for name, matrix in weights.items()
    }
