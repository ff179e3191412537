"""The loaded plugins of this process, and tables that have their values next to regard's own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from regard.errors import PluginError
from regard.plugins.names import BUILT_IN, NOUNS, Kind
from regard.plugins.plugin import Plugin

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin of this process.

    Attributes:
        name: Its name: the stem of the file, or the name of the entry point.
        source: What `load_plugin` loads it from in another process: the absolute path of the file, or the name.
        label: The source as the user wrote it, for messages.
        plugin: Its values.
    """

    name: str
    source: str
    label: str
    plugin: Plugin


LOADED: dict[str, LoadedPlugin] = {}
"""The plugins of this process, by name. `regard.plugins.load_plugin` adds to it; nothing else does."""


def add_plugin(loaded: LoadedPlugin) -> None:
    """Add a plugin. Raise PluginError if another one has a value of the same kind and name."""
    for kind in BUILT_IN:
        for name in loaded.plugin.values(kind):
            if (owner := find_plugin(kind, name)) is not None:
                raise PluginError(
                    f"the {NOUNS[kind]} `{name}` is in the plugin `{owner}` too",
                    where=loaded.label,
                    fix="rename it, or load one of the two plugins",
                )
    LOADED[loaded.name] = loaded


def find_plugin(kind: Kind, name: object) -> str | None:
    """Return the name of the plugin that has a value of this kind and name; None if there is none."""
    owners = (loaded.name for loaded in LOADED.values() if name in loaded.plugin.values(kind))
    return next(owners, None) if isinstance(name, str) else None


def plugin_values(kind: Kind) -> dict[str, Any]:
    """Return the values of all plugins, in the order in which they were loaded."""
    return {name: value for loaded in LOADED.values() for name, value in loaded.plugin.values(kind).items()}


def valid_names(kind: Kind) -> tuple[str, ...]:
    """Return the names that regard and the plugins have for values of this kind."""
    return (*BUILT_IN[kind], *plugin_values(kind))


def plugin_sources() -> tuple[str, ...]:
    """Return what `load_plugin` loads the same plugins from, in a new process."""
    return tuple(loaded.source for loaded in LOADED.values())


def plugin_options() -> str:
    """Return ` --plugin FILE` for each plugin, to append to a command in a message; empty if there are none."""
    return "".join(f" --plugin {shlex.quote(loaded.label)}" for loaded in LOADED.values())


class WithPlugins(Mapping[str, T]):
    """A read-only table of regard's own values, followed by those of the plugins that are loaded at the moment."""

    def __init__(self, kind: Kind, own: Mapping[str, T]) -> None:
        self._kind, self._own = kind, own

    def __getitem__(self, name: str) -> T:
        return self._own[name] if name in self._own else cast(T, plugin_values(self._kind)[name])

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from plugin_values(self._kind)

    def __len__(self) -> int:
        return len(self._own) + len(plugin_values(self._kind))
