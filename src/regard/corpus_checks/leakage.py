"""Training pairs that also occur in the dev or test set, exactly or nearly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from regard.corpus.corpus import Corpus, Pair
from regard.corpus_checks.base import StatelessCheck
from regard.corpus_checks.duplicates import digest
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch, iter_batches, normalize_words

MIN_SIMILARITY = 0.7  # Jaccard similarity of the words, from which two texts are nearly the same
MIN_WORDS = 4  # of a text that is a leak by itself; different words of a text that is compared by its words
MIN_LETTERS = 12  # of these words
CACHED_QUERIES = 1 << 14  # pairs of word sets whose result is kept
WordSet = frozenset[str]


class HeldOutSet:
    """A dev or test set: the hashes of its sides, and the word sets of its pairs, indexed by their rarest words.

    Pairs with the same word sets are stored once, and similar pairs of the same words are looked for once: in formulas
    and artificial languages, with few words, most pairs share their words with many others.
    """

    def __init__(self, name: str, pairs: Iterable[Pair]) -> None:
        self.name = name
        self.first_lines: dict[tuple[WordSet, WordSet], int] = {}  # of the pairs with these words
        self.exact: tuple[dict[int, int], dict[int, int]] = ({}, {})  # hash of a side -> line number
        self.normalized: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for batch in iter_batches(pairs):
            sides = ((batch.sources, batch.source_words), (batch.targets, batch.target_words))
            for side, (texts, word_lists) in enumerate(sides):
                for line, text, words in zip(batch.lines, texts, word_lists, strict=True):
                    self.exact[side].setdefault(digest(text), line)
                    if _is_distinctive(words):
                        self.normalized[side].setdefault(digest(normalize_words(words)), line)
            for line, source, target in zip(batch.lines, batch.source_words, batch.target_words, strict=True):
                self.first_lines.setdefault((_word_set(source), _word_set(target)), line)
        self._counts = Counter(word for source, _ in self.first_lines for word in source)
        self._by_word: dict[str, list[int]] = {}
        self._word_sets = list(self.first_lines)
        for index, (source_set, _) in enumerate(self._word_sets):
            for word in _rarest_words(source_set, self._counts):
                self._by_word.setdefault(word, []).append(index)
        self._find_similar = lru_cache(CACHED_QUERIES)(self._find_similar_sets)

    def find_similar(self, source: Sequence[str], target: Sequence[str]) -> int | None:
        """Return the line number of a pair whose sides are both similar to these, or None.

        Two similar sets share at least one of their rarest words (the prefix filter of Chaudhuri et al. 2006), so only
        few pairs are compared, and none is missed.
        """
        words = _word_set(source)  # "C C O C" in a formula has two different words, which many others have
        return self._find_similar(words, _word_set(target)) if _is_distinctive(words) else None

    def _find_similar_sets(self, source: WordSet, target: WordSet) -> int | None:
        min_size, max_size = MIN_SIMILARITY * len(source), len(source) / MIN_SIMILARITY
        candidates = {index for word in _rarest_words(source, self._counts) for index in self._by_word.get(word, ())}
        for index in sorted(candidates):
            held_source, held_target = sets = self._word_sets[index]
            if (
                min_size <= len(held_source) <= max_size
                and _are_similar(source, held_source)
                and _are_similar(target, held_target)
            ):
                return self.first_lines[sets]
        return None


class LeakageCheck(StatelessCheck):
    """Finds pairs of the dev and test sets. The words of those sets are held in memory."""

    def __init__(self, held_out: Mapping[str, Corpus]) -> None:
        self._held_out = [HeldOutSet(name, corpus) for name, corpus in held_out.items()]

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.LEAKAGE and FaultKind.NEAR_LEAKAGE; a pair has at most one of them."""
        for index, pair in enumerate(zip(batch.sources, batch.targets, strict=True)):
            words = batch.source_words[index], batch.target_words[index]
            exact = [note for held_out in self._held_out if (note := _describe_exact(held_out, pair, words))]
            if exact:
                yield Fault(index, FaultKind.LEAKAGE, "; ".join(exact))
                continue
            near = [note for held_out in self._held_out if (note := _describe_near(held_out, words))]
            if near:
                yield Fault(index, FaultKind.NEAR_LEAKAGE, "; ".join(near))


def _describe_exact(held_out: HeldOutSet, pair: tuple[str, str], words: tuple[Sequence[str], Sequence[str]]) -> str:
    """Describe which sides occur in the set. A side with few words counts only together with the other one."""
    lines = [held_out.exact[side].get(digest(text)) for side, text in enumerate(pair)]
    if all(lines):
        return f"both sides occur in {held_out.name}, line {lines[0]}"
    for name, line, side_words in zip(("source", "target"), lines, words, strict=True):
        if line and _is_distinctive(side_words):
            return f"the {name} occurs in {held_out.name}, line {line}"
    return ""


def _describe_near(held_out: HeldOutSet, words: tuple[Sequence[str], Sequence[str]]) -> str:
    """Describe a side or a pair that is nearly the same in the set."""
    for side, name in enumerate(("source", "target")):
        if _is_distinctive(words[side]):
            line = held_out.normalized[side].get(digest(normalize_words(words[side])))
            if line:
                return f"the {name} occurs in {held_out.name}, line {line}, except for case, punctuation or digits"
    line = held_out.find_similar(*words)
    return f"similar to {held_out.name}, line {line}" if line else ""


def _is_distinctive(words: Collection[str]) -> bool:
    """Return whether a text, or its set of words, is long enough that it occurs twice only because it was copied."""
    return len(words) >= MIN_WORDS and sum(map(len, words)) >= MIN_LETTERS


def _word_set(words: Sequence[str]) -> WordSet:
    return frozenset(normalize_words(words).split())


def _rarest_words(words: WordSet, counts: Mapping[str, int]) -> list[str]:
    """Return the rarest words of a set, as many as are needed for every similar set to contain one of them."""
    ordered = sorted(words, key=lambda word: (counts.get(word, 0), word))
    return ordered[: len(words) - math.ceil(MIN_SIMILARITY * len(words) - 1e-9) + 1]


def _are_similar(a: WordSet, b: WordSet) -> bool:
    return len(a & b) >= MIN_SIMILARITY * len(a | b)
