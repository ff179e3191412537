from __future__ import annotations

import pytest
import torch
from tests.doubles import as_batch, start_with_bos, tiny_model

from regard.decoding import scoring
from regard.decoding.scoring import score_targets

SOURCES = [[4, 5, 6, 2], [3, 2], [8, 7, 2]]
TARGETS = [[4, 5], [], [7, 3, 3, 6]]


@pytest.mark.parametrize("chunk", [1, 20, 2**24])
def test_sums_the_log_probabilities_of_the_tokens_and_eos(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CHUNK", chunk)
    model = tiny_model()
    scores = score_targets(model, as_batch(SOURCES), *start_with_bos(TARGETS))
    for source, target, score in zip(SOURCES, TARGETS, scores.tolist(), strict=True):
        inputs, labels = start_with_bos([target])
        log_probabilities = model(as_batch([source]), inputs)[0].log_softmax(1).detach()
        assert score == pytest.approx(sum(float(log_probabilities[t, token]) for t, token in enumerate(labels[0])))


def test_half_precision_is_summed_in_single_precision() -> None:
    model = tiny_model().bfloat16()
    scores = score_targets(model, as_batch(SOURCES), *start_with_bos(TARGETS))
    assert scores.dtype == torch.float32
    assert scores.lt(0).all()
