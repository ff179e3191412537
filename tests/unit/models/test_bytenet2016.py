"""ByteNet's constants, weights and unfolding."""

from fractions import Fraction
from math import ceil

import pytest
import torch
from tests.doubles import as_batch
from torch import nn

from regard.contract import VocabularySizes
from regard.models import bytenet2016
from regard.models.bytenet2016 import ByteNetDecoder, ByteNetEncoder

CHARACTERS = VocabularySizes(300, 320)
TINY = bytenet2016.Config(encoder_layers=3, decoder_layers=2, hidden_size=6, num_dilations=2)


def parameters(source: int, target: int, blocks: int, d: int, k: int) -> int:
    """Embeddings of 2d, figure 3's blocks with their gains and biases, and the two layers after them."""
    block = (2 * 2 * d + 2 * d * d + d) + (2 * d + k * d * d + d) + (2 * d + d * 2 * d + 2 * d)
    return (source + target) * 2 * d + 2 * blocks * block + (2 * d * d + d) + (d * target + target)


def test_the_preset_is_the_papers() -> None:
    config = bytenet2016.paper()
    assert (config.encoder_layers, config.decoder_layers, config.hidden_size, config.kernel_size) == (30, 30, 800, 3)
    assert (config.unfold_factor, config.unfold_extra, config.dropout) == (1.2, 0, 0.0)
    with torch.device("meta"):
        model = bytenet2016.build(config, CHARACTERS)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters(300, 320, 30, 800, 3)
    for side in (model.encoder, model.decoder):
        assert isinstance(side, (ByteNetEncoder, ByteNetDecoder))
        dilations = [block.get_submodule("convolution").dilation for block in side.blocks]
        assert dilations == [1, 2, 4, 8, 16] * 6


def test_a_kernel_has_a_centre() -> None:
    with pytest.raises(ValueError, match="a kernel of 4 positions has no centre"):
        bytenet2016.Config(kernel_size=4)


def test_weights_begin_as_build_says() -> None:
    torch.manual_seed(1)
    config = bytenet2016.Config(encoder_layers=2, decoder_layers=3, hidden_size=64)
    model = bytenet2016.build(config, VocabularySizes(500, 600))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            blocks = {"encoder": 2, "decoder": 3}[name.split(".")[0]] if name.endswith("widen") else 1
            gain = 2 / blocks if "blocks" in name else 1
            assert module.weight.std().item() == pytest.approx((gain / module.in_features) ** 0.5, rel=0.05), name
            assert not module.bias.any(), name
        elif isinstance(module, nn.Embedding):
            assert module.weight[1:].std().item() == pytest.approx(1, rel=0.05)
            assert not module.weight[0].any()


@pytest.mark.parametrize(("factor", "extra"), [(1.2, 0), (1.1, 0), (1.0, 3), (1.5, 1)])
def test_a_source_is_unfolded_to_its_own_length(factor: float, extra: int) -> None:
    lengths = [10, 1, 7, 5]
    mask = torch.arange(12) < torch.tensor(lengths)[:, None]
    unfolded = bytenet2016.unfold(mask, factor, extra)
    per_ten = round(10 * factor)
    assert unfolded.sum(1).tolist() == [ceil(per_ten * length / 10) + extra for length in lengths]
    assert unfolded.long().diff(dim=1).le(0).all()


@pytest.mark.parametrize("factor", ["1.1", "1.15", "1.2", "1.37", "1.4", "2.0"])
@pytest.mark.parametrize("extra", [0, 3])
def test_every_length_is_unfolded_by_the_factor_as_it_is_written(factor: str, extra: int) -> None:
    """1.1 x 50 is 55.000000000000007 in floating point, of which the ceiling is 56."""
    lengths = range(1, 401)
    mask = torch.arange(400) < torch.tensor(lengths)[:, None]
    unfolded = bytenet2016.unfold(mask, float(factor), extra)
    assert unfolded.sum(1).tolist() == [ceil(Fraction(factor) * length) + extra for length in lengths]


def test_columns_end_with_the_unfolded_source() -> None:
    torch.manual_seed(1)
    memory = bytenet2016.build(TINY, CHARACTERS).encode(as_batch([[5] * 10, [7], [6] * 5]))
    assert memory.mask.sum(1).tolist() == [12, 2, 6]
    assert memory.keys.shape == (3, 12, 12)
    assert memory.keys[~memory.mask].eq(0).all()
    assert memory.keys[memory.mask].abs().amax(1).gt(0).all()


def test_the_source_is_not_seen_beyond_the_reach_of_its_columns() -> None:
    """One decoder block of kernel 3 and dilation 1, nine positions after the last of two columns."""
    torch.manual_seed(1)
    model = bytenet2016.build(bytenet2016.Config(encoder_layers=1, decoder_layers=1, hidden_size=6), CHARACTERS)
    target = torch.tensor([[1, 4, 5, 6, 7, 8, 9]]).expand(2, -1)
    first, second = model(torch.tensor([[5], [9]]), target)
    differs = (first - second).abs().amax(1).gt(1e-6)
    assert differs.tolist() == [True, True, True, True, False, False, False]
