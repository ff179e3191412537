from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.doubles import as_batch, start_with_bos
from tests.unit.reports.untrained import translator

from regard.decoding.scoring import score_targets
from regard.reports.analyze import token_probabilities
from regard.reports.analyze.token_probabilities import compute_token_probabilities
from regard.special_tokens import EOS

PAIRS = [("one", "ein Satz"), ("three and a half", ""), ("a", "kleiner"), ("one two", "ein")]


@pytest.mark.parametrize(("chunk", "tokens"), [(2**24, 4096), (100, 1)])
def test_probabilities_agree_with_forced_scores(chunk: int, tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_probabilities, "CHUNK", chunk)
    monkeypatch.setattr(token_probabilities, "BATCH_TOKENS", tokens)
    untrained = translator()
    encoded = [(untrained.tokenizers.source.encode(s), untrained.tokenizers.target.encode(t)) for s, t in PAIRS]
    probabilities = dict(compute_token_probabilities(untrained, encoded))
    assert sorted(probabilities) == [0, 1, 2, 3]
    for index, (source, target) in enumerate(encoded):
        target_in, target_out = start_with_bos([target])
        source_batch = as_batch([[*source, EOS]])
        score = float(score_targets(untrained.model, source_batch, target_in, target_out))
        assert np.log(probabilities[index].target).sum() == pytest.approx(score, rel=1e-4)
        with torch.inference_mode():
            features = untrained.model.features(source_batch, target_in).features
            table = untrained.model.decoder.readout(features)[0].softmax(1).numpy()
        np.testing.assert_allclose(probabilities[index].highest, table.max(1), rtol=1e-4)
        assert probabilities[index].is_highest.tolist() == (table.argmax(1) == [*target, EOS]).tolist()
