"""Draw how text is cut into subwords: by a unigram model (Kudo 2018) or by BPE-dropout (Provilkov et al. 2020).

The draws use the random numbers that the caller hands in and nothing else. SentencePiece can sample too, but its
random generator gives other numbers in every process, whatever its seed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise

from regard.tokenizers.subword import SPACE, SubwordTokenizer

Uniform = Callable[[], float]  # gives a random number in [0, 1)
Word = tuple[int, ...]  # the ids of one word with the space before it

CACHED_WORDS = 1 << 15
CACHED_SUFFIXES = 200_000  # in less than 200 MB
UNKNOWN_PENALTY = 10.0  # SentencePiece's: an unknown character scores this much less than the worst piece
UNMATCHED = "\ud800"  # stands for a SPACE character of the text, which no piece may match; no valid text holds it


class Segmenter(ABC):
    """Draws segmentations of encoded text, word by word: no piece crosses a space."""

    def __init__(self, tokenizer: SubwordTokenizer) -> None:
        pieces = tokenizer.matching_pieces()
        self._ids = {piece: (id,) for id, piece in pieces.items()}
        self._scores = {piece: tokenizer.score(id) for id, piece in pieces.items()}
        self._texts = tokenizer.pieces(range(tokenizer.size))
        self._begins_word = [text.startswith(SPACE) for text in self._texts]
        self._byte_ids = tokenizer.byte_ids
        self._bytes = {id: bytes([byte]) for byte, id in enumerate(tokenizer.byte_ids)}

    @abstractmethod
    def draw(self, ids: Sequence[int], uniform: Uniform) -> list[int]:
        """Return the ids of the same text, cut at random."""

    def _words(self, ids: Sequence[int]) -> Iterator[Word]:
        begins = self._begins_word
        bounds = [place for place, id in enumerate(ids) if begins[id] and place]
        for begin, end in pairwise([0, *bounds, len(ids)]):
            yield tuple(ids[begin:end])

    def _text(self, word: Word) -> str | None:
        """Return the characters of a word, a space as SPACE; None where its bytes are not UTF-8."""
        text, spelled = "", b""
        try:
            for id in word:
                if id in self._bytes:
                    spelled += self._bytes[id]
                else:
                    text, spelled = text + _decode(spelled) + self._texts[id], b""
            return text + _decode(spelled)
        except UnicodeDecodeError:  # the ids end inside a character
            return None

    def _spell(self, characters: str) -> Word:
        """Return the id of a piece, or those of the bytes of a character that is none."""
        known = self._ids.get(characters)
        if known is not None:
            return known
        return tuple(self._byte_ids[byte] for byte in characters.replace(UNMATCHED, SPACE).encode())


def make_segmenter(tokenizer: SubwordTokenizer, amount: float) -> Segmenter:
    """Return what draws segmentations for a tokenizer; `amount` is alpha (unigram) or the dropout (bpe)."""
    return UnigramSegmenter(tokenizer, amount) if tokenizer.kind == "unigram" else BpeSegmenter(tokenizer, amount)


def _decode(spelled: bytes) -> str:
    return spelled.decode().replace(SPACE, UNMATCHED)


@dataclass(slots=True)
class _Suffix:
    """The end of a word, and the pieces that it may begin with.

    total: the log of the summed weights of all its segmentations.
    edges: the ids of each piece, and what is left of the word behind it.
    thresholds: the cumulated probabilities of all edges but the last.
    """

    total: float
    edges: list[tuple[Word, _Suffix | None]] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)


class UnigramSegmenter(Segmenter):
    """Segmentations x of a text with probability P(x)^alpha / sum over all x' of P(x')^alpha (Kudo 2018, section 3.3).

    P(x) is the product of the model's piece probabilities. With a growing alpha all draws become SentencePiece's own
    segmentation. Sums run over the lattice from the end of a word to its beginning, and draws from its beginning to
    its end.
    """

    def __init__(self, tokenizer: SubwordTokenizer, alpha: float) -> None:
        super().__init__(tokenizer)
        self._alpha = alpha
        self._longest = max(map(len, self._ids))
        self._unknown_score = min(self._scores.values()) - UNKNOWN_PENALTY
        self._suffixes: dict[str, _Suffix] = {}
        self._roots: dict[Word, _Suffix] = {}

    def draw(self, ids: Sequence[int], uniform: Uniform) -> list[int]:
        """Return the ids of the same text, cut at random."""
        drawn: list[int] = []
        for word in self._words(ids):
            suffix = self._roots.get(word) or self._root(word)
            while suffix is not None:
                thresholds = suffix.thresholds
                piece, suffix = suffix.edges[bisect_right(thresholds, uniform()) if thresholds else 0]
                drawn += piece
        return drawn

    def _root(self, word: Word) -> _Suffix | None:
        if len(self._suffixes) > CACHED_SUFFIXES:
            self._suffixes.clear()
            self._roots.clear()
        text = self._text(word)
        if text is None:
            return _Suffix(0.0, [(word, None)])
        root = None
        for begin in reversed(range(len(text))):
            root = self._suffixes.get(text[begin:]) or self._add(text[begin:])
        if root is not None:
            self._roots[word] = root
        return root

    def _add(self, text: str) -> _Suffix:
        """Add the suffix `text`, of which all shorter suffixes are there."""
        edges: list[tuple[Word, _Suffix | None]] = []
        weights: list[float] = []
        for end in range(1, min(self._longest, len(text)) + 1):
            piece = text[:end]
            if end == 1 or piece in self._ids:
                rest = self._suffixes.get(text[end:])
                edges.append((self._spell(piece), rest))
                score = self._scores.get(piece, self._unknown_score)
                weights.append(self._alpha * score + (0.0 if rest is None else rest.total))
        most = max(weights)
        shares = list(accumulate(math.exp(weight - most) for weight in weights))
        thresholds = [share / shares[-1] for share in shares[:-1]]
        suffix = self._suffixes[text] = _Suffix(most + math.log(shares[-1]), edges, thresholds)
        return suffix


class BpeSegmenter(Segmenter):
    """BPE-dropout: each possible merge is dropped with a probability, and the best of the others applied, step by step.

    Merging ends with a step that drops all (Provilkov et al. 2020, algorithm 1). At a dropout of 0 this is
    SentencePiece's own segmentation. SentencePiece's sampling cuts finer: what it has dropped once never comes back.
    """

    def __init__(self, tokenizer: SubwordTokenizer, dropout: float) -> None:
        super().__init__(tokenizer)
        self._dropout = dropout
        self._dropped: list[float] = []  # the probability that fewer than 1, 2, ... merges in turn are dropped
        self._kept: list[float] = []  # the same of merges in turn that are not
        self._known_word = lru_cache(CACHED_WORDS)(self._read)

    def draw(self, ids: Sequence[int], uniform: Uniform) -> list[int]:
        """Return the ids of the same text, cut at random; `ids` are those that the tokenizer encodes it to."""
        drawn: list[int] = []
        for word in self._words(ids):
            text, merges = self._known_word(word)
            best_steps = bisect_right(self._kept, uniform(), 0, merges)  # before the best merge is first dropped
            drawn += word if best_steps == merges else self._merge(text, best_steps, uniform)
        return drawn

    def _read(self, word: Word) -> tuple[str, int]:
        """Return a word's text and how many merges make the word of it: none where it has no text."""
        text = self._text(word) or ""
        for count in range(len(self._kept) + 1, len(text)):
            self._dropped.append(1 - self._dropout**count)
            self._kept.append(1 - (1 - self._dropout) ** count)
        return text, sum(len(self._texts[id]) - 1 for id in word if id not in self._bytes) if text else 0

    def _merge(self, text: str, best_steps: int, uniform: Uniform) -> list[int]:
        """Return ids of a text after so many best merges, a step in which the best one is dropped, and free steps."""
        pieces = list(text)
        scores = [self._score(left, right) for left, right in pairwise(pieces)]
        step = 0
        while scores and (best := max(scores)) > -math.inf:
            rank = 0
            if step >= best_steps:
                rank = bisect_right(self._dropped, uniform()) + (step == best_steps)
            place = scores.index(best) if rank == 0 else _ranked(scores, rank)
            if place is None:
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
            del scores[place]
            for left in range(max(0, place - 1), min(place + 1, len(scores))):
                scores[left] = self._score(pieces[left], pieces[left + 1])
            step += 1
        return [id for piece in pieces for id in self._spell(piece)]

    def _score(self, left: str, right: str) -> float:
        return self._scores.get(left + right, -math.inf)


def _ranked(scores: Sequence[float], rank: int) -> int | None:
    """Return the place of a score by its rank from 0, equal ones from the left; None where it is not finite."""
    place = sorted(range(len(scores)), key=lambda place: -scores[place])[rank : rank + 1]
    return place[0] if place and scores[place[0]] > -math.inf else None
