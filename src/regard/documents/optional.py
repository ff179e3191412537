"""Import the libraries of document formats, which are optional."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from regard.errors import ConfigError


def import_optional(module: str, where: str) -> ModuleType:
    """Import a module of the extra `documents`. Raise ConfigError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"this format needs the package {error.name}", where=where, fix="pip install 'regard[documents]'"
        ) from None
