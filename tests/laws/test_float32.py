"""Laws in float32, with and without the native kernels: every way to compute a target agrees with float64.

Head widths are multiples of 16, which the kernels support, or odd, which PyTorch handles. Sources and targets are long
enough to fill the blocks of the kernels, the spare positions of a KV cache and dilated convolutions. float64 never uses
the kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.doubles import as_batch
from tests.laws.conftest import Case, build_case
from torch import Tensor

from regard.contract import DecoderOutput, Seq2Seq
from regard.data.batch import Batch, make_batch
from regard.decoding.beam import beam_search
from regard.decoding.length_penalty import gnmt
from regard.decoding.scoring import score_targets
from regard.models import ARCHITECTURES
from regard.nn.inference import freeze_for_inference
from regard.nn.kernels import native
from regard.special_tokens import BOS, EOS, PAD
from regard.training.loss import ModelWithLoss

VOCABULARY = 23  # target tokens
STEPS = 52  # more steps than ByteNet has columns for these sources

GATED = {"hidden_size": 33, "embedding_size": 21, "maxout_size": 17}
GNMT = {"encoder_layers": 4, "decoder_layers": 4, "hidden_size": 33, "embedding_size": 21, "attention_size": 19}
LUONG = {"num_layers": 3, "hidden_size": 33, "embedding_size": 21}
CONVS2S = {
    "embedding_size": 22,
    "encoder_convolutions": ((20, 3), (17, 5), (17, 1)),
    "decoder_convolutions": ((20, 3), (13, 2)),
    "max_positions": 30,
}
TRANSFORMER = {"hidden_size": 32, "ffn_size": 48, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}
MARIAN = {**TRANSFORMER, "activation": "silu", "output_bias": True}
MODERN = {**TRANSFORMER, "ffn_size": 40}

# Keys are `architecture` or `architecture/variant`. The noise is small, so that rounding errors do not grow.
CASES: dict[str, Case] = {
    "bahdanau2014": Case({**GATED, "attention_size": 19}),
    "bytenet2016": Case({"hidden_size": 13, "encoder_layers": 6, "decoder_layers": 6, "unfold_factor": 1.1}, noise=0.5),
    "cho2014": Case(GATED),
    "convs2s2017": Case(CONVS2S, noise=0.3, embedding_noise=0.1),
    "gnmt2016": Case(GNMT, noise=1.5),
    "luong2015": Case({**LUONG, "score": "dot", "attention": "global"}, noise=1.5),
    "luong2015/concat": Case({**LUONG, "score": "concat", "attention": "global"}, noise=1.5),
    "luong2015/local_m": Case({**LUONG, "attention": "local_m", "window_size": 5, "input_feeding": False}, noise=1.5),
    "luong2015/local_p": Case({**LUONG, "attention": "local_p", "window_size": 5}, noise=1.5),
    "modern": Case(MODERN, noise=1.5),
    "modern/grouped": Case({**MODERN, "hidden_size": 96, "num_heads": 6, "num_kv_heads": 2}, noise=1.5),
    "modern/odd": Case({**MODERN, "hidden_size": 36, "ffn_size": 45}, noise=1.5),
    "modern/ssru": Case({**MODERN, "decoder": "ssru"}, noise=1.5),
    "sutskever2014": Case({"num_layers": 3, "hidden_size": 33, "embedding_size": 21}, noise=1.5),
    "transformer2017": Case(TRANSFORMER, noise=0.5, embedding_noise=0.2),
    "transformer2017/marian": Case(MARIAN, noise=0.5, seed=17, embedding_noise=0.2),
    "transformer2017/odd": Case({**TRANSFORMER, "hidden_size": 34, "ffn_size": 45}, noise=0.5, embedding_noise=0.2),
    "transformer2017/wide": Case({**TRANSFORMER, "hidden_size": 96, "num_heads": 3}, noise=0.5, embedding_noise=0.2),
}

# Tolerances of values and gradients, relative to the largest value. The errors measured with AVX-512, with AVX2 and
# without kernels are at most 3e-6 and 1e-5.
TOLERANCE, GRADIENT_TOLERANCE = 5e-6, 2e-5


def random_tokens(lengths: Sequence[int], vocabulary: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(EOS + 1, vocabulary, (length,), generator=generator).tolist() for length in lengths]


TARGETS = as_batch([[BOS, *target] for target in random_tokens([STEPS - 1] * 4, VOCABULARY, seed=6)])
BATCH: Batch = make_batch(
    list(zip(random_tokens([18, 43, 0, 40], 9, seed=5), random_tokens([40, 3, 0, 29], VOCABULARY, seed=6), strict=True))
)
SOURCES = BATCH.source


@dataclass(frozen=True)
class Pair:
    """The same weights in both precisions, with the float64 results for TARGETS and for training on BATCH."""

    single: Seq2Seq
    double: Seq2Seq
    expected: DecoderOutput
    loss: Tensor
    gradients: tuple[Tensor, ...]

    def assert_near(self, actual: Tensor, expected: Tensor) -> None:
        """Assert that every error is small relative to the largest expected value."""
        assert actual.dtype == torch.float32
        atol = TOLERANCE * expected.abs().max().item()
        torch.testing.assert_close(actual.double(), expected, rtol=0, atol=atol)


@cache
def pair(name: str) -> Pair:
    architecture = name.split("/")[0]
    single, double = (build_case(architecture, CASES[name], VOCABULARY).float() for _ in range(2))
    double = double.double()  # the weights stay rounded to float32
    with torch.no_grad():
        expected = double.features(SOURCES, TARGETS, with_attention=True)
    real = BATCH.target_out.ne(PAD)
    logits = double(BATCH.source, BATCH.target_in)
    loss = F.cross_entropy(logits[real], BATCH.target_out[real], reduction="sum", label_smoothing=0.1)
    gradients = torch.autograd.grad(loss, [*double.parameters()])
    return Pair(single, double, expected, loss.detach(), gradients)


@pytest.fixture(params=sorted(CASES))
def models(request: pytest.FixtureRequest) -> Pair:
    return pair(str(request.param))


def test_every_architecture_is_tested() -> None:
    assert {name.split("/")[0] for name in CASES} == set(ARCHITECTURES)


def test_the_weights_are_lively(models: Pair) -> None:
    """Features that ignore the source or the last token would pass every test in this file."""
    features = models.expected.features
    other_tokens = TARGETS.where(TARGETS.eq(BOS), VOCABULARY + EOS - TARGETS)
    with torch.no_grad():
        by_source = (models.double.features(SOURCES.roll(1, 0), TARGETS).features - features).abs().amax(-1)  # (B, T)
        by_token = (models.double.features(SOURCES, other_tokens).features - features).abs().amax(-1)
    noticeable = 500 * TOLERANCE * features.abs().max()
    assert by_token[:, 1:].min() > noticeable
    assert by_source.amax(1).min() > noticeable  # at some position: without attention, a long target forgets its source


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_a_sentence_alone_and_in_a_batch_agrees_with_float64(models: Pair, kernels: bool, training: bool) -> None:
    with torch.set_grad_enabled(training):
        together = models.single.features(SOURCES, TARGETS).features
        models.assert_near(together, models.expected.features)
        for row in (1, 2):  # the longest and the shortest
            source, target = SOURCES[row], TARGETS[row]
            alone = models.single.features(source[source.ne(PAD)][None], target[None]).features
            models.assert_near(alone[0], models.expected.features[row])
    assert together.requires_grad == training


def assert_distribution(attention: Tensor | None, models: Pair) -> None:
    assert (attention is not None) == models.single.decoder.has_attention
    if attention is None:
        return
    assert models.expected.attention is not None
    models.assert_near(attention, models.expected.attention)
    assert attention.ge(0).all()
    assert attention.masked_select(SOURCES.eq(PAD)[:, None].expand_as(attention)).eq(0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones_like(attention[..., 0]), rtol=0, atol=1e-6)


@torch.inference_mode()
def test_attention_is_a_distribution_and_agrees_with_float64(models: Pair, kernels: bool) -> None:
    output = models.single.features(SOURCES, TARGETS, with_attention=True)
    models.assert_near(output.features, models.expected.features)
    assert_distribution(output.attention, models)


@torch.inference_mode()
def test_step_by_step_decoding_agrees_with_teacher_forcing(models: Pair, kernels: bool) -> None:
    decoder = models.single.decoder
    state = decoder.init_state(models.single.encode(SOURCES))
    features: list[Tensor] = []
    attention: list[Tensor] = []
    for tokens in TARGETS.unbind(1):
        advanced = decoder.advance(tokens, state, with_attention=True)
        state = advanced.state
        features.append(advanced.features)
        if advanced.attention is not None:
            attention.append(advanced.attention)
    models.assert_near(torch.stack(features, 1), models.expected.features)
    assert_distribution(torch.stack(attention, 1) if attention else None, models)


@torch.inference_mode()
def test_rows_of_a_beam_agree_with_teacher_forcing(models: Pair, kernels: bool) -> None:
    """The three rows of each sentence fork or swap at every third step; halfway, a sentence is dropped."""
    decoder, generator = models.single.decoder, torch.Generator().manual_seed(7)
    first = decoder.advance(TARGETS[:, 0], decoder.init_state(models.single.encode(SOURCES)))
    sentences, rows = torch.arange(4), torch.arange(4).repeat_interleave(3)
    state, tokens, features = first.state.select(rows), TARGETS[rows, :1], first.features[rows, None]
    for step in range(1, STEPS):
        chosen = torch.randint(EOS + 1, VOCABULARY, (len(rows),), generator=generator)
        advanced = decoder.advance(chosen, state)
        tokens, features = torch.cat((tokens, chosen[:, None]), 1), torch.cat((features, advanced.features[:, None]), 1)
        state = advanced.state
        if step % 3 == 0:
            remaining = torch.tensor([2, 0, 3]) if step == 24 else torch.arange(len(sentences))
            rows = (3 * remaining[:, None] + torch.randint(3, (len(remaining), 3), generator=generator)).flatten()
            state = state.select(rows, remaining if len(remaining) < len(sentences) else None)
            tokens, features, sentences = tokens[rows], features[rows], sentences[remaining]
    assert sentences.tolist() == [2, 0, 3]
    expected = models.double.features(SOURCES[sentences.repeat_interleave(3)], tokens).features
    models.assert_near(features, expected)


@torch.inference_mode()
def test_the_log_probability_of_a_hypothesis_agrees_with_float64(models: Pair, kernels: bool) -> None:
    model = freeze_for_inference(models.single)
    beams = beam_search(
        model.decoder, model.encode(SOURCES), [33, 9, 20, 26], beam_size=5, top_beams=5, penalty=gnmt(0.6)
    )
    hypotheses = [(row, hypothesis) for row, beam in enumerate(beams) for hypothesis in beam]
    assert any(len(hypothesis.tokens) > 8 for _, hypothesis in hypotheses)
    expected = score_targets(
        models.double,
        SOURCES[[row for row, _ in hypotheses]],
        as_batch([[BOS, *hypothesis.tokens] for _, hypothesis in hypotheses]),
        as_batch([[*hypothesis.tokens, EOS if hypothesis.finished else PAD] for _, hypothesis in hypotheses]),
    )
    models.assert_near(torch.tensor([hypothesis.log_probability for _, hypothesis in hypotheses]), expected)


@pytest.mark.parametrize("padding", [0, 5])
def test_loss_and_gradients_agree_with_padded_float64(models: Pair, kernels: bool, padding: int) -> None:
    batch = (F.pad(tokens, (0, padding)) for tokens in (BATCH.source, BATCH.target_in, BATCH.target_out))
    loss = ModelWithLoss(models.single, 0.1)(*batch)
    assert loss.item() == pytest.approx(models.loss.item(), rel=1e-6)
    gradients = torch.autograd.grad(loss, [*models.single.parameters()])
    largest = max(gradient.abs().max().item() for gradient in models.gradients)
    names = [name for name, _ in models.single.named_parameters()]
    for name, actual, expected in zip(names, gradients, models.gradients, strict=True):
        scale = max(expected.abs().max().item(), 1e-3 * largest)  # some gradients are 0, e.g. those of key biases
        atol = GRADIENT_TOLERANCE * scale
        torch.testing.assert_close(actual.double(), expected, rtol=0, atol=atol, msg=name)


class Calls:
    """A kernel library that records the names of the functions that are used."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.library, name)


TRAINING = {"attention", "attention_gradient", "drop_add_norm", "drop_add_norm_gradient", "cross_entropy"}
KERNELS = {
    "transformer2017": (TRAINING | {"bias_relu", "bias_relu_gradient"}, {"attend", "add_norm", "best_tokens"}),
    "modern": (TRAINING | {"gated", "gated_gradient"}, {"attend", "best_tokens"}),
    "modern/grouped": (TRAINING | {"gated", "gated_gradient"}, {"attend", "best_tokens"}),
    "modern/ssru": (TRAINING | {"gated", "gated_gradient"}, {"attend", "best_tokens"}),
    "luong2015": ({"cross_entropy"}, {"best_tokens"}),
}


@pytest.mark.skipif(native.library() is None, reason="the native kernels are not available")
@pytest.mark.parametrize("name", KERNELS)
def test_the_expected_kernels_are_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (training, searching) = pair(name).single, KERNELS[name]
    calls = Calls(native.library())
    monkeypatch.setattr(native, "library", lambda: calls)
    ModelWithLoss(model, 0.1)(BATCH.source, BATCH.target_in, BATCH.target_out).backward()
    model.zero_grad()
    assert calls.names == training
    calls.names.clear()
    with torch.inference_mode():
        beam_search(model.decoder, model.encode(SOURCES[:, :4]), [3] * 4, beam_size=2, penalty=gnmt(0.6))
    assert calls.names == searching
