"""Tests of kernels run each level that this CPU executes; the others are skipped, with the reason."""

from __future__ import annotations

import os

import pytest

from regard.nn.kernels import native
from regard.nn.kernels.build import BuildError
from regard.nn.kernels.levels import LEVELS as KERNEL_LEVELS

LEVELS = tuple(KERNEL_LEVELS)


def use_level(level: str, monkeypatch: pytest.MonkeyPatch) -> native.Kernels:
    """Let regard use the kernels of a level for one test; skip the test where they cannot be had."""
    if os.environ.get("REGARD_KERNELS") == "0":
        pytest.skip("REGARD_KERNELS=0")
    try:
        if level not in native.executable():
            pytest.skip(f"this CPU does not execute level {level}, which takes {KERNEL_LEVELS[level].features}")
        kernels = native.load(level)
    except BuildError as error:
        pytest.skip(f"no kernels: {error}")
    monkeypatch.setattr(native, "library", lambda: kernels)
    return kernels


def use_best_level(monkeypatch: pytest.MonkeyPatch) -> native.Kernels:
    """Let regard use the best level of this CPU for one test; skip the test where it cannot be had."""
    try:
        best = next(iter(native.executable()))
    except BuildError as error:
        pytest.skip(f"no kernels: {error}")
    return use_level(best, monkeypatch)
