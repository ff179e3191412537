"""Fixtures of the laws. Each law tests tiny models of every architecture, in float64, with confident predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.doubles import as_batch
from torch import Tensor, nn

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import ARCHITECTURES
from regard.nn.kernels import native


@dataclass(frozen=True)
class Case:
    """A tiny model that passes test_lively.py.

    Attributes:
        sizes: Values that override the small preset. Dropout is off by default.
        noise: The standard deviation of the noise added to matrices, times sqrt(fan-in). Residual networks need a
            small value: with a large one, their sublayers drown out the target embedding.
        seed: The seed of the weights.
        embedding_noise: The standard deviation of the noise added to embeddings.
    """

    sizes: Mapping[str, Any]
    noise: float = 2.0
    seed: int = 15
    embedding_noise: float = 1.0


LUONG = {"num_layers": 2, "hidden_size": 12, "embedding_size": 10, "attention": "global"}
CONVS2S = {"embedding_size": 12, "encoder_convolutions": ((10, 3), (14, 1)), "decoder_convolutions": ((10, 3), (14, 2))}
MODERN = {"hidden_size": 16, "ffn_size": 24, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}
TRANSFORMER = {"hidden_size": 16, "ffn_size": 32, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}

# Keys are `architecture` or `architecture/variant`.
CASES: dict[str, Case] = {
    "bahdanau2014": Case({"hidden_size": 12, "embedding_size": 10, "attention_size": 8, "maxout_size": 7}),
    "bytenet2016": Case({"hidden_size": 8, "encoder_layers": 3, "decoder_layers": 3}, noise=0.5),
    "cho2014": Case({"hidden_size": 12, "embedding_size": 10, "maxout_size": 7}, seed=9),
    "convs2s2017": Case({**CONVS2S, "max_positions": 4}),
    "gnmt2016": Case(
        {"encoder_layers": 3, "decoder_layers": 3, "hidden_size": 12, "embedding_size": 10, "attention_size": 8},
        noise=4.0,
    ),
    "luong2015": Case({**LUONG, "score": "dot"}, noise=4.0),
    "luong2015/concat": Case({**LUONG, "score": "concat"}, noise=4.0, seed=16),
    "luong2015/general": Case({**LUONG, "score": "general", "input_feeding": False}, noise=4.0),
    "luong2015/local_m": Case({**LUONG, "attention": "local_m", "window_size": 1, "input_feeding": False}, noise=4.0),
    "luong2015/local_p": Case({**LUONG, "attention": "local_p", "window_size": 2}, noise=4.0, seed=16),
    "luong2015/scaled_dot": Case(
        {**LUONG, "score": "scaled_dot", "input_feeding": False, "reverse_source": False}, noise=4.0
    ),
    "modern": Case(MODERN, noise=1.5, seed=4),
    "modern/grouped": Case({**MODERN, "num_heads": 4, "num_kv_heads": 2}, noise=1.5, seed=27),
    "modern/ssru": Case({**MODERN, "decoder": "ssru"}, noise=1.5, seed=32),
    "sutskever2014": Case({"num_layers": 2, "hidden_size": 12, "embedding_size": 10}, noise=5.0),
    "transformer2017": Case(TRANSFORMER, noise=0.5),
    "transformer2017/marian": Case({**TRANSFORMER, "activation": "silu", "output_bias": True}, noise=0.5, seed=16),
}

Build = Callable[[int], Seq2Seq]


def tiny(name: str, target: int) -> Seq2Seq:
    """Build a case with 9 source tokens and `target` target tokens, in float64, with noise on all weights."""
    return build_case(name.split("/")[0], CASES[name], target).double().requires_grad_(False)


def build_case(architecture: str, case: Case, target: int) -> Seq2Seq:
    """Build any case, with gradients enabled."""
    spec = ARCHITECTURES[architecture]
    config = spec.config(**{**spec.presets["small"]().model_dump(), "dropout": 0.0, **case.sizes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        model = spec.build(config, VocabularySizes(source=9, target=target)).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                scale = 0.2 if parameter.dim() == 1 else case.noise * parameter.shape[-1] ** -0.5
                parameter.add_(scale * torch.randn_like(parameter))
            for module in model.modules():
                if isinstance(module, nn.Embedding):
                    module.weight.add_(case.embedding_noise * torch.randn_like(module.weight))
    return model


@pytest.fixture(params=sorted(CASES))
def build(request: pytest.FixtureRequest) -> Build:
    """Return a function from the size of the target vocabulary to a model, for each case in turn."""
    name = str(request.param)
    return lambda target: tiny(name, target)


@pytest.fixture
def model(build: Build) -> Seq2Seq:
    return build(8)


@pytest.fixture
def sources() -> Tensor:
    """Return sources (B, S) of mixed lengths; the longest is neither first nor last."""
    return as_batch([[4, 5, 2], [8, 7, 3, 3, 6, 2], [2], [6, 4, 4, 5, 2]])


@pytest.fixture
def targets() -> Tensor:
    """Return decoder inputs (B, T) for the sources."""
    return torch.tensor([[1, 4, 5, 3, 7], [1, 3, 3, 6, 4], [1, 7, 4, 5, 5], [1, 6, 6, 3, 4]])


@pytest.fixture(params=["kernels", "PyTorch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a test with the native kernels, if available, and without them. Return whether they are used."""
    if request.param == "PyTorch":
        monkeypatch.setattr(native, "library", lambda: None)
    elif native.library() is None:
        pytest.skip("the native kernels are not available")
    return native.library() is not None
