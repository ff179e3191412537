"""Pairs that do not translate each other, by the evidence of a lexicon that is learned from the corpus itself.

The corpus is divided in two, and the pairs of one half are scored by the lexicon (IBM Model 1) of the other: a lexicon
that was learned from a pair would link its rare words whatever they are. How links and surface features of unrelated
pairs look is measured on shuffled pairs, so nothing about the languages needs to be known; see evidence.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.corpus.ibm_model1 import NULL, Sentences, ibm_model_1
from regard.corpus_checks.duplicates import digest
from regard.corpus_checks.evidence import Evidence, Observations
from regard.corpus_checks.evidence import Words as ScoredWords
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch
from regard.corpus_checks.surface import Codes, size_bounds, size_codes
from regard.special_tokens import PAD

Ids = NDArray[np.int32]
Scores = NDArray[np.float64]

MOST_CELLS = 1 << 23  # links of a word to a word that are looked at in learning
MOST_WORDS = 1 << 19  # different ones; those that come later are nobody's
LONGEST = 40  # words of a side; of a longer one the first
PREFIX = 5  # characters of a word that count: what follows is mostly inflection
ITERATIONS = 3
FEWEST_PAIRS = 2000  # for a lexicon
UNKNOWN = PAD + 1
SMOOTHING = 0.1  # share of a word's probability that is its frequency, whatever the other side says
SAME = 0.3  # probability of a word that stands on the other side too
LEAST = 1e-3  # probability of an entry of the lexicon that is kept
FEWEST_SEEN = 3  # times, for a word to count
CHUNK = 8192  # pairs scored at a time

TEMPER = 0.35  # weight of a nat of evidence: words of a sentence are not independent; fitted on planted pairs
LEAST_SHARE = 0.001  # share of unrelated pairs that every corpus is taken to have, at least
MOST_SHARE = 0.5
CERTAIN = 0.9  # confidence, from which a pair is unrelated
DOUBTFUL = 0.5  # confidence, from which it may be


@dataclass(frozen=True)
class _Half:
    """A lexicon of each direction, sorted by key, source x MOST_WORDS + target, and how frequent each word is."""

    forward: tuple[NDArray[np.int64], NDArray[np.float32]]
    backward: tuple[NDArray[np.int64], NDArray[np.float32]]
    source_share: Scores  # (words,); 0: seen too seldom
    target_share: Scores


@dataclass
class _Pairs:
    """Pairs as Links sees them; the arrays are (pairs,), the codes (pairs, 3)."""

    half: NDArray[np.int64]
    ids: tuple[list[Ids], list[Ids]]
    lengths: tuple[NDArray[np.uint32], NDArray[np.uint32]]
    codes: tuple[Codes, Codes]

    def shuffled(self) -> _Pairs:
        """Return the sources with the targets of random pairs of the same half."""
        order = np.arange(len(self.half))
        for half in (0, 1):
            places = np.flatnonzero(self.half == half)
            order[places] = np.random.default_rng(half).permutation(places)
        (sources, targets), (length, other_length), (code, other_code) = self.ids, self.lengths, self.codes
        return _Pairs(
            self.half,
            (sources, [targets[place] for place in order.tolist()]),
            (length, other_length[order]),
            (code, other_code[order]),
        )


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
            [self._of("".join(words) if spaceless else [word[:PREFIX] for word in words]) for words in side]
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


class UnrelatedPairCheck:
    """Weighs the evidence for each pair; see the module. Memory: some 12 bytes a cell of MOST_CELLS, and MOST_WORDS."""

    def __init__(self) -> None:
        self._words = Words()
        self._kept: list[tuple[int, Ids, Ids, tuple[int, ...]]] = []  # hash of the source, ids, lengths and codes
        self._cells = 0
        self._every = 1  # of so many pairs, by their hashes, one is kept
        self._halves: tuple[_Half, _Half] | None = None
        self._bounds: tuple[Scores, Scores] = (np.empty(0), np.empty(0))  # of the length classes of both sides
        self._evidence: Evidence | None = None
        self.share = 0.0  # of pairs, that seem not to belong together

    def observe(self, batch: Batch) -> None:
        """Keep some pairs: all, as long as they are few."""
        codes = np.hstack([batch.source_surface, batch.target_surface]).tolist()
        for place, (text, source, target) in enumerate(zip(batch.sources, *self._words.ids(batch), strict=True)):
            key = digest(text)
            if (key >> 8) % self._every == 0 and len(source) and len(target):
                self._kept.append((key, source, target, (len(text), len(batch.targets[place]), *codes[place])))
                self._cells += (len(source) + 1) * len(target)
        while self._cells > MOST_CELLS:
            self._every *= 2
            self._kept = [each for each in self._kept if (each[0] >> 8) % self._every == 0]
            self._cells = sum((len(source) + 1) * len(target) for _, source, target, _ in self._kept)

    def finish(self) -> None:
        """Learn the lexicons, and the evidence of links and surface features."""
        kept, self._kept = self._kept, []
        half = np.array([each[0] & 1 for each in kept], np.int64)
        if np.bincount(half, minlength=2).min() < FEWEST_PAIRS // 2:
            return
        numbers = np.array([each[3] for each in kept], np.uint32)
        lengths = numbers[:, 0], numbers[:, 1]
        codes = numbers[:, 2:5].astype(np.uint8), numbers[:, 5:8].astype(np.uint8)
        pairs = _Pairs(half, ([each[1] for each in kept], [each[2] for each in kept]), lengths, codes)
        one, other = (_learned([each[1:3] for each in kept if each[0] & 1 == number]) for number in (0, 1))
        self._halves = one, other
        self._bounds = size_bounds(lengths[0]), size_bounds(lengths[1])
        observed, shuffled = self._observed(pairs), self._observed(pairs.shuffled())
        self._evidence = Evidence(observed, shuffled)
        middle = np.median(self._evidence.of(shuffled))
        self.share = min(1.0, 2 * float((self._evidence.of(observed) < middle).mean()))

    @property
    def learned(self) -> bool:
        """Whether there were enough pairs."""
        return self._evidence is not None

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.UNRELATED and Kind.DOUBTFUL."""
        for place, confidence in enumerate(self.confidence(batch).tolist()):
            if confidence >= DOUBTFUL:
                kind = FaultKind.UNRELATED if confidence >= CERTAIN else FaultKind.DOUBTFUL
                yield Fault(place, kind, f"confidence {confidence:.2f}")

    def confidence(self, batch: Batch) -> Scores:
        """Return the probability that each pair is unrelated; zeros where too little was learned: (pairs,)."""
        if self._evidence is None:
            return np.zeros(len(batch))
        share = min(max(self.share, LEAST_SHARE), MOST_SHARE)
        odds: Scores = np.log(share / (1 - share)) - TEMPER * self.evidence(batch)
        return 1 / (1 + np.exp(-odds))

    def evidence(self, batch: Batch) -> Scores:
        """Return the evidence that each pair is a translation, in nats: (pairs,)."""
        assert self._evidence is not None
        half = np.array([digest(text) & 1 for text in batch.sources], np.int64)
        lengths = [np.array([len(text) for text in side], np.uint32) for side in (batch.sources, batch.targets)]
        codes = batch.source_surface, batch.target_surface
        return self._evidence.of(self._observed(_Pairs(half, self._words.ids(batch), (lengths[0], lengths[1]), codes)))

    def _observed(self, pairs: _Pairs) -> Observations:
        """Each half is scored by the lexicon of the other."""
        assert self._halves is not None
        sources, targets = pairs.ids
        found: tuple[list[ScoredWords], list[ScoredWords]] = ([], [])
        for number, lexicon in enumerate(reversed(self._halves)):
            places = np.flatnonzero(pairs.half == number)
            for start in range(0, len(places), CHUNK):
                chosen = places[start : start + CHUNK]
                one, other = ([side[place] for place in chosen.tolist()] for side in (sources, targets))
                found[0].append(_scored(chosen, one, other, lexicon.forward, lexicon.target_share))
                found[1].append(_scored(chosen, other, one, lexicon.backward, lexicon.source_share))
        sizes = [size_codes(side, bounds) for side, bounds in zip(pairs.lengths, self._bounds, strict=True)]
        marks = [(pairs.codes[0][:, number], pairs.codes[1][:, number]) for number in range(3)]
        return Observations((_joined(found[0]), _joined(found[1])), [(sizes[0], sizes[1]), *marks])


def _joined(parts: Sequence[ScoredWords]) -> ScoredWords:
    pair, id, score = (
        np.concatenate([np.empty(0, kind), *(getattr(part, name) for part in parts)])
        for name, kind in (("pair", np.int64), ("id", np.int64), ("score", np.float64))
    )
    return ScoredWords(pair, id, score)


def _scored(
    places: NDArray[Any],
    given: Sequence[Ids],
    said: Sequence[Ids],
    table: tuple[NDArray[np.int64], NDArray[np.float32]],
    share: Scores,
) -> ScoredWords:
    """Return the known words of `said`, scored by log(probability given the other side / share)."""
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
    score = np.log((1 - SMOOTHING) * mean / usual + SMOOTHING)
    return ScoredWords(np.repeat(places, said_lengths)[known], sentences.target[known], score[known])


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
