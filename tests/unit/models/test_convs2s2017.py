"""ConvS2S's constants, weights, layers in recipes, positions and the scale of the encoder's gradient."""

from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regard.config.recipe import parse_config, read_config, to_table, to_toml
from regard.config.schema import RunConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import ConfigError
from regard.models import ARCHITECTURES, convs2s2017
from regard.models.convs2s2017 import ConvS2SEncoder
from regard.nn.convolution import WeightNormLinear

BPE = VocabularySizes(40_000, 41_000)
TINY = convs2s2017.Config(
    embedding_size=6,
    encoder_convolutions=((8, 3), (4, 1)),
    decoder_convolutions=((8, 2), (10, 3), (10, 1)),
    dropout=0.0,
)


def normalised(inputs: int, outputs: int) -> int:
    """A matrix, the lengths of its rows, and a bias."""
    return inputs * outputs + 2 * outputs


def stack(layers: list[tuple[int, int]], f: int, *, attention: bool) -> int:
    """Linear maps in and out, gated convolutions, residuals where widths change, two maps an attention."""
    total, before = normalised(f, layers[0][0]) + normalised(layers[-1][0], f), layers[0][0]
    for width, kernel in layers:
        total += normalised(kernel * before, 2 * width)
        total += normalised(before, width) if before != width else 0
        total += normalised(width, f) + normalised(f, width) if attention else 0
        before = width
    return total


def parameters(vocabularies: VocabularySizes, layers: list[tuple[int, int]], f: int, positions: int) -> int:
    embeddings = (vocabularies.source + vocabularies.target + 2 * positions) * f
    network = stack(layers, f, attention=False) + stack(layers, f, attention=True)
    return embeddings + network + normalised(f, vocabularies.target)


def test_the_preset_is_the_papers() -> None:
    """Section 5.1: 512 units in ten layers and 768 in three, of kernel 3, and 2048 in two of a single input."""
    config = convs2s2017.paper()
    layers = [(512, 3)] * 10 + [(768, 3)] * 3 + [(2048, 1)] * 2
    assert list(config.encoder_convolutions) == list(config.decoder_convolutions) == layers
    assert len(layers) == 15
    assert config.embedding_size == 512
    with torch.device("meta"):
        model = convs2s2017.build(config, BPE)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters(
        BPE, layers, 512, config.max_positions
    )


def test_weights_begin_as_section_35_says() -> None:
    torch.manual_seed(1)
    config = convs2s2017.Config(
        embedding_size=128,
        encoder_convolutions=((96, 3), (160, 1)),
        decoder_convolutions=((96, 3), (160, 2)),
        dropout=0.3,
    )
    model = convs2s2017.build(config, VocabularySizes(500, 600))
    count = 0
    for name, module in model.named_modules():
        if isinstance(module, WeightNormLinear):
            gain = 4 * 0.7 if "convolution" in name else 0.7 if name.endswith(("enter", "decoder.output")) else 1
            inputs = module.direction.size(1)
            assert module.weight().std().item() == pytest.approx(sqrt(gain / inputs), rel=0.05), name
            torch.testing.assert_close(module.weight(), module.direction)
            assert not module.bias.any(), name
            count += 1
        elif isinstance(module, nn.Embedding):
            assert module.weight[1:].std().item() == pytest.approx(0.1, rel=0.05), name
            assert module.weight[0].any() == name.endswith("positions")
    assert count == 15


def gradients(model: Seq2Seq, scale: float) -> dict[str, Tensor]:
    assert isinstance(model.encoder, ConvS2SEncoder)
    model.encoder.gradient_scale = scale
    model.zero_grad()
    model(torch.tensor([[4, 5, 6, 2]]), torch.tensor([[1, 4, 5]])).log_softmax(-1)[..., 4].sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_the_encoders_gradient_is_divided_by_twice_the_attentions_but_not_the_embeddings_own() -> None:
    torch.manual_seed(1)
    model = convs2s2017.build(TINY, VocabularySizes(9, 8)).double()
    assert isinstance(model.encoder, ConvS2SEncoder)
    assert model.encoder.gradient_scale == 1 / 6  # three layers attend
    none, full, scaled = gradients(model, 0.0), gradients(model, 1.0), gradients(model, 1 / 6)
    for name in full:
        torch.testing.assert_close(scaled[name] - none[name], (full[name] - none[name]) / 6, msg=name)
        alone = not name.startswith("encoder") or "embedding" in name
        assert none[name].any() == alone, name
        assert full[name].equal(none[name]) == name.startswith("decoder"), name


def test_layers_without_attention_have_no_weights_for_it_and_do_not_count() -> None:
    model = convs2s2017.build(TINY.model_copy(update={"attention_layers": (2,)}), VocabularySizes(9, 8))
    assert isinstance(model.encoder, ConvS2SEncoder)
    assert model.encoder.gradient_scale == 1 / 2
    attending = {name.split(".")[2] for name, _ in model.named_parameters() if ".attention." in name}
    assert attending == {"1"}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("[4]", "has layer 4, but the decoder has 3"),
        ("[]", "such as [1, 3]"),
        ("[0]", "such as [1, 3]"),
        ("[2, 1]", "ascending order"),
        ("[1, 1]", "ascending order"),
        ('"first"', "such as [1, 3]"),
        ("[1.0]", "such as [1, 3]"),
    ],
)
def test_layers_that_attend_are_numbers_of_decoder_layers(tmp_path: Path, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(tmp_path, 'preset = "small"', f"attention_layers = {value}")
    assert problem in caught.value.message and "model" in caught.value.message


def test_layers_that_attend_come_back_from_a_recipe(tmp_path: Path) -> None:
    config = recipe(tmp_path, 'preset = "small"', "attention_layers = [1]", 'equations = "fairseq"')
    path = tmp_path / "again.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert read_config(path, ARCHITECTURES) == config
    assert config.model.model_dump()["attention_layers"] == (1,)


def test_positions_beyond_the_last_are_read_as_the_last() -> None:
    torch.manual_seed(1)
    embedding = convs2s2017.PositionalEmbedding(convs2s2017.Config(embedding_size=4, max_positions=3, dropout=0.0), 9)
    embedded = embedding(torch.tensor([[5, 5, 5, 5, 5]]))[0]
    assert embedded[2].equal(embedded[3])
    assert embedded[2].equal(embedded[4])
    assert not embedded[1].equal(embedded[2])
    torch.testing.assert_close(embedding(torch.tensor([[5]]), start=1)[0, 0], embedded[1])
    torch.testing.assert_close(embedding(torch.tensor([[5]]), start=4)[0, 0], embedded[2])


def recipe(tmp_path: Path, *lines: str) -> RunConfig:
    path = tmp_path / "some.toml"
    table = ['[data]\ncorpus = "dates"', '[model]\narchitecture = "convs2s2017"', *lines]
    path.write_text("\n".join(table), encoding="utf-8")
    return read_config(path, ARCHITECTURES)


def test_layers_are_lists_in_a_recipe_and_come_back_from_it(tmp_path: Path) -> None:
    config = recipe(tmp_path, 'preset = "small"', "encoder_convolutions = [[64, 3], [128, 1]]")
    assert config.model == convs2s2017.small().model_copy(update={"encoder_convolutions": ((64, 3), (128, 1))})
    assert parse_config(to_table(config), ARCHITECTURES, where="here") == config
    again = tmp_path / "again.toml"
    again.write_text(to_toml(config), encoding="utf-8")
    assert read_config(again, ARCHITECTURES) == config


@pytest.mark.parametrize(
    "value", ["3", "[]", "[3]", "[[64]]", "[[64, 3, 1]]", "[[64, 3.0]]", '[["64", 3]]', "[[0, 3]]"]
)
@pytest.mark.parametrize("side", ["encoder_convolutions", "decoder_convolutions"])
def test_what_is_no_list_of_layers_is_refused_by_its_key(tmp_path: Path, side: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe(tmp_path, f"{side} = {value}")
    assert caught.value.message.startswith(f"`model.{side}`: ")
