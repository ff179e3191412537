"""Law of the output layer: logits of a subset of tokens equal the full logits, and no others are computed."""

from __future__ import annotations

from typing import NoReturn

import pytest
import torch
from tests.laws.conftest import Build
from torch import Tensor

from regard.nn import inference, int8
from regard.nn.inference import freeze_for_inference


@pytest.mark.parametrize("use_int8", [False, True])
def test_a_readout_subset_computes_only_its_logits(
    build: Build, sources: Tensor, targets: Tensor, use_int8: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(14)
    if use_int8:
        if not int8.available():
            pytest.skip("int8 products are not available")
        monkeypatch.setattr(inference, "is_worthwhile", lambda weight: True)
        model = freeze_for_inference(model.float(), int8=True)
    features = model.features(sources, targets).features
    tokens = torch.tensor([0, 2, 3, 8, 13])
    expected = model.decoder.readout(features)[..., tokens]

    def fail(*_: object) -> NoReturn:
        pytest.fail("all logits were computed")

    monkeypatch.setattr(type(model.decoder), "readout", fail)
    torch.testing.assert_close(model.decoder.readout_subset(tokens)(features), expected)
