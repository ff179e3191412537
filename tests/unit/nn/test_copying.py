"""Copying: finite numbers, float32 under autocast, label smoothing of the mixture, and what it helps to learn."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.config.schema import TrainConfig
from regard.contract import Memory, Seq2Seq, VocabularySizes
from regard.data.batch import Batch, make_batch
from regard.errors import ConfigError
from regard.models import bahdanau2014, build_model, build_on_meta, transformer2017
from regard.nn.copying import CopyGate, CopyingOutput, CopySource
from regard.special_tokens import EOS
from regard.training.loss import chunked_cross_entropy
from regard.training.step import TrainStep

TOKENS = torch.tensor([[7, 4, 7, 2], [5, 2, 0, 0]])
VOCABULARY = 9


def source_of(tokens: Tensor, size: int = 3) -> CopySource:
    values = torch.ones(*tokens.shape, size)
    return CopySource.of(Memory(values, values, tokens.ne(0), tokens=tokens))


def features_of(gate: float, attention: Tensor) -> Tensor:
    """Return features (2, 1, 3 + 1 + 2 S) with a gate and an attention (2, 1, S) to TOKENS, and zeros before them."""
    layer = CopyGate(3, 3, 3)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(layer.word.bias, gate)
    return layer(torch.zeros(2, 1, 3), attention, torch.zeros(2, 1, 3), torch.zeros(2, 1, 3), source_of(TOKENS))


def output_layer() -> CopyingOutput:
    torch.manual_seed(1)
    return CopyingOutput(nn.Linear(3, VOCABULARY), 3)


@pytest.mark.parametrize("gate", [-1000.0, -30.0, 0.0, 30.0, 1000.0])
@pytest.mark.parametrize("attention", [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1e-40, 0.5, 0.5, 0.0]])
def test_logits_and_gradients_are_finite(gate: float, attention: list[float]) -> None:
    """Even if nothing is attended to, as in a source of nothing but padding."""
    features = features_of(gate, torch.tensor([[attention], [attention]])).requires_grad_()
    layer = output_layer()
    log_probabilities = layer(features).log_softmax(-1)
    gradients = torch.autograd.grad(-log_probabilities.sum(), [features, *layer.parameters()])
    assert log_probabilities.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_attention_of_equal_tokens_is_added_up() -> None:
    attention = torch.tensor([[[0.3, 0.2, 0.4, 0.1]], [[0.5, 0.5, 0.0, 0.0]]])
    layer = output_layer()
    probabilities = layer(features_of(0.5, attention)).softmax(-1)
    p_gen, generated = 1 / (1 + math.exp(-0.5)), layer.linear(torch.zeros(3)).softmax(-1)
    expected = p_gen * generated.repeat(2, 1, 1)
    for row, position in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)):
        expected[row, 0, TOKENS[row, position]] += (1 - p_gen) * attention[row, 0, position]
    torch.testing.assert_close(probabilities, expected)


def test_tokens_are_exact_under_autocast() -> None:
    """In bfloat16, 5,001 would be 4,992."""
    tokens = torch.tensor([[5001, 2]])
    layer, gate = CopyingOutput(nn.Linear(3, 6000), 3), CopyGate(3, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.ones(1, 1, 3, dtype=torch.bfloat16)
        features = gate(x, torch.tensor([[[0.9, 0.1]]]).bfloat16(), x, x, source_of(tokens))
        logits = layer(features)
    assert (features.dtype, logits.dtype) == (torch.float32, torch.float32)
    assert int(logits.argmax()) == 5001


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_is_of_the_mixture(smoothing: float) -> None:
    attention = torch.tensor([[[0.3, 0.2, 0.4, 0.1]], [[0.5, 0.5, 0.0, 0.0]]])
    features, layer = features_of(-1.0, attention).squeeze(1).detach(), output_layer()
    targets = torch.tensor([4, 8])
    log_mixture = layer(features).softmax(-1).log()
    expected = -(1 - smoothing) * log_mixture.gather(1, targets[:, None]).sum() - smoothing * log_mixture.mean(1).sum()
    actual = chunked_cross_entropy(layer, layer.parameters(), features, targets, smoothing=smoothing)
    torch.testing.assert_close(actual.float(), expected)


def test_a_vocabulary_that_is_not_joint_is_an_error() -> None:
    config = bahdanau2014.tiny().model_copy(update={"copy_attention": True})
    for build in (build_model, build_on_meta):
        with pytest.raises(ConfigError, match=r"needs `tokenizer\.joint = true`: copied"):
            build(config, VocabularySizes(9, 9, joint=False))


def test_an_output_bias_is_an_error() -> None:
    with pytest.raises(ValueError, match="copy_attention and output_bias cannot be combined"):
        transformer2017.Config(copy_attention=True, output_bias=True)


SYMBOLS, NEW = 200, 100  # tokens, and the first of those that no training pair has
Config = bahdanau2014.Config | transformer2017.Config


def draw(first: int, end: int, pairs: int, generator: torch.Generator) -> Batch:
    """Return pairs of a sequence of four tokens and the same sequence."""
    sequences = torch.randint(first, end, (pairs, 4), generator=generator).tolist()
    return make_batch([(tokens, tokens) for tokens in sequences])


def losses_after_training(config: Config) -> tuple[float, float]:
    """Return the loss per token of copying sequences of tokens that training has, and of those that it has not."""
    torch.manual_seed(1)
    model: Seq2Seq = build_model(config, VocabularySizes(SYMBOLS, SYMBOLS, joint=True))
    step = TrainStep(model, TrainConfig(learning_rate=0.01, optimizer="adam", label_smoothing=0.0))
    generator = torch.Generator().manual_seed(2)
    for _ in range(60):
        step.run([draw(EOS + 1, NEW, 32, generator)], 1.0)
    losses = []
    for first, end in ((EOS + 1, NEW), (NEW, SYMBOLS)):
        batch = draw(first, end, 200, generator)
        logits = model(batch.source, batch.target_in).detach()
        losses.append(float(F.cross_entropy(logits.flatten(0, 1), batch.target_out.flatten())))
    return losses[0], losses[1]


@pytest.mark.parametrize(
    "config",
    [
        bahdanau2014.Config(hidden_size=16, embedding_size=16, attention_size=16, maxout_size=16, init_std=0.1),
        transformer2017.Config(
            encoder_layers=1, decoder_layers=1, hidden_size=32, ffn_size=32, num_heads=2, dropout=0.0
        ),
    ],
    ids=lambda config: str(config.architecture),
)
def test_a_model_that_copies_learns_sooner_to_copy_tokens_even_new_ones(config: Config) -> None:
    """After 60 steps: 0.4 and 1.0 instead of 3.7 and 7.4 nats (bahdanau2014), 0.1 and 3.3 instead of 2.1 and 5.7."""
    plain = losses_after_training(config)
    copying = losses_after_training(config.model_copy(update={"copy_attention": True}))
    assert copying[0] < 0.5 * plain[0]
    assert copying[1] < 0.75 * plain[1]
