"""Corpora beside the project, which are only referred to."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


def shared(folder: str) -> Path:
    """A folder of ../shared/data; the test is skipped where that is not there."""
    if not (SHARED / folder).is_dir():
        pytest.skip(f"needs ../shared/data/{folder}")
    return SHARED / folder
