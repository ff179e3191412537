"""The laws in float32 run on the native kernels that are meant for each architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.laws.cases import LONG_CASES

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.length_penalty import gnmt
from regard.nn.kernels import native
from regard.testing.precision import BATCH, SOURCES, pair
from regard.training.loss import ModelWithLoss


class Calls:
    """A kernel library that records the names of the functions that are used."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.library, name)


TRAINING = {"attention", "attention_gradient", "drop_add_norm", "drop_add_norm_gradient", "cross_entropy"}
RANKING = {"beam_step"}
MODERN = {"attend", "norm", "gated"}
KERNELS = {
    "transformer2017": (
        TRAINING | {"bias_relu", "bias_relu_gradient"},
        {"attend", "add_norm"} | RANKING,
    ),
    "modern": (TRAINING | {"gated", "gated_gradient"}, MODERN | {"rotate"} | RANKING),
    "modern/grouped": (TRAINING | {"gated", "gated_gradient"}, MODERN | {"rotate"} | RANKING),
    "modern/ssru": (TRAINING | {"gated", "gated_gradient"}, MODERN | {"rotate", "ssru"} | RANKING),
    "luong2015": ({"cross_entropy"}, RANKING),
}


@pytest.mark.skipif(native.library() is None, reason="the native kernels are not available")
@pytest.mark.parametrize("name", KERNELS)
def test_the_expected_kernels_are_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (training, searching) = pair(LONG_CASES[name]).single, KERNELS[name]
    calls = Calls(native.library())
    monkeypatch.setattr(native, "library", lambda: calls)
    ModelWithLoss(model, 0.1)(BATCH.source, BATCH.target_in, BATCH.target_out).backward()
    model.zero_grad()
    assert calls.names == training
    calls.names.clear()
    with torch.inference_mode():
        beam_search(model.decoder, model.encode(SOURCES[:, :4]), [3] * 4, BeamSettings(beam_size=2, penalty=gnmt(0.6)))
    assert calls.names == searching
