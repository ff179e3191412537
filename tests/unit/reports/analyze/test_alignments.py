from __future__ import annotations

import numpy as np
import pytest
from tests.unit.reports.small import translator

from regard.attention.maps import AttentionMaps, AttentionWeights, TokenizedText
from regard.reports.analyze import alignments as aligning
from regard.reports.analyze.alignments import alignments


def looks(weights: AttentionWeights, *layers: AttentionWeights) -> AttentionMaps:
    side = TokenizedText((), (), ())
    return AttentionMaps(side, side, weights, {"source": tuple(layer[None] for layer in layers)}, is_saliency=False)


def test_words_are_linked_to_what_their_tokens_look_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    # source "a n", 3 tokens and EOS; target "o ne", 4 tokens and EOS
    weights = np.zeros((5, 4), dtype=np.float32)
    weights[0] = [0.1, 0.0, 0.2, 0.7]  # EOS is no word
    weights[1] = [0.5, 0.5, 0.0, 0.0]  # the space belongs to the word before it on both sides: a 1.1, n 0.2
    weights[2] = [0.3, 0.0, 0.4, 0.3]
    weights[3] = [0.3, 0.0, 0.1, 0.6]  # ne: a 0.6, n 0.5
    weights[4] = [0.0, 0.0, 1.0, 0.0]  # EOS
    swapped = weights[:, [2, 1, 0, 3]]
    monkeypatch.setattr(aligning, "compute_attention_maps", lambda *_: looks(weights, weights, swapped))
    ours = translator()
    found = alignments(ours, "a n", "o ne")
    assert found is not None
    links = {way: sorted(some) for way, some in found.items()}
    assert links == {"mean": [(0, 0), (0, 1)], "layer 1": [(0, 0), (0, 1)], "layer 2": [(0, 0), (1, 1)]}


def test_an_untrained_model_links_every_target_word_once() -> None:
    ours = translator()
    found = alignments(ours, "three and a half", "ein kleiner Satz")
    assert found is not None and set(found) == {"mean"}
    assert sorted(word for _, word in found["mean"]) == [0, 1, 2]
    assert all(0 <= source < 4 for source, _ in found["mean"])


def test_what_is_too_long_or_has_no_token_is_not_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alignments(translator(), "one", "") is None
    monkeypatch.setattr(aligning, "LONGEST", 3)
    assert alignments(translator(), "one", "ein Satz") is None
