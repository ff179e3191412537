"""Denormal numbers and idle threads."""

from __future__ import annotations

import os
import platform

import pytest
import torch

from regard.runtime import SPINS, flush_denormals, shorten_idle_spins

SMALL = 1e-30

known = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="other processors may not support flushing"
)


def product() -> float:
    return (torch.full((4,), SMALL) * 1e-9).max().item()


@known
def test_denormals_are_flushed_inside_the_block_only() -> None:
    assert product() > 0
    with flush_denormals():
        assert product() == 0
        with flush_denormals():
            assert product() == 0
        assert product() == 0
    assert product() > 0


@known
def test_denormals_are_restored_after_an_error() -> None:
    with pytest.raises(ValueError, match="fails"), flush_denormals():
        raise ValueError("fails")
    assert product() > 0


def test_an_existing_environment_variable_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    shorten_idle_spins()
    assert os.environ["GOMP_SPINCOUNT"] == SPINS
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    shorten_idle_spins()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
