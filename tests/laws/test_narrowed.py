"""A law of the last layer: some of its tokens alone are those of the whole, for less work."""

from __future__ import annotations

import pytest
import torch
from tests.laws.conftest import Build
from torch import Tensor

from regard.nn import inference as making
from regard.nn import int8
from regard.nn.inference import freeze_for_inference


@pytest.mark.parametrize("eight_bits", [False, True])
def test_a_narrowed_readout_is_some_of_the_readout_and_does_not_work_out_the_rest(
    build: Build, sources: Tensor, targets: Tensor, eight_bits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(14)
    if eight_bits:
        if not int8.available():
            pytest.skip("there are no 8-bit products")
        monkeypatch.setattr(making, "is_worthwhile", lambda weight: True)
        model = freeze_for_inference(model.float(), int8=True)
    features = model.features(sources, targets).features
    tokens = torch.tensor([0, 2, 3, 8, 13])
    expected = model.decoder.readout(features)[..., tokens]
    monkeypatch.delattr(type(model.decoder), "readout")
    torch.testing.assert_close(model.decoder.readout_subset(tokens)(features), expected)
