"""What every comparison needs: a tiny Transformer whose every weight matters."""

import torch

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import transformer2017

WIDTH, HIDDEN, HEADS, LAYERS, VOCABULARY = 16, 24, 4, 2, 13


def tiny_transformer(*, joint: bool, seed: int = 113) -> Seq2Seq:
    """In float64, positions too; without dropout; biases and norms far from where they start.

    The seed is one by which greedy search says something else of every source, and does not only repeat itself.
    """
    config = transformer2017.Config(
        encoder_layers=LAYERS + 1,
        decoder_layers=LAYERS,
        hidden_size=WIDTH,
        ffn_size=HIDDEN,
        num_heads=HEADS,
        dropout=0.0,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = transformer2017.build(config, VocabularySizes(VOCABULARY, VOCABULARY, joint=joint))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
    finally:
        torch.set_default_dtype(before)
    return model
