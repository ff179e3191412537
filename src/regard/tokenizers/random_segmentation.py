"""Sample subword segmentations: from a unigram model (Kudo 2018), or by BPE-dropout (Provilkov et al. 2020).

The samples depend only on the random numbers that the caller passes. SentencePiece can sample, too, but its random
numbers differ in every process, even with a seed.
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

Uniform = Callable[[], float]  # returns a random number in [0, 1)
Word = tuple[int, ...]  # the ids of one word with the space before it

CACHED_WORDS = 1 << 15
CACHED_SUFFIXES = 200_000  # less than 200 MB
UNKNOWN_PENALTY = 10.0  # as in SentencePiece: an unknown character scores this much less than the worst piece
UNMATCHED = "\ud800"  # stands for a SPACE character in the text, which no piece may match; not in any valid text


class Segmenter(ABC):
    """Samples segmentations of encoded text, word by word: no piece crosses a space."""

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
        """Return ids of the same text, segmented at random."""

    def _words(self, ids: Sequence[int]) -> Iterator[Word]:
        begins = self._begins_word
        bounds = [index for index, id in enumerate(ids) if begins[id] and index]
        for begin, end in pairwise([0, *bounds, len(ids)]):
            yield tuple(ids[begin:end])

    def _text(self, word: Word) -> str | None:
        """Return the characters of a word, with a space as SPACE; None if its bytes are not UTF-8."""
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
        """Return the id of a piece, or the ids of the bytes of a character that is not a piece."""
        known = self._ids.get(characters)
        if known is not None:
            return known
        return tuple(self._byte_ids[byte] for byte in characters.replace(UNMATCHED, SPACE).encode())


def make_segmenter(tokenizer: SubwordTokenizer, amount: float) -> Segmenter:
    """Return the segmenter of a tokenizer; `amount` is alpha (unigram) or the dropout (bpe)."""
    return UnigramSegmenter(tokenizer, amount) if tokenizer.kind == "unigram" else BpeSegmenter(tokenizer, amount)


def _decode(spelled: bytes) -> str:
    return spelled.decode().replace(SPACE, UNMATCHED)


@dataclass(slots=True)
class _Suffix:
    """The end of a word, and the pieces that it can begin with.

    Attributes:
        total: The log of the summed weights of all its segmentations.
        edges: The ids of each piece, and the suffix after it.
        thresholds: The cumulative probabilities of all edges except the last.
    """

    total: float
    edges: list[tuple[Word, _Suffix | None]] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)


class UnigramSegmenter(Segmenter):
    """Samples segmentations x with probability P(x)^alpha / sum over all x' of P(x')^alpha (Kudo 2018, section 3.3).

    P(x) is the product of the piece probabilities. For large alpha the samples are SentencePiece's own segmentation.
    Sums run over the lattice from the end of a word to its beginning, samples from its beginning to its end.
    """

    def __init__(self, tokenizer: SubwordTokenizer, alpha: float) -> None:
        super().__init__(tokenizer)
        self._alpha = alpha
        self._longest = max(map(len, self._ids))
        self._unknown_score = min(self._scores.values()) - UNKNOWN_PENALTY
        self._suffixes: dict[str, _Suffix] = {}
        self._roots: dict[Word, _Suffix] = {}

    def draw(self, ids: Sequence[int], uniform: Uniform) -> list[int]:
        """Return ids of the same text, segmented at random."""
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
        """Add the suffix `text`; all shorter suffixes must exist."""
        edges: list[tuple[Word, _Suffix | None]] = []
        weights: list[float] = []
        for end in range(1, min(self._longest, len(text)) + 1):
            piece = text[:end]
            if end == 1 or piece in self._ids:
                rest = self._suffixes.get(text[end:])
                edges.append((self._spell(piece), rest))
                score = self._scores.get(piece, self._unknown_score)
                weights.append(self._alpha * score + (0.0 if rest is None else rest.total))
        largest = max(weights)
        shares = list(accumulate(math.exp(weight - largest) for weight in weights))
        thresholds = [share / shares[-1] for share in shares[:-1]]
        suffix = self._suffixes[text] = _Suffix(largest + math.log(shares[-1]), edges, thresholds)
        return suffix


class BpeSegmenter(Segmenter):
    """BPE-dropout: each step drops each possible merge with a probability, and applies the best of the others.

    Merging ends when a step drops all merges (Provilkov et al. 2020, algorithm 1). With dropout 0 this is
    SentencePiece's own segmentation. SentencePiece's sampling splits finer, since a dropped merge never returns.
    """

    def __init__(self, tokenizer: SubwordTokenizer, dropout: float) -> None:
        super().__init__(tokenizer)
        self._dropout = dropout
        self._drop_cdf: list[float] = []  # the probability that fewer than 1, 2, ... merges in a row are dropped
        self._keep_cdf: list[float] = []  # the probability that fewer than 1, 2, ... merges in a row are not dropped
        self._known_word = lru_cache(CACHED_WORDS)(self._read)

    def draw(self, ids: Sequence[int], uniform: Uniform) -> list[int]:
        """Return ids of the same text, segmented at random; `ids` must come from the tokenizer's `encode`."""
        drawn: list[int] = []
        for word in self._words(ids):
            text, merges = self._known_word(word)
            best_steps = bisect_right(
                self._keep_cdf, uniform(), 0, merges
            )  # steps before the best merge is dropped for the first time
            drawn += word if best_steps == merges else self._merge(text, best_steps, uniform)
        return drawn

    def _read(self, word: Word) -> tuple[str, int]:
        """Return the text of a word and the number of its merges: 0 if it has no text."""
        text = self._text(word) or ""
        for count in range(len(self._keep_cdf) + 1, len(text)):
            self._drop_cdf.append(1 - self._dropout**count)
            self._keep_cdf.append(1 - (1 - self._dropout) ** count)
        return text, sum(len(self._texts[id]) - 1 for id in word if id not in self._bytes) if text else 0

    def _merge(self, text: str, best_steps: int, uniform: Uniform) -> list[int]:
        """Return the ids after `best_steps` best merges, a step that drops the best merge, and random steps."""
        pieces = list(text)
        scores = [self._score(first, second) for first, second in pairwise(pieces)]
        step = 0
        while scores and (best := max(scores)) > -math.inf:
            rank = 0
            if step >= best_steps:
                rank = bisect_right(self._drop_cdf, uniform()) + (step == best_steps)
            index = scores.index(best) if rank == 0 else _index_of_rank(scores, rank)
            if index is None:
                break
            pieces[index : index + 2] = [pieces[index] + pieces[index + 1]]
            del scores[index]
            for neighbour in range(max(0, index - 1), min(index + 1, len(scores))):
                scores[neighbour] = self._score(pieces[neighbour], pieces[neighbour + 1])
            step += 1
        return [id for piece in pieces for id in self._spell(piece)]

    def _score(self, first: str, second: str) -> float:
        return self._scores.get(first + second, -math.inf)


def _index_of_rank(scores: Sequence[float], rank: int) -> int | None:
    """Return the index of the score with a rank from 0, equal scores from the left; None if it is not finite."""
    indices = sorted(range(len(scores)), key=lambda index: -scores[index])[rank : rank + 1]
    return indices[0] if indices and scores[indices[0]] > -math.inf else None
