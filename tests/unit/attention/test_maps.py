from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.doubles import tiny_model

from regard.attention.maps import TokenizedText, compute_attention_maps
from regard.config.schema import SearchConfig, TokenizerConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import DecodingError
from regard.inference.translator import Translator
from regard.models import ARCHITECTURES
from regard.special_tokens import EOS
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.simple import CharacterTokenizer
from regard.tokenizers.words import unit_indices

TEXT = ["one two three", "ein kleiner Satz", "three and a half"]
SOURCE = "a half one"
TARGET = "ein Satz"


def tokenizers() -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind="character"), zip(TEXT, reversed(TEXT), strict=True))


def translator(model: Seq2Seq | None = None, name: str = "modern", **sizes: int) -> Translator:
    own = tokenizers()
    if model is None:
        architecture = ARCHITECTURES[name]
        config = architecture.presets["tiny" if name in ("modern", "transformer2017") else "small"]()
        config = config.model_copy(update=sizes)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = architecture.build(config, VocabularySizes(own.source.size, own.target.size, joint=own.joint))
    return Translator(model, own, SearchConfig())


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_has_maps(name: str) -> None:
    ours = translator(name=name)
    maps = compute_attention_maps(ours, SOURCE, ours.tokenizers.target.encode(TARGET))
    assert maps.is_saliency == (not ours.model.decoder.has_attention)
    assert maps.source.words == ("a", "half", "one", "</s>")
    assert maps.target.words == ("ein", "Satz", "</s>")
    assert maps.mean.shape == (len(TARGET) + 1, len(SOURCE) + 1)
    np.testing.assert_allclose(maps.mean.sum(1), 1, atol=1e-5)
    folded = maps.fold_to_words(maps.mean)
    assert folded.shape == (3, 4)
    np.testing.assert_allclose(folded.sum(1), 1, atol=1e-5)


def test_every_layer_and_head_is_available() -> None:
    ours = translator()
    maps = compute_attention_maps(ours, SOURCE, ours.tokenizers.target.encode(TARGET))
    source, target = len(SOURCE) + 1, len(TARGET) + 1
    shapes = {"source": (4, target, source), "encoder": (4, source, source), "decoder": (4, target, target)}
    assert {kind: {layer.shape for layer in layers} for kind, layers in maps.layers.items()} == {
        kind: {shape} for kind, shape in shapes.items()
    }
    np.testing.assert_allclose(maps.weights("source"), np.mean([layer.mean(0) for layer in maps.layers["source"]], 0))
    assert (maps.weights("encoder", 2, 3) == maps.layers["encoder"][1][2]).all()
    assert maps.columns("decoder").tokens == ("<s>", *TARGET.replace(" ", "▁"))
    assert maps.columns("decoder").words == ("<s>", "ein", "Satz")
    assert (np.triu(maps.weights("decoder"), 1) == 0).all()
    assert maps.fold_to_words(maps.weights("decoder"), "decoder")[0, 2] == 0
    for wrong in (("source", 5, None), ("source", 1, 5), ("decoder", 0, 1)):
        with pytest.raises(DecodingError):
            maps.weights(*wrong)


def test_a_model_with_one_attention_has_no_other() -> None:
    ours = translator(tiny_model(source=tokenizers().source.size, target=tokenizers().target.size).float())
    maps = compute_attention_maps(ours, SOURCE, [5, 6])
    assert set(maps.layers) == {"source"}
    assert (maps.weights("source", 1, 1) == maps.mean).all()
    with pytest.raises(DecodingError, match="no attention of the kind `encoder`"):
        maps.weights("encoder")


def test_saliency_is_the_norm_of_each_gradient() -> None:
    ours = translator(name="cho2014", hidden_size=24, embedding_size=12, maxout_size=12)
    target = ours.tokenizers.target.encode(TARGET)
    maps = compute_attention_maps(ours, SOURCE, target)
    model, table = ours.model, ours.model.encoder.embedding
    assert isinstance(table, torch.nn.Embedding)
    source = torch.tensor([[*ours.tokenizers.source.encode(SOURCE), EOS]])
    place, token, width = 2, target[2], 1e-2
    lengths = []
    for position in range(source.size(1)):
        slopes = []
        for change in torch.eye(table.embedding_dim):
            scores = []
            for sign in (1, -1):
                step = torch.zeros(1, source.size(1), len(change)).index_fill(1, torch.tensor([position]), sign * width)
                hook = table.register_forward_hook(lambda _, inputs, out, step=step * change: out + step)
                with torch.no_grad():
                    logits = model(source, torch.tensor([[1, *target]])).double()
                hook.remove()
                scores.append(float(logits[0, place].log_softmax(-1)[token]))
            slopes.append((scores[0] - scores[1]) / (2 * width))
        lengths.append(math.hypot(*slopes))
    np.testing.assert_allclose(maps.mean[place], np.array(lengths) / sum(lengths), rtol=0.05, atol=2e-3)


def test_tokens_belong_to_words() -> None:
    side = TokenizedText(("a", "b", "c", "</s>"), (0, 0, 1, 2), ("ab", "c", "</s>"))
    assert side.membership().tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_each_token_is_a_word_in_text_without_spaces() -> None:
    tokenizer = CharacterTokenizer.train(["猫が 好き a b", "cd ef"], 100)
    assert unit_indices(tokenizer, tokenizer.encode("猫が ef")) == [0, 1, 1, 2, 2]
    assert unit_indices(tokenizer, tokenizer.encode("cd")) == [0, 1]


def test_an_empty_source_is_rejected() -> None:
    with pytest.raises(DecodingError, match="no source"):
        compute_attention_maps(translator(), " ", [5])
