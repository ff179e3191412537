"""Text in another script than its side of the corpus is written in; scripts are Unicode's, by fontTools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

from fontTools import unicodedata as scripts

from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

OWN = 0.02  # of a side's letters, from which on a script is its own
MOST_FOREIGN = 0.5  # of a text's letters
FEWEST_FOREIGN = 3  # letters: single ones are symbols, as in formulas
_NEUTRAL = ("Zyyy", "Zinh", "Zzzz")  # common, inherited, unknown
_TOGETHER = {"Hira": "Jpan", "Kana": "Jpan"}


class ScriptCheck:
    """Learns which scripts each side is written in."""

    def __init__(self) -> None:
        self._letters: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.own: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def observe(self, batch: Batch) -> None:
        """The letters of both sides."""
        for counts, texts in zip(self._letters, (batch.sources, batch.targets), strict=True):
            counts.update("".join(texts))
            if len(counts) > 1 << 17:  # more than any language has letters
                for letter, _ in counts.most_common()[1 << 16 :]:
                    del counts[letter]

    def finish(self) -> None:
        """The scripts that have at least OWN of a side's letters."""
        source, target = (_main(counts) for counts in self._letters)
        self.own = source, target

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.SCRIPT."""
        foreign = [self._foreign(side) for side in (0, 1)]
        for place, texts in enumerate(zip(batch.sources, batch.targets, strict=True)):
            said = [
                f"{name}: {told}"
                for name, text, letters in zip(("source", "target"), texts, foreign, strict=True)
                if letters and (told := _strange(text, letters))
            ]
            if said:
                yield Fault(place, FaultKind.SCRIPT, "; ".join(said))

    def _foreign(self, side: int) -> frozenset[str]:
        """Letters that occur on a side and are not of its own scripts."""
        return frozenset(
            letter
            for letter in self._letters[side]
            if script_of(letter) not in (*self.own[side], "") and self.own[side]
        )


def _strange(text: str, foreign: frozenset[str]) -> str:
    """The scripts of a text that has too many letters of another; nothing where it has not."""
    if text.isascii() and "A" not in foreign and foreign.isdisjoint(text):
        return ""
    found = [letter for letter in text if letter in foreign]
    if len(found) < FEWEST_FOREIGN:
        return ""
    letters = sum(1 for letter in text if script_of(letter))
    if len(found) < MOST_FOREIGN * letters:
        return ""
    names = Counter(scripts.script_name(scripts.script(letter)) for letter in found)
    most, count = names.most_common(1)[0]
    return f"{count} of {letters} letters are {most}"


def _main(counts: Counter[str]) -> frozenset[str]:
    of: Counter[str] = Counter()
    for letter, count in counts.items():
        if script := script_of(letter):
            of[script] += count
    return frozenset(script for script, count in of.items() if count >= OWN * of.total())


@cache
def script_of(letter: str) -> str:
    """The code of its script (ISO 15924), Hiragana and Katakana as one; nothing for what is in any script."""
    if not letter.isalpha():
        return ""
    script = scripts.script(letter)
    return "" if script in _NEUTRAL else _TOGETHER.get(script, script)


def script_name(code: str) -> str:
    """What Unicode calls a script, or the writing of Japanese."""
    return "Japanese" if code == "Jpan" else str(scripts.script_name(code))
