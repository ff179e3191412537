"""Sphinx extensions of regard's documentation site."""

from __future__ import annotations

from typing import Any

from regard_site import commands, lessons, mathml, navigation, python_api, repository


def setup(app: Any) -> dict[str, bool]:
    """Register all extensions with Sphinx."""
    for extension in (commands, lessons, mathml, navigation, python_api, repository):
        extension.setup(app)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
