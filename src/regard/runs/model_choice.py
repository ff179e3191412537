"""Choose the architecture's preset, its dropout, and whether it copies source tokens."""

from __future__ import annotations

from collections.abc import Mapping

from regard.config.schema import ModelConfig, TokenizerConfig
from regard.models import ARCHITECTURES
from regard.runs.recipe_inputs import RecipeInputs
from regard.runs.time_budget import Budget

COPIED_SHARE = 0.4  # of a target in its source, from which on tokens are copied: recipes/RESULTS.md, Copying
SMALL_CORPUS, LARGE_CORPUS = 10_000, 100_000  # pairs
DEFAULT_ARCHITECTURE = "modern"
FEW_EPOCHS = 4  # with fewer, a model does not overfit: benchmarks/RESULTS.md, Little time
FEW_EPOCHS_OF_A_SMALL_CORPUS = 6  # which are few steps
SCARCE_DROPOUT = 0.1  # maximum dropout if steps are scarce


def dropout_limit(pairs: int, budget: Budget, epoch_steps: int) -> float | None:
    """Return the highest dropout that suits a number of steps; None if it is enough for the corpus.

    Args:
        pairs: Pairs for training.
        budget: The steps that the limits of the run allow.
        epoch_steps: Steps per epoch.
    """
    few = FEW_EPOCHS_OF_A_SMALL_CORPUS if pairs < SMALL_CORPUS else FEW_EPOCHS
    if budget.is_short and budget.allowed < few * epoch_steps:
        return 0.0
    return SCARCE_DROPOUT if budget.is_scarce else None


def can_be_smaller(inputs: RecipeInputs, overrides: Mapping[str, object]) -> bool:
    """Return whether a smaller preset would be chosen if time is short: for many pairs, without a GPU."""
    return inputs.pairs >= LARGE_CORPUS and not inputs.has_gpu and "model.preset" not in overrides


def choose_model(
    inputs: RecipeInputs, overrides: Mapping[str, object], max_dropout: float | None = None
) -> tuple[ModelConfig, str]:
    """Choose a preset and its dropout, and say why.

    Presets of the same name cost about the same per step in every architecture.

    Args:
        inputs: What is known about the corpus.
        overrides: `section.key` to value.
        max_dropout: The highest dropout; None for that of the corpus.
    """
    preset, dropout, reason = _choose_preset(inputs)
    name = str(overrides.get("model.architecture"))
    architecture = ARCHITECTURES.get(name, ARCHITECTURES[DEFAULT_ARCHITECTURE])  # an unknown name is an error later
    if not architecture.presets:
        return architecture.config.model_validate({"architecture": name}), "the default sizes"
    if preset not in architecture.presets:
        preset = "small" if "small" in architecture.presets else next(iter(architecture.presets))
    config = architecture.presets[preset]()
    if "model.dropout" in overrides or "dropout" not in type(config).model_fields:
        return config, f"the {preset} preset {reason}"
    if max_dropout is not None:
        own = config.model_dump()["dropout"] if dropout is None else dropout
        dropout = min(own, max_dropout)
        reason += "" if inputs.is_rushed else " and little time"
    if dropout is None:
        return config, f"the {preset} preset {reason}"
    changed = config.model_copy(update={"dropout": dropout})
    return changed, f"the {preset} preset with a dropout of {dropout:g} {reason}"


def _choose_preset(inputs: RecipeInputs) -> tuple[str, float | None, str]:
    """Return the name of a preset, its dropout (None for the preset's own), and the reason."""
    if inputs.pairs < SMALL_CORPUS:
        return "tiny", 0.3, "for fewer than 10,000 pairs"
    if inputs.pairs < LARGE_CORPUS and not inputs.has_gpu:
        return "tiny", None, "for tens of thousands of pairs and no GPU"
    if inputs.is_rushed:
        return "tiny", None, "for less time than an epoch of a larger one takes"
    if inputs.pairs < LARGE_CORPUS:
        return "small", 0.3, "for tens of thousands of pairs"
    if inputs.pairs < 300_000 or not inputs.has_gpu:
        return "small", 0.1, "for many pairs" + ("" if inputs.has_gpu else " and no GPU")
    return "base", None, "for many pairs and a GPU"


def choose_copying(model: ModelConfig, tokenizer: TokenizerConfig, inputs: RecipeInputs) -> tuple[ModelConfig, str]:
    """Let a model copy source tokens if targets repeat much of their source, as programs and spellings do.

    Only `modern` does so by itself; the systems of the papers stay as published.
    """
    share = inputs.characters_in_source if inputs.is_spelling else inputs.words_in_source
    can_copy = model.architecture == DEFAULT_ARCHITECTURE and tokenizer.joint
    if not can_copy or share < COPIED_SHARE:
        return model, ""
    reason = f"{share:.0%} of the {'characters' if inputs.is_spelling else 'words'} of targets are in their source"
    return model.model_copy(update={"copy_attention": True}), reason
