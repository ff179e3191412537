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
    """Embeddings of 2d (one for padding), figure 3's blocks, their gains and biases, and the two layers after them."""
    block = (2 * 2 * d + 2 * d * d + d) + (2 * d + k * d * d + d) + (2 * d + d * 2 * d + 2 * d)
    return (source + 1 + target) * 2 * d + 2 * blocks * block + (2 * d * d + d) + (d * target + target)


def test_the_preset_is_the_papers() -> None:
    config = bytenet2016.paper()
    assert (config.encoder_layers, config.decoder_layers, config.hidden_size, config.kernel_size) == (30, 30, 800, 3)
    assert (config.unfold_factor, config.unfold_extra, config.dropout) == (1.2, 0, 0.0)
    assert config.pad_to_multiple == 50
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


@pytest.mark.parametrize(("length", "columns"), [(1, 60), (49, 60), (50, 60), (51, 120), (100, 120), (101, 180)])
def test_a_source_is_padded_to_the_next_multiple_and_then_unfolded(length: int, columns: int) -> None:
    """Section 6: the next multiple of 50, and another 20 percent."""
    mask = torch.arange(120) < torch.tensor([[length], [120]])
    unfolded = bytenet2016.unfold(mask, 1.2, 0, multiple=50)
    assert unfolded.sum(1).tolist() == [columns, 180]
    assert unfolded.shape == (2, 180)


def test_the_special_character_fills_the_columns_after_a_source() -> None:
    """It is learned, and the source's own columns depend on it, as on any other character."""
    torch.manual_seed(1)
    model = bytenet2016.build(TINY.model_copy(update={"pad_to_multiple": 4}), CHARACTERS).double()
    assert isinstance(model.encoder, ByteNetEncoder) and model.encoder.padding is not None
    memory = model.encode(as_batch([[5] * 5, [7]]))
    assert memory.mask.sum(1).tolist() == [10, 5]  # ceil(1.2 x 8) and ceil(1.2 x 4)
    memory.keys[0, 4].sum().backward()
    gradient = model.encoder.padding.grad
    assert gradient is not None and gradient.abs().min() > 0

    tokens = torch.tensor([[5, 5, 6, 6, 6, 6]])  # the special character written out, 1.2 x 5 columns
    with torch.no_grad():
        model.encoder.embedding.weight[6] = model.encoder.padding
        unpadded = bytenet2016.build(TINY.model_copy(update={"unfold_factor": 1.0}), CHARACTERS).double()
        unpadded.load_state_dict({k: v for k, v in model.state_dict().items() if k != "encoder.padding"})
        padded = bytenet2016.build(TINY.model_copy(update={"pad_to_multiple": 5}), CHARACTERS).double()
        padded.load_state_dict(model.state_dict())
        expected = unpadded.encode(as_batch(tokens.tolist())).keys
        torch.testing.assert_close(padded.encode(as_batch([[5, 5]])).keys, expected)


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
