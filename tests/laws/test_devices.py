"""Every architecture trains in bfloat16, and trains and searches on a GPU as on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.laws.cases import LONG_CASES
from torch import Tensor

from regard.config.schema import SearchConfig, TrainConfig
from regard.contract import Seq2Seq
from regard.decoding.strategies import SearchInput, TokenConstraints, search
from regard.nn.inference import freeze_for_inference
from regard.special_tokens import EOS
from regard.testing.precision import BATCH, SOURCES, VOCABULARY
from regard.training.step import TrainStep

ON_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
on_gpu = [pytest.param("cuda", marks=ON_GPU)]
everywhere = ["cpu", *on_gpu]

SEARCHES: dict[str, dict[str, Any]] = {
    "beam": {"beam_size": 4},
    "greedy": {"beam_size": 1},
    "no_repeat": {"beam_size": 3, "no_repeat": 2},
    "coverage": {"beam_size": 3, "coverage_penalty": 0.2},
    "diverse": {"strategy": "diverse", "beam_size": 4, "groups": 2},
    "lookahead": {"strategy": "lookahead"},
    "exact": {"strategy": "exact", "beam_size": 2, "exact_steps": 100},
    "sample": {"strategy": "sample", "top_k": 3},
    "mbr": {"strategy": "mbr", "samples": 4},
}


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    """Let cuDNN's LSTM compute in float32, not in TF32."""
    rnn: Any = torch.backends.cudnn.rnn  # its type does not know the attribute
    before, rnn.fp32_precision = rnn.fp32_precision, "ieee"
    yield
    rnn.fp32_precision = before


def model_of(name: str) -> Seq2Seq:
    return LONG_CASES[name].build(VOCABULARY, dropout=0.0).float()


def train_step(name: str, device: str, precision: str = "float32") -> TrainStep:
    config = TrainConfig(clip_norm=0.0, precision=precision)  # type: ignore[arg-type]
    return TrainStep(model_of(name).to(device), config)


def loss_and_gradient(step: TrainStep) -> tuple[float, Tensor]:
    """Take a step with a learning rate of 0, and return its loss and its gradient."""
    result = step.run([BATCH], 0.0)
    assert result.is_finite
    gradients = [parameter.grad for parameter in step.model.parameters() if parameter.grad is not None]
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    return result.loss, torch.cat([gradient.flatten().cpu() for gradient in gradients])


@pytest.mark.parametrize("device", everywhere)
@pytest.mark.parametrize("name", sorted(LONG_CASES))
def test_a_step_in_bfloat16_is_close_to_one_in_float32(name: str, device: str) -> None:
    loss, gradient = loss_and_gradient(train_step(name, device))
    try:
        short_loss, short_gradient = loss_and_gradient(train_step(name, device, "bfloat16"))
    except RuntimeError as error:  # where oneDNN is restricted to AVX2, on a CPU with AVX-512
        if "primitive" in str(error):
            pytest.skip("oneDNN is restricted to a level without bfloat16")
        raise
    assert short_loss != loss
    assert short_loss == pytest.approx(loss, rel=0.02)
    assert torch.cosine_similarity(short_gradient, gradient, dim=0).item() > 0.95


@pytest.mark.parametrize("device", on_gpu)
@pytest.mark.parametrize("name", sorted(LONG_CASES))
def test_a_step_on_a_gpu_is_that_on_a_cpu(name: str, device: str) -> None:
    loss, gradient = loss_and_gradient(train_step(name, "cpu"))
    gpu_loss, gpu_gradient = loss_and_gradient(train_step(name, device))
    assert gpu_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(gpu_gradient, gradient, rtol=0, atol=1e-4 * gradient.abs().max().item())


@pytest.mark.parametrize("device", on_gpu)
@pytest.mark.parametrize("name", sorted(LONG_CASES))
def test_a_gpu_learns_a_batch(name: str, device: str) -> None:
    step = TrainStep(model_of(name).to(device), TrainConfig(learning_rate=0.003, precision="bfloat16"))
    losses = [step.run([BATCH], 1.0).loss for _ in range(30)]
    assert losses[-1] < losses[0] - 0.3


def results(name: str, device: str, options: dict[str, Any], inputs: list[SearchInput]) -> list[list[Any]]:
    """Return the tokens and the log-probability of each hypothesis."""
    model = freeze_for_inference(model_of(name).to(device))
    n_best_lists = search(model, inputs, SearchConfig(**options), top_beams=1, with_attention=True)
    return [[(hypothesis.tokens, hypothesis.log_probability) for hypothesis in n_best] for n_best in n_best_lists]


def assert_same(name: str, device: str, options: dict[str, Any], *, constraints: bool = False) -> None:
    inputs = [SearchInput([token for token in row.tolist() if token > EOS]) for row in SOURCES]
    if constraints:
        phrases = TokenConstraints(require=((5, 6),), forbid=((7,),), prefix=(4,))
        inputs = [replace(sentence, constraints=phrases) for sentence in inputs]
    expected = results(name, "cpu", options, inputs)
    actual = results(name, device, options, inputs)
    for n_best, cpu_n_best in zip(actual, expected, strict=True):
        assert [tokens for tokens, _ in n_best] == [tokens for tokens, _ in cpu_n_best]
        assert [score for _, score in n_best] == pytest.approx([score for _, score in cpu_n_best], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("device", on_gpu)
@pytest.mark.parametrize("name", sorted(LONG_CASES))
def test_a_gpu_translates_as_a_cpu_does(name: str, device: str) -> None:
    for beam_size in (1, 4):
        assert_same(name, device, {"beam_size": beam_size})


@pytest.mark.parametrize("device", on_gpu)
@pytest.mark.parametrize("options", SEARCHES.values(), ids=list(SEARCHES))
def test_every_search_runs_on_a_gpu(options: dict[str, Any], device: str) -> None:
    assert_same("modern", device, options)


@pytest.mark.parametrize("device", on_gpu)
def test_constraints_hold_on_a_gpu(device: str) -> None:
    assert_same("modern", device, {"beam_size": 4}, constraints=True)


@pytest.mark.parametrize("device", on_gpu)
@pytest.mark.parametrize("name", ["transformer2017", "modern", "modern/ssru"])
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_step_waits_for_a_gpu_only_to_read_its_loss(name: str, device: str) -> None:
    """PyTorch raises an error at an operation that waits for the GPU."""
    step = train_step(name, device, "bfloat16")
    step.run([BATCH], 0.0)  # loads libraries, which may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        (loss,) = step._accumulate_gradients([BATCH], 1.0, "none")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()
