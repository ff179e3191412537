"""regard: sequence-to-sequence models with attention, trained from your own pairs and put to work."""

from typing import TYPE_CHECKING, Any

from regard.version import __version__

__all__ = ["Result", "Translation", "Translator", "__version__", "read_recipe", "resume", "train"]

if TYPE_CHECKING:
    from regard.inference.translator import Translation, Translator
    from regard.runs.train import Result, read_recipe, resume, train


def __getattr__(name: str) -> Any:
    """Public names, imported when first asked for, so that `import regard` does not wait for PyTorch."""
    if name in ("Translation", "Translator"):
        from regard.inference import translator

        return getattr(translator, name)
    if name in ("Result", "read_recipe", "resume", "train"):
        from regard.runs import train

        return getattr(train, name)
    raise AttributeError(f"module 'regard' has no attribute {name!r}")
