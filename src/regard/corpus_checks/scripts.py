"""Text in another script than its side of the corpus. Scripts are those of Unicode, as fontTools knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

from fontTools import unicodedata as scripts

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

MIN_SHARE = 0.02  # of the letters of a side, from which a script is one of its main scripts
MAX_FOREIGN_SHARE = 0.5  # of the letters of a text
MIN_FOREIGN = 3  # letters; single foreign letters are symbols, as in formulas
MAX_COUNTED = 1 << 17  # distinct letters of a side, more than any language has
_NEUTRAL = ("Zyyy", "Zinh", "Zzzz")  # common, inherited, unknown
_MERGED = {"Hira": "Jpan", "Kana": "Jpan"}


class ScriptCheck:
    """Finds text in a foreign script.

    Attributes:
        main_scripts: The scripts of source and target, as ISO 15924 codes.
    """

    def __init__(self) -> None:
        self._letters: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.main_scripts: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def observe(self, batch: Batch) -> None:
        """Count the letters of both sides."""
        for counts, texts in zip(self._letters, (batch.sources, batch.targets), strict=True):
            counts.update("".join(texts))
            if len(counts) > MAX_COUNTED:
                for letter, _ in counts.most_common()[MAX_COUNTED // 2 :]:
                    del counts[letter]

    def finish(self) -> None:
        """Find the scripts that have at least MIN_SHARE of the letters of a side."""
        source, target = (_main_scripts(counts) for counts in self._letters)
        self.main_scripts = source, target

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.SCRIPT."""
        foreign = [self._foreign_letters(side) for side in (0, 1)]
        for index, texts in enumerate(zip(batch.sources, batch.targets, strict=True)):
            notes = [
                f"{name}: {note}"
                for name, text, letters in zip(("source", "target"), texts, foreign, strict=True)
                if letters and (note := _describe_foreign(text, letters))
            ]
            if notes:
                yield Fault(index, FaultKind.SCRIPT, "; ".join(notes))

    def _foreign_letters(self, side: int) -> frozenset[str]:
        """Return the letters that occur on a side and are not of its main scripts."""
        main = self.main_scripts[side]
        return frozenset(letter for letter in self._letters[side] if main and script_of(letter) not in (*main, ""))


def _describe_foreign(text: str, foreign: frozenset[str]) -> str:
    """Describe a text that has too many foreign letters; return an empty string for any other text."""
    if text.isascii() and "A" not in foreign and foreign.isdisjoint(text):
        return ""
    foreign_letters = [letter for letter in text if letter in foreign]
    if len(foreign_letters) < MIN_FOREIGN:
        return ""
    letters = sum(1 for letter in text if script_of(letter))
    if len(foreign_letters) < MAX_FOREIGN_SHARE * letters:
        return ""
    names = Counter(scripts.script_name(scripts.script(letter)) for letter in foreign_letters)
    name, count = names.most_common(1)[0]
    return f"{count} of {letters} letters are {name}"


def _main_scripts(letters: Counter[str]) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for letter, count in letters.items():
        if script := script_of(letter):
            counts[script] += count
    return frozenset(script for script, count in counts.items() if count >= MIN_SHARE * counts.total())


@cache
def script_of(letter: str) -> str:
    """Return the ISO 15924 code of a letter's script, with Hiragana and Katakana as one; empty if it has no script."""
    if not letter.isalpha():
        return ""
    script = scripts.script(letter)
    return "" if script in _NEUTRAL else _MERGED.get(script, script)


def script_name(code: str) -> str:
    """Return the Unicode name of a script, or `Japanese` for Hiragana and Katakana."""
    return "Japanese" if code == "Jpan" else str(scripts.script_name(code))
