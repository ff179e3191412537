"""The words after a prefix, against the probabilities that the model gives to each spelling."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from tests.laws.cases import CASES

from regard.config.schema import SearchConfig, TokenizerConfig
from regard.errors import DecodingError
from regard.inference.next_words import next_words
from regard.inference.translation import Constraints
from regard.inference.translator import Translator
from regard.special_tokens import BOS, EOS, UNK
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.words import TokenKind, encode_prefix, token_kinds

TOKENIZER = CharacterTokenizer.train(["ab ba, aa bb"], 8)  # a, b, space and comma
SOURCE = "ab ba"
SPACE, COMMA = TOKENIZER.encode(" ,")


def make_translator(name: str) -> Translator:
    model = CASES[name].model(TOKENIZER.size)
    return Translator(model, Tokenizers(TOKENIZER, TOKENIZER, joint=False), SearchConfig(beam_size=3))


def next_probabilities(translator: Translator, target: list[int]) -> list[float]:
    """Return the probability of each token after a target."""
    source = torch.tensor([[*TOKENIZER.encode(SOURCE), EOS]])
    logits = translator.model(source, torch.tensor([[BOS, *target]]))[0, -1]
    return [float(value) for value in logits.softmax(0)]


def probability(translator: Translator, before: list[int], text: str) -> float:
    """Return the probability that a new word follows and has this text."""
    ends = [EOS, SPACE, COMMA]
    first = next_probabilities(translator, before)
    if not text:
        return first[EOS] / sum(first[token] for token in ends)
    total = 0.0
    for spelling in [TOKENIZER.encode(f" {text}"), *([TOKENIZER.encode(text)] if text[0] == "," else [])]:
        share = 1 / sum(first[token] for token in ends)
        for position, token in enumerate(spelling):
            share *= next_probabilities(translator, [*before, *spelling[:position]])[token]
        after = next_probabilities(translator, [*before, *spelling])
        total += share * sum(after[token] for token in ends)
    return total


@pytest.mark.parametrize("name", [name for name in CASES if "/" not in name])
def test_probabilities_of_words_are_those_of_the_model(name: str) -> None:
    translator = make_translator(name)
    before = TOKENIZER.encode("ab")
    words = next_words(translator, SOURCE, "ab ", 5)
    for word in words:
        assert word.probability == pytest.approx(probability(translator, before, word.text), rel=1e-4, abs=1e-6)
        assert word.prefix in (f"ab {word.text}".strip(), f"ab{word.text}")
    short = ["".join(letters) for size in (1, 2) for letters in product("ab", repeat=size)]
    for text in ["", ",", *short]:
        share = probability(translator, before, text)
        assert text in [word.text for word in words] or share <= words[-1].probability * (1 + 1e-4)
    assert sum(word.probability for word in words) < 1 + 1e-5


def test_a_word_may_be_continued_where_the_prefix_does_not_end_with_a_space() -> None:
    translator = make_translator("bahdanau2014")
    words = next_words(translator, SOURCE, "a", 40)
    assert {("a", "aa"), ("aab", "aaab")} <= {(word.text, word.prefix) for word in words}
    assert words == sorted(words, key=lambda word: -word.probability)
    assert len(next_words(translator, SOURCE, "", 3)) == 3
    with pytest.raises(DecodingError):
        next_words(translator, " ", "", 3)
    lower = next_words(translator, SOURCE, "ab ", 3)
    assert next_words(translator, SOURCE.upper(), "AB ", 3) == [word.in_capitals("") for word in lower]


def test_a_space_at_the_end_of_a_prefix_completes_its_word() -> None:
    translator = make_translator("transformer2017")
    for prefix in ("a", "b", "ab", "ba"):
        (translation,) = translator.translate([SOURCE], constraints=[Constraints(prefix=f"{prefix} ")])
        rest = translation.text[len(prefix) :]
        assert translation.text.startswith(prefix) and rest[:1] in ("", " ", ",")
    (continued,) = translator.translate([SOURCE], constraints=[Constraints(prefix="b")])
    (complete,) = translator.translate([SOURCE], constraints=[Constraints(prefix="b ")])
    assert continued.score >= complete.score


def test_kinds_of_tokens() -> None:
    texts = ["ab ba, ab's", "\u6211\u4eec x"] * 10
    characters = CharacterTokenizer.train(texts, 40)
    kinds = dict(zip(characters.pieces(range(characters.size)), token_kinds(characters).tolist(), strict=True))
    assert [kinds[piece] for piece in ("a", "'", "\u2581", "</s>", ",", "\u6211")] == [1, 1, 0, 0, 2, 2]
    assert set(token_kinds(WordTokenizer.train(texts, 40)).tolist()) == {TokenKind.SPACE}
    kinds_of_bytes = token_kinds(ByteTokenizer())
    assert [int(kinds_of_bytes[4 + byte]) for byte in b"a ,\xc3"] == [1, 0, 2, 1]
    config = TokenizerConfig(kind="bpe", vocabulary_size=279, joint=False)
    subwords = train_tokenizers(config, [(text, text) for text in texts]).target
    kinds = dict(zip(subwords.pieces(range(subwords.size)), token_kinds(subwords).tolist(), strict=True))
    assert [kinds[piece] for piece in ("\u2581ab", "b", ",", "\u6211", "<0xC3>")] == [0, 1, 2, 2, 1]
    assert encode_prefix(subwords, " ") == ((), frozenset())
    ids, not_next = encode_prefix(subwords, "ab ")
    assert list(ids) == subwords.encode("ab")
    assert not_next and EOS not in not_next
    assert encode_prefix(subwords, "ab") == (ids, frozenset())


def test_a_prefix_with_unknown_characters_is_refused() -> None:
    translator = make_translator("bahdanau2014")
    with pytest.raises(DecodingError, match=r"lacks a part of the prefix: é 日\n"):
        next_words(translator, SOURCE, "ab é日 é ", 3)
    with pytest.raises(DecodingError, match=r"prefix: é\n") as refused:
        translator.translate([SOURCE, SOURCE], constraints=[Constraints(), Constraints(prefix="é")])
    assert refused.value.where == "line 2"
    words = WordTokenizer.train(["ein Hund"], 10)
    with pytest.raises(DecodingError, match=r"prefix: Katze\n"):
        encode_prefix(words, "ein Katze")
    unknown = words.decode([UNK])
    assert encode_prefix(words, f"ein {unknown}")[0] == (*words.encode("ein"), UNK)
