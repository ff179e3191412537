"""A tiny model of an architecture, whose predictions are confident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from regard.config.schema import ModelConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.models import ARCHITECTURES, Architecture
from regard.testing.sequences import SOURCE_VOCABULARY, TARGET_VOCABULARY


def preset_values(spec: Architecture, name: str) -> dict[str, Any]:
    """Return the settings of a preset, of the first preset if there is none of that name, or the defaults."""
    if not spec.presets:
        return spec.config.model_validate({}).model_dump()
    preset = spec.presets.get(name) or next(iter(spec.presets.values()))
    return preset().model_dump()


def vocabulary_sizes(config: ModelConfig, target: int) -> VocabularySizes:
    """Return the sizes of the vocabularies of a case, which are separate unless it copies."""
    if config.copies_source:
        size = max(SOURCE_VOCABULARY, target)
        return VocabularySizes(source=size, target=size, joint=True)
    return VocabularySizes(source=SOURCE_VOCABULARY, target=target)


@dataclass(frozen=True, eq=False)
class Case:
    """An architecture with tiny sizes, and noise on its weights.

    A new model predicts nearly the same for every input, so that it would pass most laws even if it were wrong. Noise
    makes its predictions confident and different for each source and each prefix.

    Attributes:
        architecture: The name of an architecture, or the architecture.
        sizes: Values that override the preset `small`, or the first preset if there is no `small`. Every `dropout` is
            0 unless it is set here.
        noise: The standard deviation of the noise added to matrices, times sqrt(fan-in). Residual networks need a
            small value: with a large one, their sublayers drown out the target embedding.
        seed: The seed of the weights.
        embedding_noise: The standard deviation of the noise added to embeddings.
        tolerance: The largest error in float32, relative to the largest value. Gradients may be off four times as far.
    """

    architecture: str | Architecture
    sizes: Mapping[str, Any] = field(default_factory=dict)
    noise: float = 2.0
    seed: int = 15
    embedding_noise: float = 1.0
    tolerance: float = 5e-6

    @property
    def spec(self) -> Architecture:
        """The architecture."""
        return ARCHITECTURES[self.architecture] if isinstance(self.architecture, str) else self.architecture

    @property
    def name(self) -> str:
        """The name of the architecture."""
        return self.architecture if isinstance(self.architecture, str) else self.config().architecture

    @property
    def description(self) -> str:
        """What is needed to build the case again."""
        sizes = ", ".join(f"{name}={value!r}" for name, value in self.config() if name != "architecture")
        noise = f"noise={self.noise}, embedding_noise={self.embedding_noise}, seed={self.seed}"
        return f"Case({self.name!r}, dict({sizes}), {noise})"

    def config(self, *, dropout: float | None = None) -> ModelConfig:
        """Return the settings; `dropout` sets every setting of which the name contains that word."""
        values = preset_values(self.spec, "small")
        dropouts = [name for name in values if "dropout" in name]
        values.update({**dict.fromkeys(dropouts, 0.0), **self.sizes})
        if dropout is not None:
            values.update(dict.fromkeys(dropouts, dropout))
        return self.spec.config(**values)

    def build(self, target: int = TARGET_VOCABULARY, *, dropout: float | None = None) -> Seq2Seq:
        """Return a model in float64 and eval mode, with noise on its weights, and with gradients.

        Args:
            target: The number of target tokens. There are 9 source tokens, so a joint vocabulary has 9 at least.
            dropout: The probability of all dropout, if it differs from that of the case.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            config = self.config(dropout=dropout)
            model = self.spec.build(config, vocabulary_sizes(config, target)).double().eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    scale = 0.2 if parameter.dim() == 1 else self.noise * parameter[0].numel() ** -0.5
                    parameter.add_(scale * torch.randn_like(parameter))
                for module in model.modules():
                    if isinstance(module, nn.Embedding):
                        module.weight.add_(self.embedding_noise * torch.randn_like(module.weight))
        return model

    def model(self, target: int = TARGET_VOCABULARY) -> Seq2Seq:
        """Return the model of `build`, without gradients."""
        return self.build(target).requires_grad_(False)
