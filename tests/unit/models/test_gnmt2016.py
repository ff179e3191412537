"""The paper's constants, and its equations written out by sentence and step."""

from __future__ import annotations

import math

import pytest
import torch
from tests.doubles import as_batch
from torch import Tensor, nn

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import gnmt2016
from regard.models.gnmt2016 import Config, GnmtDecoder, GnmtEncoder

PIECES = VocabularySizes(32_000, 32_000, joint=True)  # section 4.1: 8,000 to 32,000 shared wordpieces
SOURCES = [[4, 5, 6, 7, 8, 2], [8, 7, 3, 2]]
TARGETS = torch.tensor([[1, 4, 5, 3, 7], [1, 3, 3, 6, 4]])
HIDDEN, EMBEDDING, ALIGNMENT = 5, 3, 4


def tiny(encoder_layers: int, decoder_layers: int) -> tuple[Seq2Seq, GnmtEncoder, GnmtDecoder]:
    torch.manual_seed(1)
    config = Config(
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        hidden_size=HIDDEN,
        embedding_size=EMBEDDING,
        attention_size=ALIGNMENT,
        init_bound=1.5,
        dropout=0.0,
    )
    model = gnmt2016.build(config, VocabularySizes(9, 8)).double().requires_grad_(False)
    assert isinstance(model.encoder, GnmtEncoder)
    assert isinstance(model.decoder, GnmtDecoder)
    return model, model.encoder, model.decoder


def parameters(vocabulary: int, layers: int, n: int) -> int:
    """Embeddings, layers and attention all n wide; two biases a gate."""
    lstm = {inputs: 4 * (n * inputs * n + n * n + 2 * n) for inputs in (1, 2)}  # by inputs / n
    encoder = vocabulary * n + 2 * lstm[1] + lstm[2] + (layers - 2) * lstm[1]
    decoder = vocabulary * n + layers * lstm[2]
    attention = n * n + n + n * n + n  # W and its bias, U, v
    return encoder + decoder + attention + vocabulary * n


def test_the_paper_preset_is_its_constants() -> None:
    config = gnmt2016.paper()
    assert (config.encoder_layers, config.decoder_layers) == (8, 8)
    assert (config.hidden_size, config.embedding_size, config.attention_size) == (1024, 1024, 1024)
    assert (config.init_bound, config.dropout) == (0.04, 0.2)
    with torch.device("meta"):
        model = gnmt2016.build(config, PIECES)
    assert sum(weight.numel() for weight in model.parameters()) == parameters(32_000, 8, 1024)


def test_all_weights_begin_uniform() -> None:
    torch.manual_seed(1)
    config = Config(encoder_layers=3, decoder_layers=3, hidden_size=64, embedding_size=48, attention_size=32)
    model = gnmt2016.build(config, VocabularySizes(50, 60))
    weights = torch.cat([weight.flatten() for weight in model.parameters()])
    count = weights.numel()
    weights = weights[weights.ne(0)]  # PAD's two embeddings are zero
    assert weights.numel() == count - 96
    assert weights.abs().max().item() == pytest.approx(0.04, rel=1e-3)
    assert weights.std().item() == pytest.approx(0.04 / math.sqrt(3), rel=0.02)
    assert abs(weights.mean().item()) < 1e-3


def cell_of(layer: nn.Module) -> nn.LSTMCell:
    assert isinstance(layer, nn.LSTM)
    cell = nn.LSTMCell(layer.input_size, layer.hidden_size).double().requires_grad_(False)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in layer.state_dict().items()})
    return cell


def over(layer: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    cell, outputs = cell_of(layer), []
    state = (torch.zeros(1, HIDDEN, dtype=torch.float64),) * 2
    for x in inputs:
        state = cell(x[None], state)
        outputs.append(state[0][0])
    return outputs


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_encoder_is_figure_3_and_equation_6(layers: int) -> None:
    _, encoder, _ = tiny(layers, 1)
    batch = as_batch(SOURCES)
    memory = encoder(batch, batch.ne(0))
    for row, source in enumerate(SOURCES):
        words = [encoder.embedding.weight[token] for token in source]
        ahead = over(encoder.bottom_forward, words)
        back = over(encoder.bottom_backward, words[::-1])[::-1]
        x = [torch.cat(both) for both in zip(ahead, back, strict=True)]
        for number, layer in enumerate(encoder.layers, 2):
            above = over(layer, x)
            x = [m + below for m, below in zip(above, x, strict=True)] if number >= 3 else above
        torch.testing.assert_close(memory.values[row, : len(source)], torch.stack(x))


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_the_decoder_is_equations_4_6_and_13(layers: int) -> None:
    model, encoder, decoder = tiny(2, layers)
    output = model.features(as_batch(SOURCES), TARGETS, with_attention=True)
    assert output.attention is not None
    logits = decoder.readout(output.features)
    W, b, U, v = (*decoder.score.query.parameters(), decoder.score.key.weight, decoder.score.score.weight[0])
    cells = [cell_of(layer) for layer in (decoder.bottom, *decoder.layers)]
    assert len(cells) == layers
    for row, source in enumerate(SOURCES):
        tokens = torch.tensor([source])
        annotations = encoder(tokens, tokens.ne(0)).values[0]
        states = [(torch.zeros(1, HIDDEN, dtype=torch.float64),) * 2] * layers
        for step, token in enumerate(TARGETS[row]):
            before = states[0][0][0]  # y_{i-1}, of the bottom layer
            energies = torch.stack([v @ torch.tanh(W @ before + b + U @ x) for x in annotations])
            weights = energies.softmax(0)
            context = weights @ annotations
            x = decoder.embedding.weight[token]
            for index, cell in enumerate(cells):
                states[index] = cell(torch.cat((x, context))[None], states[index])
                above = states[index][0][0]
                x = above + x if index >= 2 else above
            torch.testing.assert_close(output.features[row, step], x)
            torch.testing.assert_close(output.attention[row, step, : len(source)], weights)
            torch.testing.assert_close(logits[row, step], decoder.output.weight @ x)
