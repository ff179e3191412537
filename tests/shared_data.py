"""Corpora next to the repository, which are not part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared(folder: str) -> Path:
    """Return a folder of ../shared/data; skip the test if it does not exist."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"needs ../shared/data/{folder}")
    return SHARED / folder
