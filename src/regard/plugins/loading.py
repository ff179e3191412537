"""Load plugins: from a file that the user names, or from an installed package."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from regard.errors import PluginError, RegardError
from regard.files import read_regular_file
from regard.plugins.plugin import NAME, Plugin
from regard.plugins.registry import LOADED, LoadedPlugin, add_plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "regard.plugins"  # of entry points
VARIABLE = "plugin"  # of a plugin's module
MAX_SHOWN = 400  # characters of an error in a plugin


def load_plugin(source: str | Path) -> Plugin:
    """Load a plugin; from then on its names are valid in recipes and options, like regard's own.

    Loading the same plugin again returns it as it is.

    Args:
        source: The path of a Python file, such as `my_model.py`, or the name of an entry point of the group
            `regard.plugins`.

    Raises:
        PluginError: There is no such plugin, an error occurs in it, or a name in it is taken.
    """
    text = os.fspath(source)
    if isinstance(source, Path) or text.endswith(".py") or "/" in text or os.sep in text:
        return _load_file(text)
    return _load_entry_point(text)


def load_installed_plugins(names: object, where: str) -> list[str]:
    """Load the plugins that a recipe or checkpoint names, if they are installed. No path is ever taken from it.

    Args:
        names: The value of `plugins`.
        where: The recipe or checkpoint, for errors.

    Returns:
        The names of plugins that are neither loaded nor installed.

    Raises:
        PluginError: `names` is not a list of names, or an installed plugin cannot be loaded.
    """
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        shown = repr(names)
        raise PluginError(
            f"`plugins` is not a list of names: {shown if len(shown) <= MAX_SHOWN else f'{shown[:MAX_SHOWN]}...'}",
            where=where,
            fix='write for example plugins = ["my_model"]',
        )
    missing = []
    for name in names:
        if name not in LOADED and not _entry_points(name):
            missing.append(name)
        elif name not in LOADED:
            _load_entry_point(name)
    return missing


def missing_plugin(name: str, where: str) -> PluginError:
    """Return the error that a plugin is needed, and neither loaded nor installed."""
    return PluginError(
        f"the plugin `{name}` is needed, and is not loaded",
        where=where,
        fix=f"give its file: --plugin {name}.py, or in Python regard.load_plugin({name + '.py'!r}); "
        "or install the package that has it",
    )


def _load_file(label: str) -> Plugin:
    path = Path(os.path.realpath(label))
    name = path.stem
    if path.suffix != ".py" or not NAME.fullmatch(name):
        raise PluginError(
            "a plugin is a Python file whose name consists of letters, digits, `_` and `-`",
            where=label,
            fix="rename it, for example to my_model.py",
        )
    if name in LOADED:
        return _loaded(name, str(path), label)
    try:
        code = read_regular_file(path)
    except FileNotFoundError:
        raise PluginError("there is no such file", where=label, fix="check the path") from None
    except OSError as error:
        raise PluginError(f"the file cannot be read: {error.strerror or error}", where=label) from None
    module = ModuleType(f"regard_plugin_{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pydantic look for it there
    try:
        exec(compile(code, str(path), "exec", dont_inherit=True), vars(module))
        add_plugin(LoadedPlugin(name, str(path), label, _plugin_of(module, label)))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        if isinstance(error, PluginError):
            raise
        raise _error_in_plugin(error, label, str(path)) from None
    return LOADED[name].plugin


def _load_entry_point(name: str) -> Plugin:
    if name in LOADED:
        return _loaded(name, name, name)
    entries = _entry_points(name)
    if len(entries) != 1:
        file = f"{name}.py"
        raise PluginError(
            f"{len(entries)} packages have a plugin of that name" if entries else "no such plugin is installed",
            where=name,
            fix="uninstall all of them but one" if entries else f"give a file, such as --plugin {file}",
        )
    try:
        value = entries[0].load()
        plugin = _plugin_of(value, name) if isinstance(value, ModuleType) else _check_plugin(value, name)
        add_plugin(LoadedPlugin(name, name, name, plugin))
    except (Exception, SystemExit) as error:
        if isinstance(error, PluginError):
            raise
        raise _error_in_plugin(error, name) from None
    return LOADED[name].plugin


def _loaded(name: str, source: str, label: str) -> Plugin:
    """Return a plugin that is loaded. Raise PluginError if it was loaded from another source."""
    loaded = LOADED[name]
    if loaded.source != source:
        raise PluginError(
            f"a plugin of that name is loaded from {loaded.source}", where=label, fix="rename one of the two"
        )
    return loaded.plugin


def _entry_points(name: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of that name, each value once."""
    from importlib.metadata import entry_points

    return tuple({entry.value: entry for entry in entry_points(group=GROUP, name=name)}.values())


def _plugin_of(module: ModuleType, where: str) -> Plugin:
    if not hasattr(module, VARIABLE):
        raise PluginError(
            f"it has no variable `{VARIABLE}`", where=where, fix=f"write {VARIABLE} = regard.plugins.Plugin(...)"
        )
    return _check_plugin(getattr(module, VARIABLE), where)


def _check_plugin(value: Any, where: str) -> Plugin:
    if not isinstance(value, Plugin):
        raise PluginError(
            f"`{VARIABLE}` is {value!r}", where=where, fix=f"write {VARIABLE} = regard.plugins.Plugin(...)"
        )
    return value


def _error_in_plugin(error: BaseException, label: str, path: str | None = None) -> PluginError:
    """Return an error in the code of a plugin as a message that names its line.

    Args:
        error: The error.
        label: The plugin, as the user wrote it.
        path: The path of its file; None if it is in a package.
    """
    place, line = label, ""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path or (path is None and not _is_machinery(frame.filename))
    ]
    if isinstance(error, SyntaxError) and (error.filename == path or path is None) and error.lineno is not None:
        place, line = f"{label if path else error.filename}:{error.lineno}", error.text or ""
    elif frames:
        place, line = f"{label if path else frames[-1].filename}:{frames[-1].lineno}", frames[-1].line or ""
    if isinstance(error, RegardError):
        return PluginError(error.message, where=place, fix=error.fix)
    reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())[:MAX_SHOWN]
    at_line = f", in `{line.strip()}`" if line.strip() else ""
    return PluginError(
        f"the plugin cannot be loaded: {type(error).__name__}: {reason}{at_line}", where=place, fix="correct that line"
    )


def _is_machinery(filename: str) -> bool:
    """Return whether a file belongs to the loading of plugins and modules, not to a plugin."""
    return filename == __file__ or filename.startswith("<frozen") or "importlib" in Path(filename).parts
