"""Tags before a source."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.config.schema import TokenizerConfig
from regard.corpus.tagged import add_tags, split_tags
from regard.errors import ConfigError
from regard.special_tokens import EOS
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.extend import extend_tokenizer
from regard.tokenizers.tagged import TaggedTokenizer

PAIRS = [("a house <de>", "a house <de>"), ("<fr> a tree", "<fr> a tree")]


@given(text=st.text(), tags=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)))
def test_tags_are_split_off_as_they_were_added(text: str, tags: list[str]) -> None:
    before, rest = split_tags(text)
    assert split_tags(add_tags(rest, tags)) == (tags, rest)
    assert add_tags(rest, before) == text


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("kind", ["unigram", "character", "word", "byte"])
def test_a_tag_is_one_token_that_no_text_encodes_to(kind: str, joint: bool, tmp_path: Path) -> None:
    config = TokenizerConfig.model_validate({"kind": kind, "joint": joint, "vocabulary_size": 275})
    plain = train_tokenizers(config, PAIRS * 9)
    plain.with_tags(["de", "fr"]).save(tmp_path)
    texts = Tokenizers.load(tmp_path)
    assert isinstance(texts.source, TaggedTokenizer)
    assert (texts.target is texts.source) == joint
    ids = plain.source.encode("<de> a house")
    size = plain.source.size
    assert texts.source.encode("<de> a house") == ids
    assert texts.source.encode(add_tags("<de> a house", ["fr", "de"])) == [size + 1, size, *ids]
    assert texts.source.size == size + 2
    assert texts.source.pieces([size, *ids, EOS]) == ["<de>", *plain.source.pieces([*ids, EOS])]
    assert texts.source.decode([size, *ids]) == plain.source.decode(ids)


def test_an_unknown_tag_is_an_error() -> None:
    config = TokenizerConfig(kind="character")
    tokenizers = train_tokenizers(config, PAIRS).with_tags(["de", "fr"])
    with pytest.raises(ConfigError, match=r"no tag 'it'.*\n.*choose one of de, fr"):
        tokenizers.source.encode(add_tags("a", ["it"]))


def test_tags_can_be_put_before_every_source() -> None:
    plain = train_tokenizers(TokenizerConfig(kind="character"), PAIRS)
    tokenizers = plain.with_tags(["de", "fr"])
    size = plain.source.size
    assert tokenizers.prepend_tags(["fr"]).source.encode("a") == [size + 1, *plain.source.encode("a")]
    assert tokenizers.prepend_tags(["fr"]).target.encode("a") == plain.target.encode("a")
    with pytest.raises(ConfigError, match="no tag 'it'"):
        tokenizers.prepend_tags(["it"])
    with pytest.raises(ConfigError, match="trained without tags"):
        plain.prepend_tags(["de"])


def test_a_vocabulary_with_tags_cannot_be_extended() -> None:
    tokenizers = train_tokenizers(TokenizerConfig(kind="character"), PAIRS).with_tags(["de"])
    with pytest.raises(ConfigError, match="cannot be extended: its last ids are those of tags"):
        extend_tokenizer(tokenizers.source, ["a"], 3)
