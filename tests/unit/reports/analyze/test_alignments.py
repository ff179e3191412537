from __future__ import annotations

import numpy as np
import pytest
from tests.unit.reports.untrained import translator

from regard.attention.maps import AttentionMaps, AttentionWeights, TokenizedText
from regard.reports.analyze import alignments
from regard.reports.analyze.alignments import align_words


def maps(weights: AttentionWeights, *layers: AttentionWeights) -> AttentionMaps:
    side = TokenizedText((), (), ())
    return AttentionMaps(side, side, weights, {"source": tuple(layer[None] for layer in layers)}, is_saliency=False)


def test_weights_of_tokens_are_combined_to_words(monkeypatch: pytest.MonkeyPatch) -> None:
    # source "a n", 3 tokens and EOS; target "o ne", 4 tokens and EOS
    weights = np.zeros((5, 4), dtype=np.float32)
    weights[0] = [0.1, 0.0, 0.2, 0.7]  # EOS is no word
    weights[1] = [0.5, 0.5, 0.0, 0.0]  # the space belongs to the word before it, on both sides: a 1.1, n 0.2
    weights[2] = [0.3, 0.0, 0.4, 0.3]
    weights[3] = [0.3, 0.0, 0.1, 0.6]  # ne: a 0.6, n 0.5
    weights[4] = [0.0, 0.0, 1.0, 0.0]  # EOS
    swapped = weights[:, [2, 1, 0, 3]]
    monkeypatch.setattr(alignments, "compute_attention_maps", lambda *_: maps(weights, weights, swapped))
    untrained = translator()
    links_by_layer = align_words(untrained, "a n", "o ne")
    assert links_by_layer is not None
    links = {layer: sorted(layer_links) for layer, layer_links in links_by_layer.items()}
    assert links == {"mean": [(0, 0), (0, 1)], "layer 1": [(0, 0), (0, 1)], "layer 2": [(0, 0), (1, 1)]}


def test_every_target_word_has_one_link() -> None:
    untrained = translator()
    links_by_layer = align_words(untrained, "three and a half", "ein kleiner Satz")
    assert links_by_layer is not None and set(links_by_layer) == {"mean"}
    assert sorted(word for _, word in links_by_layer["mean"]) == [0, 1, 2]
    assert all(0 <= source < 4 for source, _ in links_by_layer["mean"])


def test_pairs_that_are_too_long_or_empty_are_not_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert align_words(translator(), "one", "") is None
    monkeypatch.setattr(alignments, "MAX_TOKENS", 3)
    assert align_words(translator(), "one", "ein Satz") is None


def test_links_count_the_words_of_the_texts_as_they_are_written() -> None:
    untrained = translator()  # its vocabulary has no emoji and no capitals
    plain = align_words(untrained, "three and a half", "ein kleiner Satz")
    assert plain is not None
    with_emoji = align_words(untrained, "🙂 three and 🙂 a half", "ein 🙂 kleiner Satz")
    source, target = {0: 1, 1: 2, 2: 4, 3: 5}, {0: 0, 1: 2, 2: 3}
    assert with_emoji == {"mean": frozenset((source[first], target[second]) for first, second in plain["mean"])}
    assert align_words(untrained, "THREE AND A HALF", "ein kleiner Satz") == plain
