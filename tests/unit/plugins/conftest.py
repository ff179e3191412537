from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from regard.plugins.registry import LOADED


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    """Start without plugins, and unload those that a test has loaded."""
    with mock.patch.dict(LOADED, clear=True):
        yield
