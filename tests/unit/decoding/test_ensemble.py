from __future__ import annotations

import pytest
import torch
from tests.doubles import as_batch, start_with_bos, tiny_model

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.ensemble import Ensemble, ensemble
from regard.decoding.length_penalty import gnmt
from regard.decoding.scoring import score_targets
from regard.errors import DecodingError
from regard.special_tokens import BOS

SOURCES = as_batch([[4, 5, 6, 2], [3, 2], [8, 7, 2]])


def test_averages_probabilities_and_attention() -> None:
    models = [tiny_model(seed) for seed in (1, 2, 3)]
    targets = torch.tensor([[BOS, 4, 5], [BOS, 3, 3], [BOS, 7, 6]])
    together = ensemble(models)
    probabilities = torch.stack([model(SOURCES, targets).softmax(-1) for model in models]).mean(0)
    torch.testing.assert_close(together(SOURCES, targets).exp(), probabilities)
    attention = together.features(SOURCES, targets, with_attention=True).attention
    parts = [model.features(SOURCES, targets, with_attention=True).attention for model in models]
    assert attention is not None
    torch.testing.assert_close(attention, torch.stack([part for part in parts if part is not None]).mean(0))


def test_stepping_equals_teacher_forcing() -> None:
    together = ensemble([tiny_model(1), tiny_model(2)])
    targets = torch.tensor([[BOS, 4, 5], [BOS, 3, 3], [BOS, 7, 6]])
    state = together.decoder.init_state(together.encode(SOURCES))
    logits = []
    for column in targets.unbind(1):
        step = together.decoder.step(column, state)
        state = step.state
        logits.append(step.logits)
    torch.testing.assert_close(torch.stack(logits, 1), together(SOURCES, targets))


def test_the_search_uses_all_members() -> None:
    together = ensemble([tiny_model(2, width=4), tiny_model(3, width=7)])
    results = beam_search(
        together.decoder, together.encode(SOURCES), [6] * 3, BeamSettings(beam_size=3, penalty=gnmt(0.6))
    )
    finished = [(row, best) for row, (best,) in enumerate(results) if best.finished]
    assert finished
    for row, best in finished:
        (score,) = score_targets(together, SOURCES[row : row + 1], *start_with_bos([best.tokens])).tolist()
        assert best.log_probability == pytest.approx(score)


def test_members_with_different_vocabulary_sizes_are_an_error() -> None:
    with pytest.raises(DecodingError, match=r"\[7, 8\]"):
        Ensemble([tiny_model(target=8).decoder, tiny_model(target=7).decoder])
