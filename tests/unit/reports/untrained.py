"""An untrained translator, and a run's folder with training data."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.doubles import tiny_model

from regard.config.schema import SearchConfig, TokenizerConfig
from regard.data.store import PairStore
from regard.inference.translator import Translator
from regard.tokenizers.base import Tokenizers, train_tokenizers

TEXT = ["one two three", "ein kleiner Satz", "three and a half"]


def tokenizers() -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind="character"), zip(TEXT, reversed(TEXT), strict=True))


def translator(seed: int = 1, **search: int | float | str) -> Translator:
    """Return an untrained translator of characters, with attention."""
    own = tokenizers()
    with torch.random.fork_rng():
        model = tiny_model(seed, source=own.source.size, target=own.target.size).float()
    return Translator(model, own, SearchConfig.model_validate({"beam_size": 2, "exact_steps": 60, **search}))


def run_with_data(folder: Path, targets: list[str]) -> Path:
    """Create a run's folder that has only data/."""
    own = tokenizers()
    (folder / "data").mkdir(parents=True)
    own.save(folder / "data")
    pairs = [(own.source.encode("one"), own.target.encode(text), line) for line, text in enumerate(targets, start=1)]
    PairStore.write(folder / "data", "train", pairs)
    return folder
