"""Random segmentations against exact enumeration, and against SentencePiece's own segmentation."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from regard.tokenizers.random_segmentation import UNKNOWN_PENALTY, BpeSegmenter, UnigramSegmenter, make_segmenter
from regard.tokenizers.subword import SPACE, SubwordKind, SubwordTokenizer

WORDS = ["unbelievable", "believe", "able", "table", "stable", "unstable", "tables", "believer", "naïve", "▁odd▁"]
TEXT = [f"{first} {second}" for first in WORDS for second in WORDS]
ODD = ["", "stable", "unstable tables", "▁", "a▁b ▁▁", "ünstäble 漢字", "x\u2028y\0", "<0x41></s>", "tables " * 40]
DRAWS = 20_000
KINDS: tuple[SubwordKind, ...] = ("unigram", "bpe")


MORE = {"ab": -4.0, "le": -3.5, "tab": -5.5, "les": -6.0, "st": -3.0, "aï": -4.5, "▁u": -5.0, "na": -5.0, "able": -9.0}


@cache
def trained(kind: SubwordKind) -> SubwordTokenizer:
    tokenizer = SubwordTokenizer.train(TEXT, 284, kind)
    return tokenizer.with_new_pieces(MORE) if kind == "unigram" else tokenizer  # otherwise a word has few segmentations


def sample(kind: SubwordKind, amount: float, text: str, seed: int = 1) -> list[int]:
    return make_segmenter(trained(kind), amount).draw(trained(kind).encode(text), random.Random(seed).random)


@pytest.mark.parametrize("text", [*TEXT[:40], *ODD])
@pytest.mark.parametrize(("kind", "amount"), [("unigram", 1e6), ("bpe", 0.0)])
def test_without_randomness_it_is_sentencepieces_segmentation(kind: SubwordKind, amount: float, text: str) -> None:
    assert sample(kind, amount, text) == trained(kind).encode(text)


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(("kind", "amount"), [("unigram", 0.05), ("bpe", 0.6)])
def test_the_text_is_unchanged(kind: SubwordKind, amount: float, text: str) -> None:
    tokenizer = trained(kind)
    for seed in range(20):
        assert tokenizer.decode(sample(kind, amount, text, seed)) == tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_that_end_inside_a_character_are_unchanged(kind: SubwordKind) -> None:
    segment = trained(kind).encode("stable 漢")[:-1]
    assert make_segmenter(trained(kind), 0.5).draw(segment, random.Random(1).random)[-2:] == segment[-2:]


def test_with_dropout_one_every_piece_is_a_character() -> None:
    tokenizer = trained("bpe")
    assert tokenizer.pieces(sample("bpe", 1.0, "stable able")) == list(f"{SPACE}stable{SPACE}able")


def unigram_shares(tokenizer: SubwordTokenizer, text: str, alpha: float) -> dict[tuple[int, ...], float]:
    """The exact probability of every segmentation, by listing all ways to cut the characters."""
    scores = {piece: tokenizer.score(id) for id, piece in tokenizer.matching_pieces().items()}
    ids = {piece: id for id, piece in tokenizer.matching_pieces().items()}
    unknown = min(scores.values()) - UNKNOWN_PENALTY

    def segment(rest: str) -> Iterator[tuple[tuple[int, ...], float]]:
        if not rest:
            yield (), 0.0
        for length in range(1, len(rest) + 1):
            piece = rest[:length]
            if piece in ids or length == 1:
                spelled = (ids[piece],) if piece in ids else tuple(tokenizer.byte_ids[byte] for byte in piece.encode())
                for later, score in segment(rest[length:]):
                    yield (*spelled, *later), scores.get(piece, unknown) + score

    weights = {ways: math.exp(alpha * score) for ways, score in segment(text)}
    return {ways: weight / sum(weights.values()) for ways, weight in weights.items()}


def bpe_shares(tokenizer: SubwordTokenizer, text: str, dropout: float) -> dict[tuple[int, ...], float]:
    """The exact probability of every outcome of algorithm 1, by listing which merges are dropped at each step."""
    ids = {piece: id for id, piece in tokenizer.matching_pieces().items()}
    shares: Counter[tuple[int, ...]] = Counter()

    def merge_further(split: Sequence[str], share: float) -> None:
        merges = [i for i in range(len(split) - 1) if split[i] + split[i + 1] in ids]
        for dropped in itertools.product([True, False], repeat=len(merges)):
            weight = share * math.prod(dropout if gone else 1 - dropout for gone in dropped)
            first = [place for place, gone in zip(merges, dropped, strict=True) if not gone]
            if not first:
                shares[tuple(ids[piece] for piece in split)] += weight  # type: ignore[assignment]
                continue
            best = max(first, key=lambda i: (tokenizer.score(ids[split[i] + split[i + 1]]), -i))
            merge_further([*split[:best], split[best] + split[best + 1], *split[best + 2 :]], weight)

    merge_further(list(text), 1.0)
    return dict(shares)


def assert_agrees(tokenizer: SubwordTokenizer, amount: float, text: str, shares: dict[tuple[int, ...], float]) -> None:
    """Each frequency in many draws is within four standard deviations of its exact probability."""
    draw, uniform, ids = make_segmenter(tokenizer, amount), random.Random(7).random, tokenizer.encode(text)
    counts = Counter(tuple(draw.draw(ids, uniform)) for _ in range(DRAWS))
    assert sum(shares.values()) == pytest.approx(1)
    assert counts.keys() <= shares.keys()
    assert len(shares) > 2
    for ways, share in shares.items():
        assert abs(counts[ways] - DRAWS * share) <= 4 * math.sqrt(DRAWS * share * (1 - share)) + 1, ways


@pytest.mark.parametrize("text", ["stable", "unable", "naïve", "täbles"])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_unigram_draws_have_the_models_probabilities(alpha: float, text: str) -> None:
    tokenizer = trained("unigram")
    assert_agrees(tokenizer, alpha, text, unigram_shares(tokenizer, SPACE + text, alpha))


@pytest.mark.parametrize("text", ["stable", "unable", "tables"])
@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_bpe_draws_have_the_probabilities_of_algorithm_1(dropout: float, text: str) -> None:
    tokenizer = trained("bpe")
    assert_agrees(tokenizer, dropout, text, bpe_shares(tokenizer, SPACE + text, dropout))


def test_a_sample_does_not_depend_on_earlier_samples() -> None:
    for segmenting, amount in ((UnigramSegmenter, 0.2), (BpeSegmenter, 0.3)):
        kind: SubwordKind = "unigram" if segmenting is UnigramSegmenter else "bpe"
        used = segmenting(trained(kind), amount)
        for text in TEXT:
            used.draw(trained(kind).encode(text), random.Random(2).random)
        for text in TEXT[::7]:
            assert used.draw(trained(kind).encode(text), random.Random(3).random) == sample(kind, amount, text, 3)
