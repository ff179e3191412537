"""The papers' constants, counted by hand and built on the meta device, where nothing is allocated."""

import pytest
import torch

from regard.contract import Seq2Seq, VocabularySizes
from regard.models import ARCHITECTURES, bahdanau2014, build_model, transformer2017

JOINT = VocabularySizes(37_000, 37_000, joint=True)  # Vaswani et al. 2017, section 5.1: about 37,000 shared tokens
WORDS = VocabularySizes(30_002, 30_002)  # Bahdanau et al. 2014, section 4.1: 30,000 words, UNK and EOS


def shapes_only(config: transformer2017.Config | bahdanau2014.Config, vocabularies: VocabularySizes) -> Seq2Seq:
    with torch.device("meta"):
        return build_model(config, vocabularies)


def count(model: Seq2Seq) -> int:
    assert all(parameter.is_meta for parameter in model.parameters())
    return sum(parameter.numel() for parameter in model.parameters())


def transformer_parameters(vocabulary: int, d: int, ff: int, layers: int) -> int:
    attention = 4 * (d * d + d)
    feed_forward = d * ff + ff + ff * d + d
    norm = 2 * d
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    return vocabulary * d + layers * (encoder_layer + decoder_layer)


def rnnsearch_parameters(vocabulary: int, n: int, m: int, n_alignment: int, maxout: int) -> int:
    """Appendix A.2's weights, and one bias for each sum."""
    direction = 3 * (n * m + n * n + n)
    encoder = vocabulary * m + 2 * direction
    alignment = n_alignment * n + n_alignment * 2 * n + n_alignment + n_alignment
    state = 3 * (n * m + n * n + n * 2 * n + n)
    output = 2 * maxout * (n + m + 2 * n + 1) + vocabulary * maxout + vocabulary
    return encoder + vocabulary * m + (n * n + n) + alignment + state + output


def test_transformer_base_is_table_3s() -> None:
    config = transformer2017.base()
    assert (config.encoder_layers, config.decoder_layers) == (6, 6)
    assert (config.hidden_size, config.ffn_size, config.num_heads, config.dropout) == (512, 2048, 8, 0.1)
    parameters = count(shapes_only(config, JOINT))
    assert parameters == transformer_parameters(37_000, 512, 2048, 6)
    assert parameters / 1e6 == pytest.approx(65, abs=2)  # the table says 65 x 10^6; 37,000 tokens make 63


def test_transformer_big_is_table_3s() -> None:
    config = transformer2017.big()
    assert (config.encoder_layers, config.decoder_layers) == (6, 6)
    assert (config.hidden_size, config.ffn_size, config.num_heads, config.dropout) == (1024, 4096, 16, 0.3)
    parameters = count(shapes_only(config, JOINT))
    assert parameters == transformer_parameters(37_000, 1024, 4096, 6)
    assert parameters / 1e6 == pytest.approx(213, abs=2)


def test_two_vocabularies_take_a_second_embedding_and_no_output_layer() -> None:
    apart = count(shapes_only(transformer2017.base(), VocabularySizes(30_000, 37_000)))
    assert apart == transformer_parameters(37_000, 512, 2048, 6) + 30_000 * 512


def test_rnnsearch_is_appendix_a23s() -> None:
    config = bahdanau2014.paper()
    assert (config.hidden_size, config.embedding_size, config.attention_size, config.maxout_size) == (
        1000,
        620,
        1000,
        500,
    )
    assert (config.init_std, config.dropout) == (0.01, 0.0)
    assert count(shapes_only(config, WORDS)) == rnnsearch_parameters(30_002, 1000, 620, 1000, 500)


def test_rnnsearch_begins_as_appendix_b1_says() -> None:
    torch.manual_seed(1)
    config = bahdanau2014.Config(hidden_size=128, embedding_size=96, attention_size=100, maxout_size=80)
    weights = dict(bahdanau2014.build(config, VocabularySizes(50, 60)).named_parameters())
    alignment = {"decoder.score.query.weight", "decoder.score.key.weight"}
    for name, weight in weights.items():
        if name.endswith("bias") or name == "decoder.score.score.weight":
            assert not weight.any(), name
        elif name.endswith(("gates.weight", "candidate.weight")):
            for matrix in weight.split(128):
                torch.testing.assert_close(matrix @ matrix.t(), torch.eye(128), rtol=0, atol=1e-5, msg=name)
        else:
            expected = 0.001 if name in alignment else 0.01
            assert weight.std().item() == pytest.approx(expected, rel=0.05), name
            assert abs(weight.mean().item()) < expected / 10, name


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_each_architecture_has_a_small_preset_of_a_few_million_weights(name: str) -> None:
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        model = architecture.build(architecture.presets["small"](), VocabularySizes(8000, 8000, joint=True))
    assert 1e6 < count(model) < 2e7
    assert all(preset().architecture == name for preset in architecture.presets.values())
