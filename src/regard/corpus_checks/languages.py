"""Text in another language than its side of the corpus, by py3langid: told only where it is sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

FEWEST_LETTERS = 20  # of a text; in shorter ones too much is said of too little
SURE = 0.8  # probability that the other language must have
UNLIKELY = 0.05  # of that one's, the most that the side's own may have
SURE_OTHER_SIDE = 0.75  # where the other language is that of the other side: the commonest mistake
UNLIKELY_OTHER_SIDE = 0.1
SAMPLE = 2000  # texts of each side, from which its language is told
CLEAR = 0.8  # of them, that must be in one language
FEWEST_WORDS = 3
FAMILIAR = 0.3  # share of a text's words that are its side's own, from which it is not in another language
FEWEST_TIMES = 2  # in the sample, for a word to be a side's own

# What the detector often takes for one another, and a reader might too.
_KIN = (
    ("bs", "hr", "sr", "sl"),
    ("da", "no", "nb", "nn", "sv", "fo"),
    ("id", "ms", "jv"),
    ("zh", "wuu", "yue"),
    ("ar", "ary", "arz"),
    ("cs", "sk"),
    ("es", "gl", "ca", "an", "ext", "pt", "oc"),
    ("it", "vec", "lij"),
    ("fr", "wa", "oc"),
    ("nl", "af", "fy", "lb"),
    ("de", "lb"),
    ("bg", "mk"),
    ("ru", "uk", "be"),
    ("uz", "uzs"),
    ("az", "tr", "crh", "tk"),
    ("tt", "ba", "kk", "ky"),
    ("hi", "mr", "ne", "sa", "gom"),
    ("zu", "xh"),
)


@cache
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _kin(language: str) -> frozenset[str]:
    return frozenset({language}.union(*(group for group in _KIN if language in group)))


class LanguageCheck:
    """Learns the language of each side from its first long texts; or is told it, where the detector knows it."""

    def __init__(self, source: str = "", target: str = "") -> None:
        self._told = tuple(code.replace("_", "-").split("-")[0].lower() for code in (source, target))
        self._seen: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._words: tuple[dict[str, Counter[str]], dict[str, Counter[str]]] = ({}, {})  # of texts by language
        self._familiar: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self.found = ["", ""]  # what each side seems to be written in; empty where that is not clear
        self.own = ["", ""]  # what its texts are held against; empty: they are not

    def observe(self, batch: Batch) -> None:
        """Some texts of each batch, until there are enough."""
        sides = ((batch.sources, batch.source_words), (batch.targets, batch.target_words))
        for seen, counts, (texts, words) in zip(self._seen, self._words, sides, strict=True):
            wanted = min(SAMPLE - seen.total(), max(SAMPLE // 4, 200))
            long = [place for place, text in enumerate(texts) if _enough(text)] if wanted > 0 else []
            for place in long[:: max(1, len(long) // max(wanted, 1))][:wanted]:
                language = _detector().classify(texts[place])[0]
                seen[language] += 1
                counts.setdefault(language, Counter()).update(words[place])

    def finish(self) -> None:
        """The language of each side."""
        labels = _detector().labels
        for side, seen in enumerate(self._seen):
            language, count = seen.most_common(1)[0] if seen else ("", 0)
            self.found[side] = language if count >= CLEAR * seen.total() and count else ""
            told = self._told[side]
            self.own[side] = told if told in labels and self.found[side] else self.found[side]
        own = [_often(counts.get(language, Counter())) for counts, language in zip(self._words, self.own, strict=True)]
        self._familiar = (own[0] - own[1], own[1] - own[0])
        for counts in self._words:
            counts.clear()

    def contradictions(self) -> list[str]:
        """Sides that are said to be in one language and seem to be in another."""
        return [
            f"the {name} side is said to be {told}, and seems to be {found}"
            for name, told, found in zip(("source", "target"), self._told, self.found, strict=True)
            if told and found and found not in _kin(told) and told in _detector().labels
        ]

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.LANGUAGE."""
        sides = ((batch.sources, batch.source_words), (batch.targets, batch.target_words))
        strange = [self._strange(side, texts, words) for side, (texts, words) in enumerate(sides)]
        for place in sorted(strange[0] | strange[1]):
            said = [
                f"{name}: {found[place]}"
                for name, found in zip(("source", "target"), strange, strict=True)
                if place in found
            ]
            yield Fault(place, FaultKind.LANGUAGE, "; ".join(said))

    def _strange(self, side: int, texts: Sequence[str], words: Sequence[Sequence[str]]) -> dict[int, str]:
        """What is said of the texts, by their places, that are in another language."""
        own, other, familiar = self.own[side], self.own[1 - side], self._familiar[side]
        if not own:
            return {}
        detector, kin = _detector(), _kin(own)
        found = {}
        for place, text in enumerate(texts):
            if sum(word in familiar for word in words[place]) >= FAMILIAR * len(words[place]) or not _enough(text):
                continue
            best, probability = detector.classify(text)
            if best in kin or best == "zxx":
                continue
            mixed = best == other
            if probability < (SURE_OTHER_SIDE if mixed else SURE):
                continue
            ranked = dict(detector.rank(text))
            likely = max(ranked.get(language, 0.0) for language in kin)
            if likely < (UNLIKELY_OTHER_SIDE if mixed else UNLIKELY) * probability:
                found[place] = f"seems to be {best} ({probability:.2f}), not {own}"
        return found


def _often(counts: Counter[str]) -> frozenset[str]:
    return frozenset(word for word, count in counts.items() if count >= FEWEST_TIMES)


def _enough(text: str) -> bool:
    """Whether its language can be told."""
    if len(text) < FEWEST_LETTERS // 2 or (text.isascii() and len(text.split()) < FEWEST_WORDS):
        return False
    letters = sum(map(str.isalpha, text))
    return letters >= FEWEST_LETTERS or (not text.isascii() and letters >= FEWEST_LETTERS // 2 and _dense(text))


def _dense(text: str) -> bool:
    """Of letters that each say as much as two or three of an alphabet."""
    return sum(1 for letter in text if letter >= "\u2e80") >= FEWEST_LETTERS // 2
