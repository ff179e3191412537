"""Forms of words, such as Haus, Häuser and Hauses, learned from the two sides of a corpus without a dictionary.

Two words of a language are forms of one word if

- they begin with the same stem, case and diacritics ignored, and differ in short endings;
- many stems of the corpus have both endings, and words with these endings tend to be translated alike;
- they are translated alike themselves, as far as the corpus shows it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from regard.terms.words import fold

MAX_WORDS = 100_000  # of each side, the most frequent ones
LONGEST_ENDING = 4  # letters
SHORTEST_STEM = 3  # letters
STEM_SHARE = 0.5  # of the letters of the shorter word
MIN_STEMS = 5  # with both endings whose words' translations can be compared, for two endings to be those of forms
MIN_LINKS = 2  # of each of two words, to compare their translations
MIN_OVERLAP = 0.2  # of the translations of two words that are forms of one
MIN_SURE_OVERLAP = 0.02  # the same for words with sure endings
MIN_ENDING_OVERLAP = 0.25  # on average, of the translations of words with two endings
SURE_STEMS, SURE_OVERLAP = 15, 0.4  # the same for sure endings, which need no comparison
SHORTEST_PART = 3  # letters of a word that, as an ending, makes a compound and not a form
MAX_FORMS = 24
MAX_STEM_WORDS = 60  # words with the same stem and endings; more are not compared
SHORTEST_HEAD = 4  # letters of the last part of a compound

Endings = tuple[str, str]
Translations = Mapping[str, Counter[int]]

_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class WordForms:
    """The forms of the words of one language.

    Attributes:
        families: The forms of each word, most frequent first.
        endings: Pairs of endings that forms of one word have, each pair in order.
    """

    families: tuple[tuple[str, ...], ...] = ()
    endings: frozenset[Endings] = frozenset()
    _index: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for family in self.families:
            for word in family:
                self._index.setdefault(word.casefold(), family)

    def forms(self, word: str) -> tuple[str, ...]:
        """Return a word and its other forms in the corpus, or for a compound those of its last part."""
        family = self._index.get(word.casefold())
        if family is None:
            family = self._compound_forms(word)
        return tuple(dict.fromkeys([word, *family]))

    def base(self, word: str) -> str:
        """Return the most frequent form of a word, which is often that of a dictionary."""
        return self._index.get(word.casefold(), (word,))[0]

    def _compound_forms(self, word: str) -> tuple[str, ...]:
        for at in range(SHORTEST_STEM, len(word) - SHORTEST_HEAD + 1):
            if (family := self._index.get(word[at:].casefold())) is not None:
                return tuple(word[:at] + form.lower() for form in family)
        return ()

    def is_form(self, word: str, base: str) -> bool:
        """Return whether two words differ in case only, are forms of one word, or differ in the endings of forms."""
        if word.casefold() == base.casefold():
            return True
        family, other_family = self._index.get(word.casefold()), self._index.get(base.casefold())
        if family is not None and family is other_family:
            return True
        if family is not None and other_family is not None:
            return False
        return split_endings(fold(word), fold(base)) in self.endings


def split_endings(word: str, second: str) -> Endings | None:
    """Return the endings of two words after their longest common stem, in order; None if one is too long."""
    stem = 0
    while stem < min(len(word), len(second)) and word[stem] == second[stem]:
        stem += 1
    if stem < max(SHORTEST_STEM, STEM_SHARE * min(len(word), len(second))):
        return None
    low, high = sorted((word[stem:], second[stem:]))
    return (low, high) if max(len(low), len(high)) <= LONGEST_ENDING else None


def learn_word_forms(counts: Mapping[str, int], translations: Translations) -> WordForms:
    """Learn the forms of the words of one side.

    Args:
        counts: How often each word occurs.
        translations: How often each casefolded word is aligned with each word of the other side.
    """
    spellings = _frequent_spellings(counts)
    words = list(spellings)[:MAX_WORDS]
    shares = {
        word: {target: count / total for target, count in links.items()}
        for word in words
        if (links := translations.get(word)) and (total := links.total()) >= MIN_LINKS
    }
    overlaps: dict[Endings, list[float]] = defaultdict(list)
    candidates: list[tuple[float, str, str, Endings]] = []
    for word, second, endings in _candidates(words):
        overlap = _overlap(shares.get(word), shares.get(second))
        if overlap is not None:
            overlaps[endings].append(overlap)
        candidates.append((-1.0 if overlap is None else overlap, word, second, endings))
    means = {
        endings: sum(values) / len(values)
        for endings, values in overlaps.items()
        if len(values) >= MIN_STEMS and not any(len(part) >= SHORTEST_PART and part in spellings for part in endings)
    }
    valid = {endings for endings, mean in means.items() if mean >= MIN_ENDING_OVERLAP}
    sure = {endings for endings in valid if means[endings] >= SURE_OVERLAP and len(overlaps[endings]) >= SURE_STEMS}
    edges = [
        (overlap, word, second)
        for overlap, word, second, endings in candidates
        if (overlap >= MIN_OVERLAP and endings in valid)
        or ((overlap < 0 or overlap >= MIN_SURE_OVERLAP) and endings in sure)
    ]
    return WordForms(tuple(_join_families(edges, spellings)), frozenset(sure))


def _frequent_spellings(counts: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Return the most frequent spelling and the count of each casefolded word of letters, most frequent first."""
    best: dict[str, tuple[str, int]] = {}
    totals: Counter[str] = Counter()
    for word, count in counts.items():
        if _WORD.fullmatch(word):
            key = word.casefold()
            totals[key] += count
            if count > best.get(key, ("", 0))[1]:
                best[key] = word, count
    return {key: (best[key][0], total) for key, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))}


def _candidates(words: Sequence[str]) -> Iterator[tuple[str, str, Endings]]:
    """Yield pairs of words whose folded forms have the same stem and differ in short endings."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for word in words:
        folded = fold(word)
        for end in range(max(SHORTEST_STEM, len(folded) - LONGEST_ENDING), len(folded) + 1):
            by_stem[folded[:end]].append(word)
    for stem, members in by_stem.items():
        if not 2 <= len(members) <= MAX_STEM_WORDS:
            continue
        for word, relative in combinations(members, 2):
            first, second = fold(word)[len(stem) :], fold(relative)[len(stem) :]
            if first[:1] == second[:1] and first:
                continue  # they have a longer stem
            endings = split_endings(fold(word), fold(relative))
            if endings is not None:
                yield word, relative, endings


def _overlap(shares: Mapping[int, float] | None, other_shares: Mapping[int, float] | None) -> float | None:
    if shares is None or other_shares is None:
        return None
    return sum(min(share, other_shares.get(target, 0.0)) for target, share in shares.items())


def _join_families(
    edges: list[tuple[float, str, str]], spellings: Mapping[str, tuple[str, int]]
) -> Iterator[tuple[str, ...]]:
    """Join words into families, the surest edges first; all words of a family have a common stem."""
    family_of: dict[str, list[str]] = {}
    for _, word, relative in sorted(edges, key=lambda edge: (-edge[0], edge[1], edge[2])):
        first, second = family_of.get(word, [word]), family_of.get(relative, [relative])
        if first is second or len(first) + len(second) > MAX_FORMS or not _have_stem([*first, *second]):
            continue
        joined = [*first, *second]
        family_of.update(dict.fromkeys(joined, joined))
    for family in {id(family): family for family in family_of.values()}.values():
        by_count = sorted(family, key=lambda word: (-spellings[word][1], word))
        yield tuple(spellings[word][0] for word in by_count)


def _have_stem(words: Sequence[str]) -> bool:
    folded = [fold(word) for word in words]
    shortest, longest = min(folded, key=len), max(folded, key=len)
    first, last = min(folded), max(folded)
    stem = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return stem >= max(SHORTEST_STEM, STEM_SHARE * len(shortest)) and len(longest) - stem <= LONGEST_ENDING
