"""What every comparison needs: a tiny Transformer whose every weight matters."""

import torch

from regard.contract import Seq2Seq, Vocabularies
from regard.models import transformer2017

WIDTH, HIDDEN, HEADS, LAYERS, VOCABULARY = 16, 24, 4, 2, 13


def tiny_transformer(*, joint: bool) -> Seq2Seq:
    """In float64, without dropout, biases and norms far from where they start; EOS never beats all else at once."""
    config = transformer2017.Config(
        encoder_layers=LAYERS + 1, decoder_layers=LAYERS, d_model=WIDTH, ff=HIDDEN, heads=HEADS, dropout=0.0
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = transformer2017.build(config, Vocabularies(VOCABULARY, VOCABULARY, joint=joint)).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model
