from hypothesis import given
from hypothesis import strategies as st

from regard.special_tokens import BOS, EOS, PAD, UNK
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, WordTokenizer
from regard.tokenizers.whitespace import fold_spaces, one_line

ANY_TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("▁ \n\r\u2028\x85<s>/unk")))


@given(text=ANY_TEXT)
def test_characters_round_trip_exactly(text: str) -> None:
    tokenizer = CharacterTokenizer.train([text], 1000)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert min(ids, default=4) >= 4
    assert tokenizer.decode([BOS, *ids, EOS, PAD]) == one_line(text)


@given(text=ANY_TEXT)
def test_words_round_trip_with_spaces_folded(text: str) -> None:
    tokenizer = WordTokenizer.train([text], 1000)
    ids = tokenizer.encode(text)
    assert min(ids, default=4) >= 4
    assert tokenizer.decode([BOS, *ids, EOS, PAD]) == fold_spaces(text)


@given(text=ANY_TEXT)
def test_bytes_round_trip_exactly(text: str) -> None:
    ids = ByteTokenizer().encode(text)
    assert len(ids) == len(text.encode())
    assert all(4 <= id < ByteTokenizer.size for id in ids)
    assert ByteTokenizer().decode([BOS, *ids, EOS, PAD]) == one_line(text)


@given(ids=st.lists(st.integers(0, ByteTokenizer.size - 1)))
def test_bytes_always_decode_to_one_line(ids: list[int]) -> None:
    assert len(ByteTokenizer().decode(ids).splitlines()) <= 1
    assert len(ByteTokenizer().pieces(ids)) == len(ids)


def test_one_line_removes_all_line_breaks() -> None:
    everything = "".join(map(chr, range(0x3000)))
    assert len(one_line(everything).splitlines()) == 1
    assert len(one_line(everything)) == len(everything)


def test_tokens_not_in_the_training_text_are_unknown() -> None:
    characters = CharacterTokenizer.train(["aab"], 5)
    assert characters.size == 5
    assert characters.encode("ab") == [4, UNK]
    assert characters.decode([4, UNK]) == "a<unk>"
    words = WordTokenizer.train(["ein Hund", "ein Haus"], 5)
    assert words.encode("ein Hund") == [4, UNK]
    assert words.decode([4, UNK]) == "ein <unk>"


def test_pieces_are_fit_to_be_displayed() -> None:
    characters = CharacterTokenizer.train(["a b"], 100)
    assert characters.pieces([BOS, *characters.encode("a b"), EOS]) == ["<s>", "a", "▁", "b", "</s>"]
    assert WordTokenizer.train(["ein Hund"], 100).pieces([4, 5, EOS]) == ["Hund", "ein", "</s>"]
    assert ByteTokenizer().pieces([*ByteTokenizer().encode("a ä\t"), EOS]) == [
        *("a", "▁", "<0xC3>", "<0xA4>", "<0x09>", "</s>")
    ]


def test_a_lone_surrogate_is_encoded() -> None:
    assert ByteTokenizer().decode(ByteTokenizer().encode("a\ud800b")) == "a?b"
