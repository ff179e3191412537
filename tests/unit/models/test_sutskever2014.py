"""The deep LSTMs' constants, their first weights, and the order in which a source is read."""

import pytest
import torch
from tests.doubles import as_batch

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import sutskever2014
from regard.special_tokens import EOS, PAD

WORDS = VocabularySizes(160_000, 80_000)  # section 3.4


def tiny(weight_bound: float = 0.5) -> Seq2Seq:
    torch.manual_seed(2)
    config = sutskever2014.Config(num_layers=2, hidden_size=4, embedding_size=3, init_bound=weight_bound)
    return sutskever2014.build(config, VocabularySizes(9, 8)).double()


def test_the_paper_preset_is_section_34s() -> None:
    config = sutskever2014.paper()
    assert (config.num_layers, config.hidden_size, config.embedding_size) == (4, 1000, 1000)
    assert (config.init_bound, config.dropout) == (0.08, 0.0)
    with torch.device("meta"):
        model = sutskever2014.build(config, WORDS)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    lstms = [p.numel() for name, p in model.named_parameters() if "stack" in name and p.ndim == 2]
    assert sum(lstms) == 64_000_000  # the paper: 64 M, half of them in either LSTM
    assert sum(p.numel() for p in matrices) == 384_000_000  # the paper: 384 M
    assert sum(p.numel() for p in vectors) == 8 * 2 * 4000 + 80_000


def test_every_weight_begins_uniform() -> None:
    torch.manual_seed(1)
    config = sutskever2014.Config(num_layers=2, hidden_size=50, embedding_size=40)
    model = sutskever2014.build(config, VocabularySizes(300, 200))
    for name, weight in model.named_parameters():
        real = weight[PAD + 1 :] if "embedding" in name else weight
        assert real.abs().max().item() <= 0.08, name
        assert real.std().item() == pytest.approx(0.08 / 3**0.5, rel=0.1), name
    for side in (model.encoder, model.decoder):
        assert isinstance(side, sutskever2014.ReversedEncoder | sutskever2014.StackDecoder)
        assert not side.embedding.weight[PAD].any()


def test_words_are_read_from_the_last_to_the_first_and_then_the_end_marker() -> None:
    model = tiny()
    assert isinstance(model.encoder, sutskever2014.ReversedEncoder)
    sources = [[4, 5, 6, EOS], [7, 8, EOS], [EOS]]
    read = [[6, 5, 4, EOS], [8, 7, EOS], [EOS]]
    outputs = model.encode(as_batch(sources)).keys
    for row, tokens in enumerate(read):
        alone, _ = model.encoder.stack(model.encoder.embedding(torch.tensor([tokens])))
        torch.testing.assert_close(outputs[row, : len(tokens)], alone[0])


def test_the_decoder_starts_from_every_layers_last_states() -> None:
    model = tiny()
    memory = model.encode(as_batch([[4, 5, EOS], [7, EOS]]))
    state = model.decoder.init_state(memory)
    assert [len(layer) for layer in state.layers] == [2, 2]
    torch.testing.assert_close(state.layers[1][0], memory.keys[torch.tensor([0, 1]), torch.tensor([2, 1])])
    assert len(memory.final) == 4
    assert [part for layer in state.layers for part in layer] == list(memory.final)
    for part in memory.final:
        assert part.abs().min() > 0
