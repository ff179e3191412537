from itertools import pairwise

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import DataError
from regard.evaluation.by_length import by_length, length_bounds


def line(words: int, first: str = "a") -> str:
    return " ".join([first, *(f"w{number}" for number in range(words - 1))])


def test_each_bin_is_scored_separately() -> None:
    sources = [line(words) for words in (3, 3, 4, 7, 8, 8)]
    references = [line(6, f"r{index}") for index in range(6)]
    hypotheses = [*references[:3], *(line(6, "wrong") for _ in range(3))]
    short, long = by_length(sources, hypotheses, references, min_sentences=3)
    assert (short.shortest, short.longest, short.sentences) == (3, 4, 3)
    assert (long.shortest, long.longest, long.sentences) == (5, 8, 3)
    assert short.bleu == pytest.approx(100)
    assert short.chrf == pytest.approx(100)
    assert long.bleu == pytest.approx(sacrebleu.corpus_bleu(hypotheses[3:], [references[3:]]).score)
    assert long.chrf == pytest.approx(sacrebleu.corpus_chrf(hypotheses[3:], [references[3:]]).score)
    assert long.bleu < 100
    assert (short.exact, long.exact) == (1, 0)


def test_all_bins_share_one_bleu_tokenizer() -> None:
    sources = ["a", "a", "b c d e f", "b c d e f"]
    references = ["zwanzig", "dreissig", "one two three four five", "one two three four six"]
    words = by_length(sources, references, references, min_sentences=2)
    assert [bin.bleu for bin in words] == pytest.approx([0, 100])  # words: a single one has no 4-gram
    characters = by_length(sources[:2], references[:2], references[:2], min_sentences=2)
    assert [bin.bleu for bin in characters] == pytest.approx([100])


def test_known_bounds() -> None:
    assert length_bounds([1, 2, 3, 4, 5, 6, 7, 8] * 5, min_sentences=5) == [(n, n) for n in range(1, 9)]
    assert length_bounds([1, 2, 3, 4, 5, 6, 7, 8], min_sentences=3) == [(1, 3), (4, 8)]
    assert length_bounds([5] * 50 + [40] * 50, min_sentences=20) == [(5, 5), (6, 40)]
    assert length_bounds([12, 13], min_sentences=20) == [(12, 13)]
    assert length_bounds([0, 0], min_sentences=1) == [(0, 0)]
    assert length_bounds([*range(1, 9)] * 10 + [500], min_sentences=5) == [*((n, n) for n in range(1, 8)), (8, 500)]


@given(st.lists(st.integers(0, 300), min_size=1), st.integers(1, 30))
def test_bins_cover_all_sentences_and_none_is_too_small(lengths: list[int], min_sentences: int) -> None:
    bins = length_bounds(lengths, min_sentences)
    counts = [sum(first <= length <= last for length in lengths) for first, last in bins]
    assert sum(counts) == len(lengths)
    assert all(first <= last for first, last in bins)
    assert all(before[1] + 1 == after[0] for before, after in pairwise(bins))
    assert len(bins) == 1 or min(counts) >= min_sentences
    assert (bins[0][0], bins[-1][1]) == (min(lengths), max(lengths))
    assert len(bins) <= 9


def test_unequal_numbers_of_lines_are_rejected() -> None:
    with pytest.raises(DataError, match="2 sources, 1 hypotheses and 2 references"):
        by_length(["a", "b"], ["a"], ["a", "b"])
    with pytest.raises(DataError, match="no lines to evaluate"):
        by_length([], [], [])
