"""Pairs whose words do not go together, by a lexicon that is learned from the corpus itself (IBM Model 1).

The corpus is divided in two, and the pairs of one half are scored by the lexicon of the other: a lexicon that was
learned from a pair would find its rare words to go together whatever they are. How pairs that do not belong together
score is measured, on sources beside targets of other pairs; so nothing about the languages needs to be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.symbols import PAD
from regard.text.doctor.findings import Fault, Kind
from regard.text.doctor.reading import Batch
from regard.text.doctor.repeats import digest
from regard.text.model1 import NULL, Sentences, ibm_model_1

Ids = NDArray[np.int32]
Scores = NDArray[np.float64]

MOST_CELLS = 1 << 23  # links of a word to a word that are looked at in learning
MOST_WORDS = 1 << 19  # different ones; those that come later are nobody's
LONGEST = 40  # words of a side; of a longer one the first
ITERATIONS = 3
FEWEST_PAIRS = 2000  # for a lexicon
UNKNOWN = PAD + 1
SMOOTHING = 0.1  # share of a word's probability that is its frequency, whatever the other side says
SAME = 0.3  # probability of a word that stands on the other side too
LEAST = 1e-3  # probability of an entry of the lexicon that is kept
FEWEST_SEEN = 3  # times, for a word to count
FEWEST_WORDS = 3  # of both sides together that are known, for a pair to be judged
BUCKETS = 8  # of pairs by their number of words
FEWEST_IN_BUCKET = 100
PRECISION = 0.8  # share of the pairs told that should not belong together
CHANCE = 2.0  # standard deviations, by which there may be more strangers of one size
NOTABLE = 0.005  # share of all pairs, from which strangers are enough for that to matter
CHUNK = 8192  # pairs scored at a time

_RANKS = np.linspace(0.02, 0.995, 196)  # of strangers by their scores
_LOW = 126  # where that is 0.65: few pairs that belong together score below


@dataclass(frozen=True)
class _Half:
    """A lexicon of each direction, sorted by key, source x MOST_WORDS + target, and how frequent each word is."""

    forward: tuple[NDArray[np.int64], NDArray[np.float32]]
    backward: tuple[NDArray[np.int64], NDArray[np.float32]]
    source_share: Scores  # (words,); 0: seen too seldom
    target_share: Scores


class Words:
    """Texts as ids of words or, of a side that has no spaces between words or one word a line, of characters."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._characters: tuple[bool, bool] | None = None

    def ids(self, batch: Batch) -> tuple[list[Ids], list[Ids]]:
        """Both sides of a batch."""
        sides = (batch.source_words, batch.target_words)
        if self._characters is None:
            source, target = map(_spaceless, sides)
            self._characters = (source, target)
        source_ids, target_ids = (
            [self._of("".join(words) if spaceless else words) for words in side]
            for side, spaceless in zip(sides, self._characters, strict=True)
        )
        return source_ids, target_ids

    def _of(self, units: Sequence[str]) -> Ids:
        found = self._ids
        for unit in units:
            if unit not in found and len(found) < MOST_WORDS - UNKNOWN - 1:
                found[unit] = len(found) + UNKNOWN + 1
        return np.array([found.get(unit, UNKNOWN) for unit in units[:LONGEST]], np.int32)


def _spaceless(side: Sequence[Sequence[str]]) -> bool:
    words = sum(map(len, side))
    return words < 1.5 * len(side) or sum(len(word) for text in side for word in text) > 12 * words


class Links:
    """Scores pairs by their words; see the module. Memory: some 12 bytes a cell of MOST_CELLS, and MOST_WORDS."""

    def __init__(self) -> None:
        self._words = Words()
        self._kept: list[tuple[int, Ids, Ids]] = []  # hash of the source, ids of both sides
        self._cells = 0
        self._every = 1  # of so many pairs, by their hashes, one is kept
        self._halves: tuple[_Half, _Half] | None = None
        self._bounds = self._limits = np.empty(0)
        self.share = 0.0  # of pairs, that seem not to belong together

    def learn(self, batch: Batch) -> None:
        """Keep some pairs: all, as long as they are few."""
        for text, source, target in zip(batch.sources, *self._words.ids(batch), strict=True):
            key = digest(text)
            if (key >> 8) % self._every == 0 and len(source) and len(target):
                self._kept.append((key, source, target))
                self._cells += (len(source) + 1) * len(target)
        while self._cells > MOST_CELLS:
            self._every *= 2
            self._kept = [each for each in self._kept if (each[0] >> 8) % self._every == 0]
            self._cells = sum((len(source) + 1) * len(target) for _, source, target in self._kept)

    def settle(self) -> None:
        """Learn the lexicons, and which scores pairs have that do not belong together."""
        halves = [[each[1:] for each in self._kept if each[0] & 1 == half] for half in (0, 1)]
        self._kept.clear()
        if min(map(len, halves)) < FEWEST_PAIRS // 2:
            return
        one, other = map(_learned, halves)
        self._halves = one, other
        scored = [self._measure(half, number) for number, half in enumerate(halves)]
        size, score, strange = (np.concatenate(parts) for parts in zip(*scored, strict=True))
        self._limit(size, score, strange)

    def _measure(self, pairs: list[tuple[Ids, Ids]], half: int) -> tuple[Scores, Scores, Scores]:
        """Sizes and scores of pairs, and the scores of sources beside others' targets of about the same length."""
        sources, targets = [source for source, _ in pairs], [target for _, target in pairs]
        keys = np.full(len(pairs), half)
        size, score = self._scores(sources, targets, keys)
        lengths = np.array([len(target) for target in targets])
        order = np.lexsort((np.random.default_rng(1).random(len(pairs)), lengths))
        others = np.empty(len(pairs), np.int64)
        others[order] = np.roll(order, 1)
        _, strange = self._scores(sources, [targets[other] for other in others.tolist()], keys)
        return size, score, strange

    def _limit(self, size: Scores, score: Scores, strange: Scores) -> None:
        """For pairs of each size the score below which they are taken for strangers.

        Where a share p of all pairs are strangers, p F0(x) of those that score below x are, if F0(x) of strangers do
        so. F(x), of all pairs, is that and little more where x is low: p is taken to be F(x) / F0(x) there, the median
        over all sizes. The limit is the highest x below which PRECISION of the pairs are strangers by this.
        """
        self._bounds = np.unique(np.quantile(size, np.linspace(0, 1, BUCKETS + 1)[1:-1]))
        of = np.searchsorted(self._bounds, size, side="right")
        tables = []
        sizes = np.bincount(of, minlength=len(self._bounds) + 1)
        for number in range(len(self._bounds) + 1):
            here = (of == number) & (size >= FEWEST_WORDS)
            values, others = np.sort(score[here]), strange[here]
            others = others[~np.isnan(others)]
            if len(values) < FEWEST_IN_BUCKET or len(others) < FEWEST_IN_BUCKET:
                tables.append((np.empty(0), np.empty(0)))
                continue
            marks = np.quantile(others, _RANKS)
            tables.append((marks, np.searchsorted(values, marks) / len(values)))
        shares = [below[_LOW] / _RANKS[_LOW] for _, below in tables if len(below)]
        self.share = float(np.median(shares)) if shares else 0.0
        self._limits = np.full(len(tables), -np.inf)
        for number, (marks, below) in enumerate(tables):
            count = sizes[number] * below
            sure = count - (CHANCE * np.sqrt(count) if self.share >= NOTABLE else 0.0)
            good = np.flatnonzero(self.share * sizes[number] * _RANKS[: len(below)] >= PRECISION * sure)
            if len(good) and self.share > 0:
                self._limits[number] = marks[good[-1]]

    @property
    def learned(self) -> bool:
        """Whether there were enough pairs."""
        return self._halves is not None

    def judge(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.UNRELATED."""
        if self._halves is None or not np.isfinite(self._limits).any():
            return
        sources, targets = self._words.ids(batch)
        half = np.array([digest(text) & 1 for text in batch.sources])
        size, score = self._scores(sources, targets, half)
        limit = self._limits[np.searchsorted(self._bounds, size, side="right")]
        for place in np.flatnonzero((size >= FEWEST_WORDS) & (score < limit)).tolist():
            yield Fault(place, Kind.UNRELATED, f"score {score[place]:.2f}, below {limit[place]:.2f}")

    def _scores(self, sources: Sequence[Ids], targets: Sequence[Ids], half: NDArray[Any]) -> tuple[Scores, Scores]:
        """Known words of each pair, and the mean over them of log(how probable by the other side / how frequent).

        `half` says to which half each pair belongs; it is scored by the lexicon of the other. NaN: nothing known.
        """
        assert self._halves is not None
        total, known = np.zeros(len(sources)), np.zeros(len(sources))
        for number, lexicon in enumerate(reversed(self._halves)):
            chosen = np.flatnonzero(half == number)
            one, other = [sources[place] for place in chosen.tolist()], [targets[place] for place in chosen.tolist()]
            for start in range(0, len(chosen), CHUNK):
                part = slice(start, start + CHUNK)
                for given, said, table, share in (
                    (one[part], other[part], lexicon.forward, lexicon.target_share),
                    (other[part], one[part], lexicon.backward, lexicon.source_share),
                ):
                    sums, counts = _direction(given, said, table, share)
                    total[chosen[part]] += sums
                    known[chosen[part]] += counts
        with np.errstate(invalid="ignore", divide="ignore"):
            return known, total / known


def _direction(
    given: Sequence[Ids], said: Sequence[Ids], table: tuple[NDArray[np.int64], NDArray[np.float32]], share: Scores
) -> tuple[Scores, Scores]:
    """Of each pair: the sum over its known words of log(probability by the other side / share), and their number."""
    if not len(given):
        return np.empty(0), np.empty(0)
    keys, probability = table
    sentences = _sentences(given, said)
    given_lengths, said_lengths = np.diff(sentences.source_offsets), np.diff(sentences.target_offsets)
    each = np.repeat(given_lengths, said_lengths)  # (words said,) cells of each
    first = each.cumsum() - each
    place = np.arange(each.sum()) + np.repeat(np.repeat(sentences.source_offsets[:-1], said_lengths) - first, each)
    one, other = sentences.source[place], np.repeat(sentences.target, each)
    entry = one * MOST_WORDS + other
    at = np.searchsorted(keys, entry).clip(max=max(len(keys) - 1, 0))
    likely = np.where(keys[at] == entry, probability[at], 0.0)
    mean = np.add.reduceat(likely, first) / each
    same = np.maximum.reduceat((one == other) & (one != UNKNOWN), first)
    mean = np.where(same, np.maximum(mean, SAME), mean)
    usual = share[sentences.target]
    known = (usual > 0) | same
    usual = np.where(usual > 0, usual, share[share > 0].min(initial=1.0))
    value = np.where(known, np.log((1 - SMOOTHING) * mean / usual + SMOOTHING), 0.0)
    begins = sentences.target_offsets[:-1]
    sums = np.add.reduceat(np.append(value, 0.0), begins) * (said_lengths > 0)
    counts = np.add.reduceat(np.append(known.astype(float), 0.0), begins) * (said_lengths > 0)
    return sums, counts


def _sentences(given: Sequence[Ids], said: Sequence[Ids]) -> Sentences:
    null = np.array([NULL], np.int32)
    one = np.concatenate([part for text in given for part in (null, text)]).astype(np.int64)
    other = np.concatenate(said).astype(np.int64)
    ends = [np.cumsum([len(text) + extra for text in side]) for side, extra in ((given, 1), (said, 0))]
    return Sentences(one, np.concatenate([[0], ends[0]]), other, np.concatenate([[0], ends[1]]))


def _learned(pairs: list[tuple[Ids, Ids]]) -> _Half:
    sources, targets = [source for source, _ in pairs], [target for _, target in pairs]
    return _Half(_table(sources, targets), _table(targets, sources), _share(sources), _share(targets))


def _table(given: list[Ids], said: list[Ids]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    lexicon = ibm_model_1(_sentences(given, said), MOST_WORDS, ITERATIONS)
    kept = (lexicon.probability >= LEAST) & (lexicon.source != UNKNOWN) & (lexicon.target != UNKNOWN)
    return (lexicon.source * MOST_WORDS + lexicon.target)[kept], lexicon.probability[kept].astype(np.float32)


def _share(texts: list[Ids]) -> Scores:
    """How frequent each word is; 0 for one that was seen too seldom."""
    counts = np.bincount(np.concatenate(texts), minlength=MOST_WORDS).astype(np.float64)
    counts[UNKNOWN] = 0
    share: Scores = np.where(counts >= FEWEST_SEEN, counts, 0) / max(counts.sum(), 1)
    return share
