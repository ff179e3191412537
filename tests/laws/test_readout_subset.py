"""A law of the output layer: the logits of a subset of tokens are those of all tokens, and only they are computed."""

from __future__ import annotations

from typing import NoReturn

import pytest
import torch
from tests.laws.conftest import Build
from torch import Tensor

from regard.nn import inference, int8
from regard.nn.inference import freeze_for_inference


@pytest.mark.parametrize("eight_bits", [False, True])
def test_a_readout_subset_computes_its_logits_only(
    build: Build, sources: Tensor, targets: Tensor, eight_bits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(14)
    if eight_bits:
        if not int8.available():
            pytest.skip("there are no 8-bit products")
        monkeypatch.setattr(inference, "is_worthwhile", lambda weight: True)
        model = freeze_for_inference(model.float(), int8=True)
    features = model.features(sources, targets).features
    tokens = torch.tensor([0, 2, 3, 8, 13])
    expected = model.decoder.readout(features)[..., tokens]

    def fail(*_: object) -> NoReturn:
        pytest.fail("all logits are computed")

    monkeypatch.setattr(type(model.decoder), "readout", fail)
    torch.testing.assert_close(model.decoder.readout_subset(tokens)(features), expected)
