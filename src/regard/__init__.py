"""Train sequence-to-sequence models with attention on parallel text, and translate with them.

Read a recipe, train it, and translate with the best checkpoint of the run:

    config = regard.read_recipe("recipes/multi30k-en-de.toml", ["train.max_minutes=10"])
    result = regard.train(config, "runs/ten-minutes")
    translator = regard.Translator.load(result.folder)
    for translation in translator.translate(["A dog runs.", "Two men are cooking."]):
        print(translation.text)

The command `regard` does the same from a terminal. Importing this package is fast: PyTorch is loaded on the first
access to a public name.
"""

from typing import TYPE_CHECKING, Any

from regard.version import __version__

__all__ = ["Result", "Translation", "Translator", "__version__", "load_plugin", "read_recipe", "resume", "train"]

if TYPE_CHECKING:
    from regard.inference.translator import Translation, Translator
    from regard.plugins import load_plugin
    from regard.runs.train import Result, read_recipe, resume, train


def __getattr__(name: str) -> Any:
    """Import a public name on first access, so that `import regard` does not load PyTorch."""
    if name in ("Translation", "Translator"):
        from regard.inference import translator

        return getattr(translator, name)
    if name in ("Result", "read_recipe", "resume", "train"):
        from regard.runs import train

        return getattr(train, name)
    if name == "load_plugin":
        from regard.plugins import load_plugin

        return load_plugin
    raise AttributeError(f"module 'regard' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, including those that are not imported yet."""
    return sorted(__all__)
