"""What goes wrong in translations, counted: what marks tell, and what a reference shows to be no fault or one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

LONGEST_PHRASE = 4  # words of what is said twice
CHARACTERS = 10  # of the longer text; below it a ratio says nothing
LETTERS = 4  # the least of a word that counts as left untranslated; shorter ones may be words of both languages
EXPLAINED = {
    "empty": "nothing was written",
    "cut": "the length limit was hit",
    "loop": "the same tokens three times in a row or more",
    "copy": "the source as it is, of five words or more",
    "long": "more than three times the source's characters",
    "short": "less than a third of the source's characters",
    "fewer": "fewer sentences than the source",
    "repeated": "a phrase of one to four words twice in a row, where the reference has no such repeat",
    "untranslated": "a word of the source, of four letters or more, that the reference does not have",
    "half": "less than half of the reference's characters",
    "double": "more than twice the reference's characters",
}
"""Every fault, and when it is one; the first seven are regard.evaluation.degenerate_output'."""


def faults(marks: Collection[str], source: str, hypothesis: str, reference: str) -> tuple[str, ...]:
    """Of EXPLAINED those that hold of a hypothesis; words are without case and punctuation.

    marks: what regard.evaluation.degenerate_output told of it.
    """
    length, wanted = len(hypothesis.strip()), len(reference.strip())
    enough = max(length, wanted) >= CHARACTERS
    said, meant, asked = (_words(text) for text in (hypothesis, reference, source))
    found = {
        "repeated": _repeats(said) > _repeats(meant),
        "untranslated": bool(left_over(asked, said, meant)) and "copy" not in marks,
        "half": enough and 0 < 2 * length < wanted,
        "double": enough and length > 2 * wanted,
    }
    return tuple(name for name in EXPLAINED if name in marks or found.get(name))


def left_over(source: Sequence[str], hypothesis: Sequence[str], reference: Sequence[str]) -> list[str]:
    """Words of the hypothesis that are the source's and not the reference's, in their order."""
    kept = set(source) - set(reference)
    return [word for word in hypothesis if word in kept and sum(map(str.isalpha, word)) >= LETTERS]


def _words(text: str) -> list[str]:
    plain = "".join(letter if letter.isalnum() or letter in "'’-" else " " for letter in text.casefold())
    return [word for word in plain.split() if any(map(str.isalnum, word))]


def _repeats(words: Sequence[str]) -> int:
    """How often a phrase stands right behind itself."""
    return sum(
        words[place - size : place] == words[place : place + size]
        for size in range(1, LONGEST_PHRASE + 1)
        for place in range(size, len(words) - size + 1)
    )


def counted(found: Sequence[Collection[str]]) -> dict[str, int]:
    """How many sentences have each fault, of all that there are."""
    counts = Counter(name for some in found for name in some)
    return {name: counts[name] for name in EXPLAINED}
