"""The systems, one file a paper; ARCHITECTURES names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from regard.config import ModelConfig
from regard.contract import Seq2Seq, Vocabularies
from regard.models import bahdanau2014, transformer2017


@dataclass(frozen=True)
class Architecture:
    """What is needed to name, configure and build a system."""

    config: type[ModelConfig]
    build: Callable[[Any, Vocabularies], Seq2Seq]  # takes a value of `config`
    presets: Mapping[str, Callable[[], ModelConfig]]
    paper: str


ARCHITECTURES: Mapping[str, Architecture] = {
    "bahdanau2014": Architecture(
        bahdanau2014.Config, bahdanau2014.build, bahdanau2014.PRESETS, "Bahdanau, Cho, Bengio 2014, arXiv 1409.0473"
    ),
    "transformer2017": Architecture(
        transformer2017.Config, transformer2017.build, transformer2017.PRESETS, "Vaswani et al. 2017, arXiv 1706.03762"
    ),
}


def build_model(config: ModelConfig, vocabularies: Vocabularies) -> Seq2Seq:
    """A model of fresh weights as the config says, drawn from torch's default generator."""
    return ARCHITECTURES[config.architecture].build(config, vocabularies)
