from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.doubles import as_batch, start_with_bos
from tests.unit.reports.small import translator

from regard.decoding.scoring import forced_scores
from regard.reports.analyze import token_probabilities
from regard.reports.analyze.token_probabilities import sureness
from regard.special_tokens import EOS

PAIRS = [("one", "ein Satz"), ("three and a half", ""), ("a", "kleiner"), ("one two", "ein")]


@pytest.mark.parametrize(("chunk", "tokens"), [(2**24, 4096), (100, 1)])
def test_probabilities_are_those_of_scoring_token_by_token(
    chunk: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_probabilities, "CHUNK", chunk)
    monkeypatch.setattr(token_probabilities, "BATCH_TOKENS", tokens)
    ours = translator()
    encoded = [(ours.tokenizers.source.encode(s), ours.tokenizers.target.encode(t)) for s, t in PAIRS]
    found = dict(sureness(ours, encoded))
    assert sorted(found) == [0, 1, 2, 3]
    for place, (source, target) in enumerate(encoded):
        target_in, target_out = start_with_bos([target])
        asked = as_batch([[*source, EOS]])
        score = float(forced_scores(ours.model, asked, target_in, target_out))
        assert np.log(found[place].said).sum() == pytest.approx(score, rel=1e-4)
        with torch.inference_mode():
            features = ours.model.features(asked, target_in).features
            table = ours.model.decoder.readout(features)[0].softmax(1).numpy()
        np.testing.assert_allclose(found[place].most, table.max(1), rtol=1e-4)
        assert found[place].right.tolist() == (table.argmax(1) == [*target, EOS]).tolist()
