"""sutskever2014 against torch.nn.LSTMCell with the same weights, one sentence, one layer and one word at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from tests.doubles import as_batch, start_with_bos
from torch import Tensor, nn

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import sutskever2014
from regard.special_tokens import EOS, PAD

WORDS = [[4, 5], [8, 7, 3, 3, 6], [], [6, 4, 4, 5]]  # of each source, without its end marker
TARGETS = [[4, 9, 5, 3], [7], [9, 9, 4], []]
LAYERS = 3


@dataclass(frozen=True)
class Reference:
    """The system from cells."""

    source_table: Tensor
    encoder: list[nn.LSTMCell]
    target_table: Tensor
    decoder: list[nn.LSTMCell]
    output: nn.Linear

    def translate(self, words: list[int], fed: list[int]) -> Tensor:
        """A source's words and the decoder's input to logits (T, V)."""
        width = self.encoder[0].hidden_size
        states = [(torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64))] * LAYERS
        for word in [*reversed(words), EOS]:
            states = self.climb(self.encoder, self.source_table[word], states)
        logits = []
        for word in fed:
            states = self.climb(self.decoder, self.target_table[word], states)
            logits.append(self.output(states[-1][0]))
        return torch.stack(logits)

    @staticmethod
    def climb(cells: list[nn.LSTMCell], x: Tensor, states: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        after = []
        for cell, state in zip(cells, states, strict=True):
            after.append(cell(x, state))
            x = after[-1][0]
        return after


def far_from_zero() -> Seq2Seq:
    """In float64, every weight and bias drawn wide, so that no gate is half open."""
    config = sutskever2014.Config(num_layers=LAYERS, hidden_size=6, embedding_size=5)
    model = sutskever2014.build(config, VocabularySizes(9, 11)).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def cells(stack: Any) -> list[nn.LSTMCell]:
    cells_ = []
    for layer in stack.layers:
        cell = nn.LSTMCell(layer.input_size, layer.hidden_size, dtype=torch.float64)
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
        cells_.append(cell)
    return cells_


def reference(model: Seq2Seq) -> Reference:
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    output = nn.Linear(decoder.output.in_features, decoder.output.out_features, dtype=torch.float64)
    output.load_state_dict(decoder.output.state_dict())
    tables = [side.embedding.weight.detach().clone().requires_grad_() for side in (encoder, decoder)]
    return Reference(tables[0], cells(encoder.stack), tables[1], cells(decoder.stack), output)


def pairs(model: Seq2Seq, theirs: Reference) -> list[tuple[Tensor, Tensor]]:
    """Each parameter of ours with its like, in the order of ours."""
    copied = [theirs.source_table]
    copied += [parameter for cell in theirs.encoder for parameter in cell.parameters()]
    copied += [theirs.target_table]
    copied += [parameter for cell in theirs.decoder for parameter in cell.parameters()]
    copied += list(theirs.output.parameters())
    return list(zip(model.parameters(), copied, strict=True))


def test_logits_and_gradients_are_those_of_cells_in_loops() -> None:
    ours = far_from_zero()
    theirs = reference(ours)
    fed, expected_tokens = start_with_bos(TARGETS)
    source = as_batch([[*words, EOS] for words in WORDS])
    logits = ours(source, fed)
    real = expected_tokens.ne(PAD)
    expected = [
        theirs.translate(words, row[: len(target) + 1].tolist())
        for words, target, row in zip(WORDS, TARGETS, fed, strict=True)
    ]
    assert PAD in source and not real.all()
    torch.testing.assert_close(logits[real], torch.cat(expected), rtol=0, atol=1e-10)

    for scores in (logits[real], torch.cat(expected)):
        F.cross_entropy(scores, expected_tokens[real]).backward()
    for parameter, copied in pairs(ours, theirs):
        assert parameter.grad is not None and copied.grad is not None
        torch.testing.assert_close(parameter.grad, copied.grad, rtol=0, atol=1e-10)
        assert parameter.grad.any()
