from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.tokenizers.test_simple import ANY_TEXT

from regard.config.schema import TokenizerConfig
from regard.errors import CheckpointError, DataError
from regard.special_tokens import BOS, EOS, PAD, UNK
from regard.terms.offsets import token_spans
from regard.tokenizers.base import Tokenizers, train_tokenizers
from regard.tokenizers.extend import extend_tokenizer
from regard.tokenizers.pattern import PatternTokenizer
from regard.tokenizers.whitespace import one_line

SMILES = r"\[[^\]]+\]|Br|Cl|%\d\d"
CODE = r"[\p{L}_]\w*|\d+|\s+"
PATTERNS = [SMILES, CODE, "", "x*", r"(?=a)", r"\s+"]


def test_a_pattern_that_matches_from_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="from the beginning"):
        PatternTokenizer.train(["a12b345"], 1000, r"(?r)\d+")


@given(text=ANY_TEXT, pattern=st.sampled_from(PATTERNS))
def test_a_text_round_trips_exactly_with_any_pattern(text: str, pattern: str) -> None:
    tokenizer = PatternTokenizer.train([text], 1000, pattern)
    ids = tokenizer.encode(text)
    assert min(ids, default=4) >= 4
    assert tokenizer.decode([BOS, *ids, EOS, PAD]) == one_line(text)
    assert all(tokenizer.pieces(ids))


@pytest.mark.parametrize(
    ("pattern", "text", "tokens"),
    [
        (SMILES, "C[nH]CBr%12", ["C", "[nH]", "C", "Br", "%12"]),
        (CODE, "int i=x_1+20;", ["int", " ", "i", "=", "x_1", "+", "20", ";"]),
    ],
)
def test_each_match_and_each_character_between_is_a_token(pattern: str, text: str, tokens: list[str]) -> None:
    tokenizer = PatternTokenizer.train([text], 1000, pattern)
    assert [piece.replace("▁", " ") for piece in tokenizer.pieces(tokenizer.encode(text))] == tokens


def test_unknown_tokens_are_unk() -> None:
    tokenizer = PatternTokenizer.train(["ClCl", "Br"], 5, SMILES)
    assert tokenizer.encode("ClBr") == [4, UNK]


def test_a_saved_tokenizer_is_loaded_with_its_pattern(tmp_path: Path) -> None:
    config = TokenizerConfig(kind="pattern", pattern=SMILES, vocabulary_size=100)
    trained = train_tokenizers(config, [("CBr", "C[nH]"), ("Cl", "Cl")])
    trained.save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert loaded.source.kind == "pattern"
    assert loaded.source.encode("C[nH]Cl") == trained.source.encode("C[nH]Cl")
    (tmp_path / "tokenizer.pattern.txt").write_text("(")
    with pytest.raises(CheckpointError, match="not a regular expression"):
        Tokenizers.load(tmp_path)


def test_one_side_can_have_a_pattern() -> None:
    config = TokenizerConfig(kind="character", target_kind="pattern", pattern=CODE, joint=False, vocabulary_size=100)
    trained = train_tokenizers(config, [("ab cd", "ab cd")])
    assert (len(trained.source.encode("ab cd")), len(trained.target.encode("ab cd"))) == (5, 3)


def test_a_pattern_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.tokenizers.pattern.SECONDS", 0.05)
    tokenizer = PatternTokenizer.train(["a"], 100, r"(a|aa)+b")
    with pytest.raises(DataError, match="takes more than"):
        tokenizer.encode("a" * 60 + "c")


@pytest.mark.parametrize("changes", [{"kind": "pattern"}, {"pattern": "a"}, {"kind": "pattern", "pattern": "("}])
def test_a_pattern_goes_with_its_tokenizer_and_must_be_valid(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"pattern|not a regular expression"):
        TokenizerConfig(**changes)  # type: ignore[arg-type]


def test_spans_of_tokens_and_new_tokens() -> None:
    tokenizer = PatternTokenizer.train(["int i = 20"], 100, CODE)
    text = "int i = 20"
    spans = token_spans(tokenizer, tokenizer.encode(text), text)
    assert spans is not None
    assert [text[start:end] for start, end in spans] == ["int", "", "i", "", "=", "", "20"]
    extended = extend_tokenizer(tokenizer, ["long i"] * 3, 5).tokenizer
    assert extended.encode("long")[0] == tokenizer.size
