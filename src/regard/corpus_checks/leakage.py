"""Training pairs that stand in the dev or test set too, as they are or nearly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from regard.corpus.corpus import Corpus, Pair
from regard.corpus_checks.base import StatelessCheck
from regard.corpus_checks.duplicates import digest
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch, iter_batches, normalize_words

ALIKE = 0.7  # words of both sets by words of either, from which on two texts are nearly the same
FEWEST_WORDS = 4  # of a text that may be nearly another, or be a leak by its one side
FEWEST_LETTERS = 12  # of such a text: phones are short words
Words = frozenset[str]


class HeldOutSet:
    """A dev or test set: every side's hash, and the words of its pairs, found by the rarest of them."""

    def __init__(self, name: str, pairs: Iterable[Pair]) -> None:
        self.name = name
        self.lines: list[int] = []
        self.texts: list[tuple[Words, Words]] = []
        self.exact: tuple[dict[int, int], dict[int, int]] = ({}, {})  # hash of a side: line
        self.folded: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for batch in iter_batches(pairs):
            sides = (batch.source_words, batch.target_words)
            for side, (texts, words) in enumerate(zip((batch.sources, batch.targets), sides, strict=True)):
                for line, text, each in zip(batch.lines, texts, words, strict=True):
                    self.exact[side].setdefault(digest(text), line)
                    if _telling(each):
                        self.folded[side].setdefault(digest(normalize_words(each)), line)
            self.lines.extend(batch.lines)
            self.texts.extend((_set(one), _set(other)) for one, other in zip(*sides, strict=True))
        self._count = Counter(word for source, _ in self.texts for word in source)
        self._by_word: dict[str, list[int]] = {}
        for number, (source, _) in enumerate(self.texts):
            for word in _rarest(source, self._count):
                self._by_word.setdefault(word, []).append(number)

    def near(self, source: Sequence[str], target: Sequence[str]) -> int | None:
        """The line of a pair of which both sides are ALIKE to these; None if there is none.

        Two sets that are so much alike share one of the rarest words of each (the prefix filter of Chaudhuri et al.
        2006), so that few are compared and none is missed.
        """
        one = _set(source)
        if not _telling(source):
            return None
        least, most = ALIKE * len(one), len(one) / ALIKE
        found = {number for word in _rarest(one, self._count) for number in self._by_word.get(word, ())}
        for number in sorted(found):
            theirs = self.texts[number]
            if least <= len(theirs[0]) <= most and _alike(one, theirs[0]) and _alike(_set(target), theirs[1]):
                return self.lines[number]
        return None


class LeakageCheck(StatelessCheck):
    """A corpus against its dev and test sets, whose words are held in memory."""

    def __init__(self, held: Mapping[str, Corpus]) -> None:
        self._held = [HeldOutSet(name, corpus) for name, corpus in held.items()]

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.LEAKAGE and Kind.NEAR_LEAKAGE; a pair has at most one of both."""
        for place, pair in enumerate(zip(batch.sources, batch.targets, strict=True)):
            words = batch.source_words[place], batch.target_words[place]
            exact = [told for held in self._held if (told := _exact(held, pair, words))]
            if exact:
                yield Fault(place, FaultKind.LEAKAGE, "; ".join(exact))
                continue
            near = [told for held in self._held if (told := _near(held, words))]
            if near:
                yield Fault(place, FaultKind.NEAR_LEAKAGE, "; ".join(near))


def _exact(held: HeldOutSet, pair: tuple[str, str], words: tuple[Sequence[str], Sequence[str]]) -> str:
    """Which sides stand there; a side of few words counts only beside the other."""
    lines = [held.exact[side].get(digest(text)) for side, text in enumerate(pair)]
    if all(lines):
        return f"both sides stand in {held.name}, line {lines[0]}"
    for name, line, each in zip(("source", "target"), lines, words, strict=True):
        if line and _telling(each):
            return f"the {name} stands in {held.name}, line {line}"
    return ""


def _near(held: HeldOutSet, words: tuple[Sequence[str], Sequence[str]]) -> str:
    for side, name in enumerate(("source", "target")):
        if _telling(words[side]) and (line := held.folded[side].get(digest(normalize_words(words[side])))):
            return f"the {name} stands in {held.name}, line {line}, but for case, punctuation or digits"
    line = held.near(*words)
    return f"nearly as in {held.name}, line {line}" if line else ""


def _telling(words: Sequence[str]) -> bool:
    """Whether so long a text stands in two places for no other reason than that it was copied."""
    return len(words) >= FEWEST_WORDS and sum(map(len, words)) >= FEWEST_LETTERS


def _set(words: Sequence[str]) -> Words:
    return frozenset(normalize_words(words).split())


def _rarest(words: Words, count: Mapping[str, int]) -> list[str]:
    """So many of the rarest words that a set ALIKE to this one has one of them."""
    ordered = sorted(words, key=lambda word: (count.get(word, 0), word))
    return ordered[: len(words) - math.ceil(ALIKE * len(words) - 1e-9) + 1]


def _alike(one: Words, other: Words) -> bool:
    return len(one & other) >= ALIKE * len(one | other)
