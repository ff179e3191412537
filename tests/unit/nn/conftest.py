"""Fixtures of the tests of layers and kernels."""

from __future__ import annotations

import pytest
from tests.levels import LEVELS, use_level


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the kernels of each level that this CPU executes."""
    chosen: str = request.param
    use_level(chosen, monkeypatch)
    return chosen
