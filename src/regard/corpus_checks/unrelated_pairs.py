"""Pairs that are not translations of each other, by the evidence of a lexicon learned from the corpus itself.

The corpus is divided into two halves, and the pairs of each half are scored by the lexicon (IBM Model 1) of the other:
a lexicon that was learned from a pair would link its rare words in any case. The links and surface features of
unrelated pairs are measured on shuffled pairs, so no knowledge of the languages is needed; see evidence.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.corpus.ibm_model1 import NULL, Sentences, ibm_model_1
from regard.corpus_checks.duplicates import digest
from regard.corpus_checks.evidence import Evidence, Observations, ScoredWords
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch
from regard.corpus_checks.surface import Codes, size_bounds, size_codes
from regard.special_tokens import PAD

Ids = NDArray[np.int32]
Scores = NDArray[np.float64]
LexiconTable = tuple[NDArray[np.int64], NDArray[np.float32]]  # sorted keys and their probabilities

MAX_LINKS = 1 << 23  # word-to-word links used for learning
MAX_WORDS = 1 << 19  # distinct words; later ones are UNKNOWN
MAX_LENGTH = 40  # words of a side that are used
PREFIX_LENGTH = 5  # characters of a word that are used; the rest is mostly inflection
ITERATIONS = 3
MIN_PAIRS = 2000  # for a lexicon
UNKNOWN = PAD + 1
SMOOTHING = 0.1  # weight of a word's frequency in its probability
SAME_WORD_PROBABILITY = 0.3  # of a word that is on the other side too
MIN_PROBABILITY = 1e-3  # of an entry of the lexicon
MIN_COUNT = 3  # occurrences of a word
CHUNK = 8192  # pairs scored at a time

TEMPERATURE = 0.35  # weight of the evidence, as the words of a sentence are not independent; fitted on planted pairs
MIN_SHARE = 0.001  # of unrelated pairs that is assumed for every corpus
MAX_SHARE = 0.5
UNRELATED_CONFIDENCE = 0.9  # from which a pair is reported as UNRELATED
DOUBTFUL_CONFIDENCE = 0.5  # from which it is reported as DOUBTFUL


@dataclass(frozen=True)
class _Lexicon:
    """The lexicon of one half of the corpus.

    Attributes:
        forward: P(target | source), by the keys source x MAX_WORDS + target.
        backward: P(source | target), by the keys target x MAX_WORDS + source.
        source_frequency: The relative frequency of each source word, 0 if it is rare: (words,).
        target_frequency: The same for target words.
    """

    forward: LexiconTable
    backward: LexiconTable
    source_frequency: Scores
    target_frequency: Scores


@dataclass(frozen=True, slots=True)
class _SampledPair:
    """A pair that the lexicon is learned from."""

    key: int  # hash of the source
    source: Ids
    target: Ids
    numbers: tuple[int, ...]  # both lengths in characters, then the surface codes of both sides


@dataclass
class _EncodedPairs:
    """Pairs as UnrelatedPairCheck sees them.

    Attributes:
        half: The half of the corpus, 0 or 1: (pairs,).
        ids: The word ids of the sources and of the targets.
        lengths: The source and target lengths in characters: (pairs,) each.
        codes: The source and target surface codes: (pairs, 3) each.
    """

    half: NDArray[np.int64]
    ids: tuple[list[Ids], list[Ids]]
    lengths: tuple[NDArray[np.uint32], NDArray[np.uint32]]
    codes: tuple[Codes, Codes]

    def shuffled(self) -> _EncodedPairs:
        """Return the sources with the targets of random pairs of the same half."""
        order = np.arange(len(self.half))
        for half in (0, 1):
            indices = np.flatnonzero(self.half == half)
            order[indices] = np.random.default_rng(half).permutation(indices)
        (source_ids, target_ids), (source_lengths, target_lengths) = self.ids, self.lengths
        source_codes, target_codes = self.codes
        return _EncodedPairs(
            self.half,
            (source_ids, [target_ids[index] for index in order.tolist()]),
            (source_lengths, target_lengths[order]),
            (source_codes, target_codes[order]),
        )


class WordIds:
    """Maps texts to ids: of words, or of characters if a side has no spaces between words, or one word per line."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._by_character: tuple[bool, bool] | None = None

    def encode(self, batch: Batch) -> tuple[list[Ids], list[Ids]]:
        """Return the ids of both sides of a batch. The first batch decides whether a side is split into characters."""
        sides = (batch.source_words, batch.target_words)
        if self._by_character is None:
            source, target = map(_lacks_spaces, sides)
            self._by_character = (source, target)
        source_ids, target_ids = (
            [
                self._encode_units("".join(words) if by_character else [word[:PREFIX_LENGTH] for word in words])
                for words in side
            ]
            for side, by_character in zip(sides, self._by_character, strict=True)
        )
        return source_ids, target_ids

    def _encode_units(self, units: Sequence[str]) -> Ids:
        ids = self._ids
        for unit in units:
            if unit not in ids and len(ids) < MAX_WORDS - UNKNOWN - 1:
                ids[unit] = len(ids) + UNKNOWN + 1
        return np.array([ids.get(unit, UNKNOWN) for unit in units[:MAX_LENGTH]], np.int32)


def _lacks_spaces(side: Sequence[Sequence[str]]) -> bool:
    words = sum(map(len, side))
    return words < 1.5 * len(side) or sum(len(word) for text in side for word in text) > 12 * words


class UnrelatedPairCheck:
    """Finds unrelated pairs by the evidence for each pair. Memory: about 12 bytes per link of MAX_LINKS, and MAX_WORDS.

    Attributes:
        share: The estimated share of unrelated pairs.
    """

    def __init__(self) -> None:
        self._word_ids = WordIds()
        self._sample: list[_SampledPair] = []
        self._num_links = 0
        self._interval = 1  # one of this many pairs is in the sample, selected by hash
        self._lexicons: tuple[_Lexicon, _Lexicon] | None = None
        self._bounds: tuple[Scores, Scores] = (np.empty(0), np.empty(0))  # of the length classes of both sides
        self._evidence: Evidence | None = None
        self.share = 0.0

    def observe(self, batch: Batch) -> None:
        """Add pairs to the sample: all of them, as long as they have at most MAX_LINKS links."""
        codes = np.hstack([batch.source_surface, batch.target_surface]).tolist()
        encoded = zip(batch.sources, batch.targets, *self._word_ids.encode(batch), codes, strict=True)
        for source_text, target_text, source, target, surface in encoded:
            key = digest(source_text)
            if self._is_sampled(key) and len(source) and len(target):
                self._sample.append(_SampledPair(key, source, target, (len(source_text), len(target_text), *surface)))
                self._num_links += (len(source) + 1) * len(target)
        while self._num_links > MAX_LINKS:
            self._interval *= 2
            self._sample = [pair for pair in self._sample if self._is_sampled(pair.key)]
            self._num_links = sum((len(pair.source) + 1) * len(pair.target) for pair in self._sample)

    def _is_sampled(self, key: int) -> bool:
        return (key >> 8) % self._interval == 0

    def finish(self) -> None:
        """Learn the two lexicons, and the evidence of links and surface features."""
        sample, self._sample = self._sample, []
        half = np.array([pair.key & 1 for pair in sample], np.int64)
        if np.bincount(half, minlength=2).min() < MIN_PAIRS // 2:
            return
        numbers = np.array([pair.numbers for pair in sample], np.uint32)  # (pairs, 8)
        lengths = numbers[:, 0], numbers[:, 1]
        codes = numbers[:, 2:5].astype(np.uint8), numbers[:, 5:8].astype(np.uint8)
        ids = [pair.source for pair in sample], [pair.target for pair in sample]
        pairs = _EncodedPairs(half, ids, lengths, codes)
        first, second = (_learn_lexicon([pair for pair in sample if pair.key & 1 == number]) for number in (0, 1))
        self._lexicons = first, second
        self._bounds = size_bounds(lengths[0]), size_bounds(lengths[1])
        observed, shuffled = self._observations(pairs), self._observations(pairs.shuffled())
        self._evidence = Evidence(observed, shuffled)
        # Half of all unrelated pairs have less evidence than the median shuffled pair.
        median = np.median(self._evidence.score(shuffled))
        self.share = min(1.0, 2 * float((self._evidence.score(observed) < median).mean()))

    @property
    def has_lexicon(self) -> bool:
        """Whether there were enough pairs to learn a lexicon."""
        return self._evidence is not None

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.UNRELATED and FaultKind.DOUBTFUL."""
        for index, confidence in enumerate(self.confidence(batch).tolist()):
            if confidence >= DOUBTFUL_CONFIDENCE:
                kind = FaultKind.UNRELATED if confidence >= UNRELATED_CONFIDENCE else FaultKind.DOUBTFUL
                yield Fault(index, kind, f"confidence {confidence:.2f}")

    def confidence(self, batch: Batch) -> Scores:
        """Return the probability that each pair is unrelated, or zeros without a lexicon: (pairs,)."""
        if self._evidence is None:
            return np.zeros(len(batch))
        share = min(max(self.share, MIN_SHARE), MAX_SHARE)
        log_odds: Scores = np.log(share / (1 - share)) - TEMPERATURE * self.evidence(batch)
        return 1 / (1 + np.exp(-log_odds))

    def evidence(self, batch: Batch) -> Scores:
        """Return the evidence that each pair is a translation, in nats: (pairs,)."""
        assert self._evidence is not None
        half = np.array([digest(text) & 1 for text in batch.sources], np.int64)
        source_lengths = np.array([len(text) for text in batch.sources], np.uint32)
        target_lengths = np.array([len(text) for text in batch.targets], np.uint32)
        codes = batch.source_surface, batch.target_surface
        pairs = _EncodedPairs(half, self._word_ids.encode(batch), (source_lengths, target_lengths), codes)
        return self._evidence.score(self._observations(pairs))

    def _observations(self, pairs: _EncodedPairs) -> Observations:
        """Score the words of each half by the lexicon of the other half."""
        assert self._lexicons is not None
        target_words: list[ScoredWords] = []
        source_words: list[ScoredWords] = []
        for half, lexicon in enumerate(reversed(self._lexicons)):
            indices = np.flatnonzero(pairs.half == half)
            for start in range(0, len(indices), CHUNK):
                chunk = indices[start : start + CHUNK]
                sources, targets = ([side[index] for index in chunk.tolist()] for side in pairs.ids)
                target_words.append(_score_words(chunk, sources, targets, lexicon.forward, lexicon.target_frequency))
                source_words.append(_score_words(chunk, targets, sources, lexicon.backward, lexicon.source_frequency))
        sizes = [size_codes(side, bounds) for side, bounds in zip(pairs.lengths, self._bounds, strict=True)]
        surface = [(pairs.codes[0][:, number], pairs.codes[1][:, number]) for number in range(3)]
        return Observations((_concatenate(target_words), _concatenate(source_words)), [(sizes[0], sizes[1]), *surface])


def _concatenate(parts: Sequence[ScoredWords]) -> ScoredWords:
    pair, id, score = (
        np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)])
        for name, dtype in (("pair", np.int64), ("id", np.int64), ("score", np.float64))
    )
    return ScoredWords(pair, id, score)


def _score_words(
    pairs: NDArray[Any],
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    table: LexiconTable,
    frequency: Scores,
) -> ScoredWords:
    """Score the known words of the targets by log(P(word | source) / frequency).

    Args:
        pairs: The index of each pair: (pairs,).
        sources: The word ids of each source.
        targets: The word ids of each target.
        table: P(target | source).
        frequency: The relative frequency of each target word: (words,).
    """
    keys, probability = table
    sentences = _as_sentences(sources, targets)
    source_lengths, target_lengths = np.diff(sentences.source_offsets), np.diff(sentences.target_offsets)
    # A link is a target word with a source word of its pair. The links of a target word are consecutive.
    num_links = np.repeat(source_lengths, target_lengths)  # (target words,)
    first = num_links.cumsum() - num_links
    source_starts = np.repeat(sentences.source_offsets[:-1], target_lengths)
    source_index = np.arange(num_links.sum()) + np.repeat(source_starts - first, num_links)
    source, target = sentences.source[source_index], np.repeat(sentences.target, num_links)  # (links,) each
    key = source * MAX_WORDS + target
    position = np.searchsorted(keys, key).clip(max=max(len(keys) - 1, 0))
    link_probability = np.where(keys[position] == key, probability[position], 0.0)
    mean = np.add.reduceat(link_probability, first) / num_links  # (target words,)
    is_same = np.maximum.reduceat((source == target) & (source != UNKNOWN), first)
    mean = np.where(is_same, np.maximum(mean, SAME_WORD_PROBABILITY), mean)
    usual = frequency[sentences.target]
    is_known = (usual > 0) | is_same
    usual = np.where(usual > 0, usual, frequency[frequency > 0].min(initial=1.0))
    score = np.log((1 - SMOOTHING) * mean / usual + SMOOTHING)
    return ScoredWords(np.repeat(pairs, target_lengths)[is_known], sentences.target[is_known], score[is_known])


def _as_sentences(sources: Sequence[Ids], targets: Sequence[Ids]) -> Sentences:
    """Concatenate the texts, with NULL before each source."""
    null = np.array([NULL], np.int32)
    source = np.concatenate([part for text in sources for part in (null, text)]).astype(np.int64)
    target = np.concatenate(targets).astype(np.int64)
    source_ends = np.cumsum([len(text) + 1 for text in sources])
    target_ends = np.cumsum([len(text) for text in targets])
    return Sentences(source, np.concatenate([[0], source_ends]), target, np.concatenate([[0], target_ends]))


def _learn_lexicon(pairs: Sequence[_SampledPair]) -> _Lexicon:
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    return _Lexicon(
        forward=_learn_table(sources, targets),
        backward=_learn_table(targets, sources),
        source_frequency=_word_frequency(sources),
        target_frequency=_word_frequency(targets),
    )


def _learn_table(sources: list[Ids], targets: list[Ids]) -> LexiconTable:
    lexicon = ibm_model_1(_as_sentences(sources, targets), MAX_WORDS, ITERATIONS)
    is_entry = (lexicon.probability >= MIN_PROBABILITY) & (lexicon.source != UNKNOWN) & (lexicon.target != UNKNOWN)
    keys = (lexicon.source * MAX_WORDS + lexicon.target)[is_entry]
    return keys, lexicon.probability[is_entry].astype(np.float32)


def _word_frequency(texts: list[Ids]) -> Scores:
    """Return the relative frequency of each word; 0 for a word that occurs fewer than MIN_COUNT times."""
    counts = np.bincount(np.concatenate(texts), minlength=MAX_WORDS).astype(np.float64)
    counts[UNKNOWN] = 0
    frequency: Scores = np.where(counts >= MIN_COUNT, counts, 0) / max(counts.sum(), 1)
    return frequency
