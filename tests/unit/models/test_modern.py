"""modern's presets against transformer2017's of the same names, its options, and its first weights."""

import math

import pytest
import torch

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import build_model, modern, transformer2017
from regard.nn.ssru import SSRU

JOINT = VocabularySizes(5000, 5000, joint=True)


def count(config: modern.Config | transformer2017.Config, vocabularies: VocabularySizes = JOINT) -> int:
    with torch.device("meta"):
        model: Seq2Seq = build_model(config, vocabularies)
    assert all(parameter.is_meta for parameter in model.parameters())
    return sum(parameter.numel() for parameter in model.parameters())


def parameters(config: modern.Config, vocabulary: int) -> int:
    """By hand."""
    d = config.hidden_size
    keys_values = 2 * d * (d // config.num_heads) * (config.num_kv_heads or config.num_heads)
    attention = d * d + keys_values + d * d
    feed_forward = 3 * d * config.ffn_size
    ssru = d * d + d * d + d
    encoder_layer = attention + feed_forward + 2 * d
    decoder_layer = (ssru if config.decoder == "ssru" else attention) + attention + feed_forward + 3 * d
    last_norms = 2 * d
    layers = config.encoder_layers * encoder_layer + config.decoder_layers * decoder_layer
    return vocabulary * d + layers + last_norms


@pytest.mark.parametrize("name", sorted(modern.PRESETS))
def test_a_preset_has_the_weights_that_are_counted_by_hand(name: str) -> None:
    config = modern.PRESETS[name]()
    assert count(config) == parameters(config, 5000)


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_a_preset_is_as_wide_deep_and_large_as_the_transformers(name: str) -> None:
    config, transformer = modern.PRESETS[name](), transformer2017.PRESETS[name]()
    for size in ("encoder_layers", "decoder_layers", "hidden_size", "num_heads", "dropout"):
        assert getattr(config, size) == getattr(transformer, size), size
    embeddings = 5000 * config.hidden_size
    assert count(config) - embeddings == pytest.approx(count(transformer) - embeddings, rel=0.03)


def test_fast_is_as_large_as_tiny_with_a_deep_encoder_and_a_shallow_recurrent_decoder() -> None:
    fast, embeddings = modern.fast(), 5000 * modern.tiny().hidden_size
    assert count(fast) - embeddings == pytest.approx(count(modern.tiny()) - embeddings, rel=0.03)
    assert fast.encoder_layers >= 4 * fast.decoder_layers
    assert fast.decoder == "ssru"


def test_embeddings_are_shared_as_far_as_vocabularies_are() -> None:
    config = modern.tiny()
    assert count(config, VocabularySizes(3000, 5000)) == count(config) + 3000 * config.hidden_size


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ({"num_heads": 3}, "num_heads"),
        ({"hidden_size": 24, "num_heads": 8}, "num_heads"),
        ({"num_heads": 4, "num_kv_heads": 3}, "num_kv_heads"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(sizes: dict[str, int], names: str) -> None:
    with pytest.raises(ValueError, match=rf"{names} \(\d\) must divide"):
        modern.Config(**sizes)  # type: ignore[arg-type]


def test_a_decoder_of_ssrus_has_no_self_attention_and_a_state_that_does_not_grow() -> None:
    config = modern.Config(hidden_size=16, ffn_size=8, num_heads=2, encoder_layers=1, decoder_layers=2, decoder="ssru")
    decoder = modern.build(config, VocabularySizes(9, 9)).eval().decoder
    assert sum(isinstance(module, SSRU) for module in decoder.modules()) == 2
    assert not any(isinstance(module, modern.SelfAttention) for module in decoder.modules())
    memory = modern.build(config, VocabularySizes(9, 9)).eval().encode(torch.tensor([[4, 5, 2], [6, 2, 0]]))
    state = decoder.init_state(memory)
    for token in ([1, 1], [4, 7], [5, 5]):
        state = decoder.advance(torch.tensor(token), state).state
        assert [tuple(layer.hidden.shape) for layer in state.layers] == [(2, 16), (2, 16)]
    assert state.length == 3


def test_keys_and_values_have_the_heads_that_they_are_given() -> None:
    config = modern.Config(hidden_size=16, ffn_size=8, num_heads=4, num_kv_heads=2, encoder_layers=1, decoder_layers=1)
    model = modern.build(config, VocabularySizes(9, 9)).eval()
    state = model.decoder.init_state(model.encode(torch.tensor([[4, 5, 2]])))
    state = model.decoder.advance(torch.tensor([1]), state).state
    (cache,), (source,) = state.layers, state.source.layers
    assert cache.keys.shape == cache.values.shape == (1, 1, 2, 4)
    assert source.keys.shape == source.values.shape == (1, 3, 2, 4)


def test_weights_begin_by_their_inputs_and_those_back_into_the_residual_stream_by_the_depth() -> None:
    torch.manual_seed(1)
    config = modern.Config(
        hidden_size=128, ffn_size=96, num_heads=4, encoder_layers=3, decoder_layers=2, decoder="ssru"
    )
    weights = dict(modern.build(config, VocabularySizes(500, 600)).named_parameters())
    for name, weight in weights.items():
        if weight.ndim == 1:
            assert weight.eq(0 if name.endswith("forget.bias") else 1).all(), name
            continue
        inputs = 128 if "embedding" in name else weight.shape[1]
        sublayers = 1
        if name.endswith("output.weight"):
            sublayers = 2 * 3 if name.startswith("encoder") else 3 * 2
        assert weight.std().item() == pytest.approx((inputs * sublayers) ** -0.5, rel=0.05), name
        assert abs(weight.mean().item()) < 0.02 / math.sqrt(sublayers), name
    assert sum(name.endswith("output.weight") for name in weights) == 3 * 2 + 2 * 2
    for side in ("encoder", "decoder"):
        table = weights[f"{side}.embedding.table.weight"]
        assert table[0].eq(0).all()
        assert table[1:].ne(0).all()
