"""The RNN Encoder-Decoder's constants, its first weights, and what is special to it."""

import pytest
import torch
from tests.doubles import as_batch

from regard.contract import VocabularySizes
from regard.models import cho2014
from regard.special_tokens import BOS, PAD

WORDS = VocabularySizes(15_002, 15_002)  # section 4.1: 15,000 words, UNK and the end marker


def parameters_by_hand(vocabulary: int, n: int, m: int, maxout: int) -> int:
    """The appendix's weights with section 4.1.1's rank m, and one bias for each sum."""
    encoder = vocabulary * m + 3 * (n * m + n * n + n) + (n * n + n)
    state = vocabulary * m + (n * n + n) + 3 * (n * m + n * n + n * n + n)
    output = 2 * maxout * (n + m + n + 1) + m * maxout + vocabulary * m + vocabulary
    return encoder + state + output


def test_the_paper_preset_is_section_411s() -> None:
    config = cho2014.paper()
    assert (config.hidden_size, config.embedding_size, config.maxout_size) == (1000, 100, 500)
    assert (config.init_std, config.dropout) == (0.01, 0.0)
    with torch.device("meta"):
        model = cho2014.build(config, WORDS)
    assert sum(p.numel() for p in model.parameters()) == parameters_by_hand(15_002, 1000, 100, 500)


def test_it_begins_as_section_411_says() -> None:
    torch.manual_seed(1)
    config = cho2014.Config(hidden_size=128, embedding_size=96, maxout_size=80)
    recurrent = {"encoder.unit.gates.weight": 2, "encoder.unit.candidate.weight": 1, "decoder.unit.recurrent.weight": 3}
    for name, weight in cho2014.build(config, VocabularySizes(50, 60)).named_parameters():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif name in recurrent:
            matrices = weight.split(128)
            assert len(matrices) == recurrent[name]
            for matrix in matrices:
                torch.testing.assert_close(matrix @ matrix.t(), torch.eye(128), rtol=0, atol=1e-5, msg=name)
        else:
            assert weight.std().item() == pytest.approx(0.01, rel=0.05), name
            assert abs(weight.mean().item()) < 0.001, name


def test_the_embeddings_of_padding_begin_at_zero() -> None:
    model = cho2014.build(cho2014.Config(hidden_size=4, embedding_size=3, maxout_size=2), VocabularySizes(9, 8))
    for side in (model.encoder, model.decoder):
        assert isinstance(side, cho2014.SummaryEncoder | cho2014.SummaryDecoder)
        assert not side.embedding.weight[PAD].any()


def test_the_word_before_the_first_is_zero() -> None:
    torch.manual_seed(2)
    model = cho2014.build(
        cho2014.Config(hidden_size=4, embedding_size=3, maxout_size=2, init_std=0.5), VocabularySizes(9, 8)
    )
    assert isinstance(model.decoder, cho2014.SummaryDecoder)
    source, target = as_batch([[4, 5, 2], [6, 2]]), torch.tensor([[BOS, 4], [BOS, 5]])
    before = model(source, target)
    with torch.no_grad():
        model.decoder.embedding.weight[BOS] += 1
    assert torch.equal(model(source, target), before)
    with torch.no_grad():
        model.decoder.embedding.weight[4] += 1
    assert not torch.equal(model(source, target)[0, 1], before[0, 1])
