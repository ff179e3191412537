"""Laws of `freeze_for_inference`: it computes the same and does not change the given model."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.nn import inference, int8
from regard.nn.inference import freeze_for_inference
from regard.nn.int8 import NativeLinear, OneDnnLinear
from regard.nn.kernels import native


def test_it_is_the_same_model_and_shares_its_weights(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    ready = freeze_for_inference(model)
    torch.testing.assert_close(ready(sources, targets), model(sources, targets))
    shared = {id(parameter) for parameter in model.parameters()}
    assert any(id(parameter) in shared for parameter in ready.parameters())


@pytest.mark.skipif(not int8.available(), reason="there are no 8-bit products")
def test_in_8_bits_it_is_near_and_the_model_stays(
    model: Seq2Seq, sources: Tensor, targets: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "is_worthwhile", lambda weight: True)
    model = model.float()
    before = copy.deepcopy(model.state_dict())
    exact = model(sources, targets)
    ready = freeze_for_inference(model, int8=True)
    assert any(isinstance(module, (NativeLinear, OneDnnLinear)) for module in ready.decoder.modules())
    actual = ready(sources, targets)
    assert (actual - exact).square().mean().sqrt() < 0.3 * exact.std()
    assert not actual.equal(exact)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.state_dict().items())
    assert model(sources, targets).equal(exact)


@pytest.mark.skipif(not int8.available(), reason="there are no 8-bit products")
def test_a_small_matrix_is_left_as_it_is() -> None:
    ready = freeze_for_inference(nn.Sequential(nn.Linear(16, 64), nn.Linear(64, 4096)), int8=True)
    assert [isinstance(layer, nn.Linear) for layer in ready] == [True, False]


@pytest.mark.skipif(native.library() is None, reason="there are no kernels of our own")
def test_a_relu_goes_into_the_product_before_it() -> None:
    plain = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU()).requires_grad_(False)
    ready = freeze_for_inference(plain, int8=True)
    assert len(ready) == 2
    assert len(plain) == 4
    x = torch.randn(9, 64)
    assert (ready[0](x) >= 0).all()
    assert ready(x).min() == 0
    assert (ready(x) - plain(x)).abs().max() < 0.1
