from __future__ import annotations

import os
import platform

import pytest
import torch

from regard.runtime import SPINS, flush_denormals, shorten_idle_spins

SMALL = 1e-30

known = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="other processors may not be able to flush them"
)


def product() -> float:
    return (torch.full((4,), SMALL) * 1e-9).max().item()


@known
def test_they_are_0_inside_and_come_back() -> None:
    assert product() > 0
    with flush_denormals():
        assert product() == 0
        with flush_denormals():
            assert product() == 0
        assert product() == 0
    assert product() > 0


@known
def test_they_come_back_after_a_failure() -> None:
    with pytest.raises(ValueError, match="fails"), flush_denormals():
        raise ValueError("fails")
    assert product() > 0


def test_the_environment_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    shorten_idle_spins()
    assert os.environ["GOMP_SPINCOUNT"] == SPINS
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    shorten_idle_spins()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
