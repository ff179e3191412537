"""`freeze_for_inference` chooses and fuses layers; regard.testing checks frozen models of every architecture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regard.nn import int8
from regard.nn.inference import freeze_for_inference
from regard.nn.kernels import native


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
