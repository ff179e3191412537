"""The Transformer's first weights, of which the paper says nothing."""

import math

import pytest
import torch
from torch import nn

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import transformer2017

CONFIG = transformer2017.Config(encoder_layers=2, decoder_layers=3, hidden_size=64, ffn_size=160, num_heads=4)


def built(*, joint: bool) -> Seq2Seq:
    torch.manual_seed(1)
    return transformer2017.build(CONFIG, VocabularySizes(600, 600 if joint else 700, joint=joint))


def test_matrices_are_xavier_uniform_and_biases_zero() -> None:
    """Glorot and Bengio 2010, equation 16: U(-b, b) with b = sqrt(6 / (inputs + outputs))."""
    count = 0
    for name, module in built(joint=True).named_modules():
        if not isinstance(module, nn.Linear):
            continue
        bound = math.sqrt(6 / (module.in_features + module.out_features))
        weight = module.weight.detach()
        assert 0.99 * bound < weight.abs().max() <= bound, name
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03), name
        assert abs(weight.mean().item()) < 0.03 * bound, name
        assert module.bias is None or not module.bias.any(), name
        count += 1
    assert count == 2 * (3 + 2) + 3 * (3 + 3 + 2)  # queries, keys with values and outputs; the feed-forward's two


def test_norms_change_nothing_at_first() -> None:
    norms = [module for module in built(joint=True).modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 * 2 + 3 * 3
    assert all(norm.weight.eq(1).all() and not norm.bias.any() for norm in norms)


@pytest.mark.parametrize("joint", [True, False])
def test_embeddings_have_unit_variance_after_the_factor_of_the_root_of_d(joint: bool) -> None:
    model = built(joint=joint)
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]  # a shared one once
    assert [len(table.weight) for table in tables] == ([600] if joint else [600, 700])
    for table in tables:
        words = table.weight.detach()[1:]
        assert (math.sqrt(64) * words).std().item() == pytest.approx(1, rel=0.02)
        assert abs(words.mean().item()) < 0.01
        assert not table.weight[0].any()  # PAD
    assert model.decoder.get_submodule("embedding.table").weight is tables[-1].weight
