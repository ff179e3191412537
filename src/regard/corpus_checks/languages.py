"""Text that is not in the language of its side of the corpus, detected by py3langid where it is confident."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from regard.corpus.language_codes import base_code
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

MIN_LETTERS = 20  # of a text; the detector is unreliable on shorter ones
MIN_WORDS = 3
MIN_PROBABILITY = 0.8  # of the detected language
MAX_EXPECTED = 0.05  # probability of the expected language, relative to that of the detected one
MIN_PROBABILITY_SWAPPED = 0.75  # for text in the language of the other side, which is the most common error
MAX_EXPECTED_SWAPPED = 0.1
SAMPLE_SIZE = 2000  # texts per side from which its language is detected
MIN_AGREEMENT = 0.8  # share of the sample that must be in one language
FAMILIAR_SHARE = 0.3  # share of a text's words that are familiar, from which the text is not checked
MIN_COUNT = 2  # occurrences in the sample that make a word familiar

# Languages that the detector often confuses.
_SIMILAR = (
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
def _similar_languages(language: str) -> frozenset[str]:
    return frozenset({language}.union(*(group for group in _SIMILAR if language in group)))


class LanguageCheck:
    """Finds text in an unexpected language.

    Attributes:
        detected: The detected language of each side; empty if it is not clear.
        expected: The language that each side is checked against: the declared one if the detector knows it, else the
            detected one; empty if the side is not checked.
    """

    def __init__(self, source: str = "", target: str = "") -> None:
        """Take the declared language codes of both sides; empty strings if they are unknown."""
        self._declared = (base_code(source), base_code(target))
        self._sample: tuple[Counter[str], Counter[str]] = (Counter(), Counter())  # texts by detected language
        self._word_counts: tuple[dict[str, Counter[str]], dict[str, Counter[str]]] = ({}, {})  # by detected language
        self._familiar: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self.detected = ["", ""]
        self.expected = ["", ""]

    def observe(self, batch: Batch) -> None:
        """Detect the language of some texts of each batch, until the sample is complete."""
        sides = ((batch.sources, batch.source_words), (batch.targets, batch.target_words))
        for sample, word_counts, (texts, words) in zip(self._sample, self._word_counts, sides, strict=True):
            size = min(SAMPLE_SIZE - sample.total(), max(SAMPLE_SIZE // 4, 200))
            long = [index for index, text in enumerate(texts) if _is_long_enough(text)] if size > 0 else []
            for index in long[:: max(1, len(long) // max(size, 1))][:size]:
                language = _detector().classify(texts[index])[0]
                sample[language] += 1
                word_counts.setdefault(language, Counter()).update(words[index])

    def finish(self) -> None:
        """Decide on the language of each side, and on the words that are familiar there."""
        labels = _detector().labels
        for side, sample in enumerate(self._sample):
            language, count = sample.most_common(1)[0] if sample else ("", 0)
            self.detected[side] = language if count >= MIN_AGREEMENT * sample.total() and count else ""
            declared = self._declared[side]
            self.expected[side] = declared if declared in labels and self.detected[side] else self.detected[side]
        source, target = (
            _frequent_words(word_counts.get(language, Counter()))
            for word_counts, language in zip(self._word_counts, self.expected, strict=True)
        )
        self._familiar = (source - target, target - source)
        for word_counts in self._word_counts:
            word_counts.clear()

    def contradictions(self) -> list[str]:
        """Return a sentence for each side whose declared language differs from the detected one."""
        return [
            f"the {side} side is declared as {declared}, by an option or by its file's name, but seems to be {detected}"
            for side, declared, detected in zip(("source", "target"), self._declared, self.detected, strict=True)
            if declared and detected and detected not in _similar_languages(declared) and declared in _detector().labels
        ]

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.LANGUAGE."""
        sides = ((batch.sources, batch.source_words), (batch.targets, batch.target_words))
        foreign = [self._find_foreign(side, texts, words) for side, (texts, words) in enumerate(sides)]
        for index in sorted(foreign[0] | foreign[1]):
            sides_with_notes = zip(("source", "target"), foreign, strict=True)
            note = "; ".join(f"{name}: {notes[index]}" for name, notes in sides_with_notes if index in notes)
            yield Fault(index, FaultKind.LANGUAGE, note)

    def _find_foreign(self, side: int, texts: Sequence[str], words: Sequence[Sequence[str]]) -> dict[int, str]:
        """Return a note for each text in another language, by its index."""
        expected, familiar = self.expected[side], self._familiar[side]
        if not expected:
            return {}
        detector, similar = _detector(), _similar_languages(expected)
        notes = {}
        for index, text in enumerate(texts):
            num_familiar = sum(word in familiar for word in words[index])
            if num_familiar >= FAMILIAR_SHARE * len(words[index]) or not _is_long_enough(text):
                continue
            language, probability = detector.classify(text)
            if language in similar or language == "zxx":
                continue
            is_swapped = language == self.expected[1 - side]
            if probability < (MIN_PROBABILITY_SWAPPED if is_swapped else MIN_PROBABILITY):
                continue
            ranked = dict(detector.rank(text))
            expected_probability = max(ranked.get(code, 0.0) for code in similar)
            if expected_probability < (MAX_EXPECTED_SWAPPED if is_swapped else MAX_EXPECTED) * probability:
                notes[index] = f"seems to be {language} ({probability:.2f}), not {expected}"
        return notes


def _frequent_words(counts: Counter[str]) -> frozenset[str]:
    return frozenset(word for word, count in counts.items() if count >= MIN_COUNT)


def _is_long_enough(text: str) -> bool:
    """Return whether a text has enough letters for its language to be detected."""
    if len(text) < MIN_LETTERS // 2 or (text.isascii() and len(text.split()) < MIN_WORDS):
        return False
    letters = sum(map(str.isalpha, text))
    return letters >= MIN_LETTERS or (not text.isascii() and letters >= MIN_LETTERS // 2 and _is_dense(text))


def _is_dense(text: str) -> bool:
    """Return whether a text has enough CJK letters, each of which carries as much as two or three of an alphabet."""
    return sum(1 for letter in text if letter >= "\u2e80") >= MIN_LETTERS // 2
