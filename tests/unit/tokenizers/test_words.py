from __future__ import annotations

import numpy as np
import pytest

from regard.config.schema import TokenizerConfig
from regard.corpus.tagged import add_tags
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.words import WordMap, token_ends


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind="character"), [("ab c", "de f")]).with_tags(["de", "fr"])


def of(tokenizers: Tokenizers, source: str, target: str) -> WordMap:
    return WordMap.from_ids(tokenizers, tokenizers.source.encode(source), tokenizers.target.encode(target))


def test_attention_is_summed_over_the_tokens_of_a_word(tokenizers: Tokenizers) -> None:
    words = of(tokenizers, "ab c", "de f")  # a space belongs to the word before it
    weights = np.zeros((5, 5))
    weights[0] = [0.3, 0.3, 0.0, 0.4, 0.0]  # ab 0.6, c 0.4
    weights[3] = [0.0, 0.1, 0.0, 0.4, 0.5]  # EOS is not a word
    assert words.link_words(weights) == ((0, 0), (1, 1))


def test_tags_are_not_words_of_the_source(tokenizers: Tokenizers) -> None:
    words = of(tokenizers, add_tags("ab c", ["de", "fr"]), "d")
    assert words.tags == 2
    weights = np.array([[0.4, 0.3, 0.1, 0.0, 0.0, 0.2]])  # what a tag gets is not the first word's
    assert words.link_words(weights) == ((1, 0),)


@pytest.mark.parametrize(("source", "target"), [("", "d"), ("ab", ""), (add_tags("", ["de"]), "d")])
def test_without_words_there_are_no_links(tokenizers: Tokenizers, source: str, target: str) -> None:
    assert of(tokenizers, source, target).link_words(np.ones((4, 4))) == ()


@pytest.mark.parametrize("kind", ["unigram", "bpe", "character", "word", "byte"])
def test_tokens_end_where_the_text_decoded_so_far_does(kind: str) -> None:
    texts = ["ein Hund rennt", "ein  Haus, né", "日本 Hund", "x"]
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 278})
    tokenizer = train_tokenizers(config, [(text, text) for text in texts * 3]).target
    for text in [*texts, "ein 😀 Hund", "né Ünd"]:
        ids = tokenizer.encode(text)
        decoded = tokenizer.decode(ids)
        ends = token_ends(tokenizer, ids, decoded).tolist()
        assert ends == sorted(ends)
        assert ends[-1] == len(decoded)
        for place, end in enumerate(ends):
            prefix = tokenizer.decode(ids[: place + 1])
            assert end == len(prefix) or "\ufffd" in prefix or decoded[:end].strip() == prefix.strip()
