"""The architectures, one file per paper. ARCHITECTURES has them in the order of publication, then those of plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from regard.config.schema import COPYING_NEEDS_JOINT, ModelConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import ConfigError
from regard.models import (
    bahdanau2014,
    bytenet2016,
    cho2014,
    convs2s2017,
    gnmt2016,
    luong2015,
    modern,
    sutskever2014,
    transformer2017,
)
from regard.plugins.registry import WithPlugins


@dataclass(frozen=True)
class Architecture:
    """An architecture that recipes can name.

    Attributes:
        config: The class of its settings, a subclass of ModelConfig.
        build: Builds a model with new weights from a value of `config`.
        presets: Functions that return settings, by name.
        paper: The reference.
    """

    config: type[ModelConfig]
    build: Callable[[Any, VocabularySizes], Seq2Seq]
    presets: Mapping[str, Callable[[], ModelConfig]] = field(default_factory=dict)
    paper: str = ""

    def build_on_meta(self, config: ModelConfig, vocabularies: VocabularySizes) -> Seq2Seq:
        """Build a model on the meta device: its weights have shapes, but no memory and no values."""
        with torch.device("meta"), _SkipInitialization():
            return self.build(config, vocabularies)


_PAPERS: Mapping[str, Architecture] = {
    "cho2014": Architecture(cho2014.Config, cho2014.build, cho2014.PRESETS, "Cho et al. 2014, arXiv 1406.1078"),
    "sutskever2014": Architecture(
        sutskever2014.Config,
        sutskever2014.build,
        sutskever2014.PRESETS,
        "Sutskever, Vinyals, Le 2014, arXiv 1409.3215",
    ),
    "bahdanau2014": Architecture(
        bahdanau2014.Config, bahdanau2014.build, bahdanau2014.PRESETS, "Bahdanau, Cho, Bengio 2014, arXiv 1409.0473"
    ),
    "luong2015": Architecture(
        luong2015.Config, luong2015.build, luong2015.PRESETS, "Luong, Pham, Manning 2015, arXiv 1508.04025"
    ),
    "gnmt2016": Architecture(gnmt2016.Config, gnmt2016.build, gnmt2016.PRESETS, "Wu et al. 2016, arXiv 1609.08144"),
    "bytenet2016": Architecture(
        bytenet2016.Config, bytenet2016.build, bytenet2016.PRESETS, "Kalchbrenner et al. 2016, arXiv 1610.10099"
    ),
    "convs2s2017": Architecture(
        convs2s2017.Config, convs2s2017.build, convs2s2017.PRESETS, "Gehring et al. 2017, arXiv 1705.03122"
    ),
    "transformer2017": Architecture(
        transformer2017.Config, transformer2017.build, transformer2017.PRESETS, "Vaswani et al. 2017, arXiv 1706.03762"
    ),
    "modern": Architecture(modern.Config, modern.build, modern.PRESETS, "regard's own"),
}
ARCHITECTURES: Mapping[str, Architecture] = WithPlugins("architectures", _PAPERS)


def build_model(config: ModelConfig, vocabularies: VocabularySizes) -> Seq2Seq:
    """Return a model with new weights, drawn from PyTorch's default generator.

    Raises:
        ConfigError: The model copies source tokens, and the vocabulary is not joint.
    """
    _check_vocabulary(config, vocabularies)
    return ARCHITECTURES[config.architecture].build(config, vocabularies)


def build_on_meta(config: ModelConfig, vocabularies: VocabularySizes) -> Seq2Seq:
    """Build a model on the meta device: its weights have shapes, but no memory and no values.

    Raises:
        ConfigError: The model copies source tokens, and the vocabulary is not joint.
    """
    _check_vocabulary(config, vocabularies)
    return ARCHITECTURES[config.architecture].build_on_meta(config, vocabularies)


def _check_vocabulary(config: ModelConfig, vocabularies: VocabularySizes) -> None:
    if config.copies_source and not vocabularies.joint:
        raise ConfigError(COPYING_NEEDS_JOINT, where="model.copy_attention", fix="share the vocabulary, or do not copy")


def build_uninitialized(config: ModelConfig, vocabularies: VocabularySizes) -> Seq2Seq:
    """Build a model whose weights have any values, for a caller that overwrites all of them."""
    with _SkipInitialization():
        return build_model(config, vocabularies)


class _SkipInitialization(TorchFunctionMode):
    """Draw no weights, and compute tables of positions on the CPU.

    Drawing takes as long as loading them. On the meta device, PyTorch would import torch._dynamo for either, which
    takes seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        if func is torch.arange:
            kwargs.setdefault("device", "cpu")
        return func(*args, **kwargs)
