"""Train sequence-to-sequence models with attention on parallel text, and translate with them.

    result = regard.train(source="a.en", target="a.de", minutes=30)
    translator = regard.load(result.folder)
    print(translator.translate("A dog runs.").text)

The command `regard` does the same from a terminal. Importing this package is fast: PyTorch is loaded on the first
access to a public name.
"""

from typing import TYPE_CHECKING, Any

from regard.version import __version__

__all__ = [
    "AttentionMaps",
    "Comparison",
    "Improvement",
    "Result",
    "Translation",
    "Translator",
    "__version__",
    "attend",
    "compare",
    "improve",
    "load",
    "load_plugin",
    "read_recipe",
    "resume",
    "train",
]

if TYPE_CHECKING:
    from regard.attention.api import attend
    from regard.attention.maps import AttentionMaps
    from regard.inference.translator import Translation, Translator, load
    from regard.plugins import load_plugin
    from regard.reports.compare.api import Comparison, compare
    from regard.runs.api import train
    from regard.runs.improvement.improve import Improvement, improve
    from regard.runs.train import Result, read_recipe, resume

_MODULES = {  # where each public name is
    "AttentionMaps": "regard.attention.maps",
    "Comparison": "regard.reports.compare.api",
    "Improvement": "regard.runs.improvement.improve",
    "Result": "regard.runs.train",
    "Translation": "regard.inference.translator",
    "Translator": "regard.inference.translator",
    "attend": "regard.attention.api",
    "compare": "regard.reports.compare.api",
    "improve": "regard.runs.improvement.improve",
    "load": "regard.inference.translator",
    "load_plugin": "regard.plugins",
    "read_recipe": "regard.runs.train",
    "resume": "regard.runs.train",
    "train": "regard.runs.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first access, so that `import regard` does not load PyTorch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'regard' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, including those that are not imported yet."""
    return sorted(__all__)
