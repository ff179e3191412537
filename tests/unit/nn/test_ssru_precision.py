from __future__ import annotations

import torch

from regard.nn.ssru import SSRU


def test_a_scan_under_autocast_keeps_its_state_in_float32() -> None:
    torch.manual_seed(1)
    unit, x, state = SSRU(4), torch.randn(2, 3, 4), torch.zeros(2, 4)
    outputs, last = unit(x, state)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, rounded_last = unit(x, state)
    assert rounded_last.dtype == torch.float32
    torch.testing.assert_close(rounded, outputs, rtol=0.05, atol=0.05)
    torch.testing.assert_close(rounded_last, last, rtol=0.05, atol=0.05)
