import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regard.corpus.builtin import dates
from regard.errors import CheckpointError, ConfigError, DataError
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.subword import SubwordKind, SubwordTokenizer
from regard.tokenizers.whitespace import fold_spaces

KINDS: tuple[SubwordKind, ...] = ("unigram", "bpe")
both_kinds = pytest.mark.parametrize("kind", KINDS)

ODD = "▁▅\0\t\u2028\x85 <s></s><unk><pad><0x41> ⁇ "


@cache
def sentences() -> list[str]:
    return [pair.source for pair in dates(1, train=300, dev=0, test=0).train]


@cache
def trained(kind: SubwordKind) -> SubwordTokenizer:
    return SubwordTokenizer.train([*sentences(), *[f"{ODD} a<s>b x</s>y"] * 20], 420, kind)


@both_kinds
@settings(deadline=None)
@given(text=st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(ODD + "novembre 19"))))
@example(text=ODD)
@example(text="▁")
@example(text=" ▁▁ a▁ ▁b▁")
@example(text="<s>")
@example(text="a</s>b <unk><pad>")
@example(text="<0xC3><0xA4>")
def test_any_text_round_trips_and_never_becomes_a_special_id(kind: SubwordKind, text: str) -> None:
    tokenizer = trained(kind)
    ids = tokenizer.encode(text)
    assert all(4 <= id < tokenizer.size for id in ids)
    assert tokenizer.decode([BOS, *ids, EOS, PAD]) == fold_spaces(text)


@both_kinds
@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 419)))
@example(ids=[4 + ord("a"), 4 + ord("\n"), 4 + ord("\r"), 4 + ord("b")])
@example(ids=[4 + byte for byte in "a\u2028b\x85c".encode()])
def test_any_ids_decode_to_one_line(kind: SubwordKind, ids: list[int]) -> None:
    tokenizer = trained(kind)
    assert len(tokenizer.decode(ids).splitlines()) <= 1
    assert len(tokenizer.pieces(ids)) == len(ids)


def test_pieces_and_special_ids() -> None:
    tokenizer = trained("bpe")
    assert tokenizer.size == 420
    assert tuple(tokenizer.pieces(range(4))) == SPECIAL
    pieces = tokenizer.pieces(tokenizer.encode("novembre ñ"))
    assert pieces[0].startswith("▁")
    assert pieces[-2:] == ["<0xC3>", "<0xB1>"]
    assert tokenizer.decode([*tokenizer.encode("mai"), UNK]) == "mai<unk>"
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a?b"
    assert tokenizer.encode(" \t ") == []


@both_kinds
def test_training_is_deterministic_and_quiet(
    kind: SubwordKind, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        SubwordTokenizer.train(sentences(), 400, kind).save(tmp_path, name)
    assert (tmp_path / "first.model").read_bytes() == (tmp_path / "second.model").read_bytes()
    assert capfd.readouterr() == ("", "")


@both_kinds
@pytest.mark.parametrize(("size", "remedy"), [(100_000, "or less"), (8, "or more")])
def test_an_unsuitable_size_is_reported_with_the_limit(kind: SubwordKind, size: int, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy) as caught:
        SubwordTokenizer.train(sentences(), size, kind, text="the source side's text")
    assert caught.value.where == "tokenizer.vocabulary_size"
    assert "the source side's text" in caught.value.message
    named = re.search(r"set it to (\d+)", str(caught.value.fix))
    assert named is not None
    nearest = int(named[1])
    assert SubwordTokenizer.train(sentences(), nearest, kind).size == nearest
    with pytest.raises(ConfigError):
        SubwordTokenizer.train(sentences(), nearest + (1 if size > nearest else -1), kind)


@both_kinds
def test_training_on_long_lines_and_reserved_characters(kind: SubwordKind) -> None:
    """SentencePiece alone skips lines over 4,192 bytes and lines with U+2585, in silence."""
    tokenizer = SubwordTokenizer.train(["Hund ▅ Katze " * 600, "Maus\0Maus"], 273, kind)
    assert all(not piece.startswith("<0x") for piece in tokenizer.pieces(tokenizer.encode("Hund Katze Maus")))


def test_rare_characters_of_a_large_alphabet_are_spelled_in_bytes() -> None:
    common, rare = "abcdefgh", "".join(chr(0x4E00 + number) for number in range(300))
    text = [f"{common} {common[::-1]}"] * 50_000 + [rare]
    tokenizer = SubwordTokenizer.train(text, 290, "bpe")
    assert tokenizer.decode(tokenizer.encode(rare)) == rare


@pytest.mark.parametrize("text", [[], [""], [" \t", "▁", "\0"]])
def test_no_text_is_a_data_error(text: list[str]) -> None:
    with pytest.raises(DataError, match="no words in the text"):
        SubwordTokenizer.train(text, 300, "unigram")


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_a_broken_or_missing_model_is_a_checkpoint_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match="the tokenizer cannot be read"):
        SubwordTokenizer.load(tmp_path, "tokenizer", "bpe")
