"""The paper's constants, and its equations written out by sentence, step and position."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.doubles import as_batch
from torch import Tensor, nn

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import luong2015
from regard.models.luong2015 import Attention, Config, LuongDecoder, LuongEncoder
from regard.nn.attention import Annotations

WORDS = VocabularySizes(50_003, 50_003)  # section 4.1: 50,000 words, with unk, and PAD, BOS and EOS
SOURCES = [[4, 5, 6, 7, 8, 2], [8, 7, 3, 2]]
TARGETS = torch.tensor([[1, 4, 5, 3, 7], [1, 3, 3, 6, 4]])
HIDDEN, EMBEDDING = 5, 3


def tiny(**sizes: Any) -> Seq2Seq:
    torch.manual_seed(1)
    plain = {
        "num_layers": 2,
        "hidden_size": HIDDEN,
        "embedding_size": EMBEDDING,
        "window_size": 2,
        "init_bound": 1.5,
        "dropout": 0.0,
    }
    model = luong2015.build(Config(**{**plain, **sizes}), VocabularySizes(9, 8))
    return model.double().requires_grad_(False)


def parts(model: Seq2Seq) -> tuple[LuongEncoder, LuongDecoder]:
    assert isinstance(model.encoder, LuongEncoder)
    assert isinstance(model.decoder, LuongDecoder)
    return model.encoder, model.decoder


def parameters(config: Config, vocabulary: int) -> int:
    """Local-p (general) with input feeding; two biases a gate."""
    n, m = config.hidden_size, config.embedding_size
    upper = (config.num_layers - 1) * 4 * (n * n + n * n + 2 * n)
    encoder = vocabulary * m + 4 * (n * m + n * n + 2 * n) + upper
    decoder = vocabulary * m + 4 * (n * (m + n) + n * n + 2 * n) + upper
    attention = n * n + n * n + n  # W_a, W_p, v_p
    return encoder + decoder + attention + n * 2 * n + n * vocabulary


def test_the_paper_preset_is_section_41s() -> None:
    config = luong2015.paper()
    assert (config.num_layers, config.hidden_size, config.embedding_size) == (4, 1000, 1000)
    assert (config.attention, config.score, config.window_size) == ("local_p", "general", 10)
    assert (config.input_feeding, config.reverse_source) == (True, True)
    assert (config.init_bound, config.dropout) == (0.1, 0.2)
    with torch.device("meta"):
        model = luong2015.build(config, WORDS)
    assert sum(weight.numel() for weight in model.parameters()) == parameters(config, 50_003)


def test_all_weights_begin_uniform() -> None:
    torch.manual_seed(1)
    config = Config(num_layers=2, hidden_size=64, embedding_size=48)
    weights = torch.cat([weight.flatten() for weight in luong2015.build(config, VocabularySizes(50, 60)).parameters()])
    weights = weights[weights.ne(0)]  # PAD's two embeddings are zero
    assert weights.numel() == sum(w.numel() for w in luong2015.build(config, VocabularySizes(50, 60)).parameters()) - 96
    assert weights.abs().max().item() == pytest.approx(0.1, rel=1e-3)
    assert weights.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    assert abs(weights.mean().item()) < 1e-3


@pytest.mark.parametrize("backward", [True, False])
def test_the_encoder_is_a_stack_over_the_words_in_their_order_or_backward(backward: bool) -> None:
    encoder, _ = parts(tiny(reverse_source=backward))
    batch = as_batch(SOURCES)
    memory = encoder(batch, batch.ne(0))
    for row, source in enumerate(SOURCES):
        order = [*source[-2::-1], 2] if backward else source
        positions = [source.index(token) for token in order]  # every token occurs once in its source
        x = encoder.embedding(torch.tensor([order]))
        final = []
        for layer in encoder.stack.layers:
            x, (hidden, cell) = layer(x)
            final += [hidden[0, 0], cell[0, 0]]
        for step, position in enumerate(positions):
            torch.testing.assert_close(memory.values[row, position], x[0, step])
        for part, expected in zip(memory.final, final, strict=True):
            torch.testing.assert_close(part[row], expected)


def attend(attention: Attention, h: Tensor, keys: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Equations 7, 9 and 10 at one step t over one sentence of keys (S, hidden): c_t and the weights."""
    S, D = len(keys), attention.window_size
    score = attention.score
    if attention.kind == "local_p":
        p = S * torch.sigmoid(attention.position_score.weight[0] @ torch.tanh(attention.position.weight @ h)).item()
    else:
        p = min(t, S)
    window = [s for s in range(1, S + 1) if attention.kind == "global" or p - D <= s <= p + D]
    energies = torch.stack([score(h[None, None], score.project(keys[None, s - 1 : s]))[0, 0, 0] for s in window])
    aligned = energies.softmax(0)
    if attention.kind == "local_p":
        sigma = D / 2
        aligned = aligned * torch.tensor([math.exp(-((s - p) ** 2) / (2 * sigma**2)) for s in window]).to(aligned)
    context = sum((a * keys[s - 1] for a, s in zip(aligned, window, strict=True)), torch.zeros_like(h))
    expected_weights = torch.zeros(S, dtype=h.dtype)
    for a, s in zip(aligned, window, strict=True):
        expected_weights[s - 1] = a / aligned.sum()
    return context, expected_weights


@pytest.mark.parametrize("kind", ["global", "local_m", "local_p"])
@pytest.mark.parametrize("score", ["dot", "general", "concat", "scaled_dot"])
def test_attention_is_its_equations_at_each_position(kind: str, score: str) -> None:
    _, decoder = parts(tiny(attention=kind, score=score))
    lengths, steps, start = [9, 3], 6, 2
    draw = torch.Generator().manual_seed(3)
    keys, queries = (
        torch.randn(2, size, HIDDEN, generator=draw, dtype=torch.float64) for size in (max(lengths), steps)
    )
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    source = Annotations(decoder.attention.score.project(keys), keys, mask)
    contexts, weights = decoder.attention(queries, source, torch.arange(start + 1, start + steps + 1))
    for row, length in enumerate(lengths):
        for step in range(steps):
            own = keys[row, :length]
            context, expected_weights = attend(decoder.attention, queries[row, step], own, start + step + 1)
            torch.testing.assert_close(contexts[row, step], context)
            torch.testing.assert_close(weights[row, step, :length], expected_weights)
            assert weights[row, step, length:].eq(0).all()
    if kind != "global":
        assert weights[0].eq(0).any(-1).all()  # nine positions, of which a window holds five


def test_a_scaled_dot_is_a_dot_over_the_root_of_the_width() -> None:
    scaled, plain = (parts(tiny(score=score))[1].attention.score for score in ("scaled_dot", "dot"))
    h = torch.ones(1, 1, HIDDEN)
    assert (scaled(h, h) / plain(h, h)).item() == pytest.approx(HIDDEN**-0.5)


@pytest.mark.parametrize("feeding", [True, False])
def test_the_decoder_is_its_equations_at_each_step(feeding: bool) -> None:
    model = tiny(input_feeding=feeding)
    encoder, decoder = parts(model)
    batch = as_batch(SOURCES)
    output = model.features(batch, TARGETS, with_attention=True)
    assert output.attention is not None
    logits = decoder.readout(output.features)
    for row, source in enumerate(SOURCES):
        tokens = torch.tensor([source])
        memory = encoder(tokens, tokens.ne(0))
        states = list(zip(memory.final[::2], memory.final[1::2], strict=True))
        attentional = torch.zeros(HIDDEN, dtype=torch.float64)
        for step, token in enumerate(TARGETS[row]):
            x = decoder.embedding.weight[token]
            if feeding:
                x = torch.cat((x, attentional))
            for index, layer in enumerate(decoder.stack.layers):
                assert isinstance(layer, nn.LSTM)
                cell = nn.LSTMCell(layer.input_size, HIDDEN).double()
                cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in layer.state_dict().items()})
                states[index] = cell(x[None], states[index])
                x = states[index][0][0]
            context, expected_weights = attend(decoder.attention, x, memory.keys[0], step + 1)
            attentional = torch.tanh(decoder.combine.weight @ torch.cat((context, x)))
            torch.testing.assert_close(output.features[row, step], attentional)
            torch.testing.assert_close(output.attention[row, step, : len(source)], expected_weights)
            torch.testing.assert_close(logits[row, step], decoder.output.weight @ attentional)
