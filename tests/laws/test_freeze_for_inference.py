"""Laws of `freeze_for_inference`: the frozen model gives the same results, and the original does not change."""

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


def test_the_frozen_model_agrees_and_shares_weights(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    frozen = freeze_for_inference(model)
    torch.testing.assert_close(frozen(sources, targets), model(sources, targets))
    shared = {id(parameter) for parameter in model.parameters()}
    assert any(id(parameter) in shared for parameter in frozen.parameters())


@pytest.mark.skipif(not int8.available(), reason="int8 products are not available")
def test_int8_results_are_close_and_the_model_is_unchanged(
    model: Seq2Seq, sources: Tensor, targets: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "is_worthwhile", lambda weight: True)
    model = model.float()
    before = copy.deepcopy(model.state_dict())
    exact = model(sources, targets)
    frozen = freeze_for_inference(model, int8=True)
    assert any(isinstance(module, (NativeLinear, OneDnnLinear)) for module in frozen.decoder.modules())
    actual = frozen(sources, targets)
    assert (actual - exact).square().mean().sqrt() < 0.3 * exact.std()
    assert not actual.equal(exact)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.state_dict().items())
    assert model(sources, targets).equal(exact)


@pytest.mark.skipif(not int8.available(), reason="int8 products are not available")
def test_a_small_matrix_stays_in_float32() -> None:
    frozen = freeze_for_inference(nn.Sequential(nn.Linear(16, 64), nn.Linear(64, 4096)), int8=True)
    assert [isinstance(layer, nn.Linear) for layer in frozen] == [True, False]


@pytest.mark.skipif(native.library() is None, reason="the native kernels are not available")
def test_a_relu_is_fused_into_the_product_before_it() -> None:
    plain = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU()).requires_grad_(False)
    frozen = freeze_for_inference(plain, int8=True)
    assert len(frozen) == 2
    assert len(plain) == 4
    x = torch.randn(9, 64)
    assert (frozen[0](x) >= 0).all()
    assert frozen(x).min() == 0
    assert (frozen(x) - plain(x)).abs().max() < 0.1
