"""What tells that a translation has gone wrong without a reference to compare it with."""

from __future__ import annotations

from collections.abc import Sequence

from regard.text.segments import count_sentences, is_language

LOOP = 3  # times in a row
LONGEST_PATTERN = 8  # tokens of what may be repeated
FAR = 3.0  # times as long, or as short, as the source
SHORT = 5  # words: below it neither length nor a copy says anything


def marks(
    source: str, text: str, tokens: Sequence[str], *, finished: bool, languages: tuple[str, str] = ("", "")
) -> tuple[str, ...]:
    """Of `cut`, `empty`, `loop`, `copy`, `long`, `short` and `fewer` those that hold of a translation.

    cut: the length limit was hit, or nothing could be written. loop: the same one to eight tokens stand three
    times in a row at least, and make up four tokens or more. copy: it is its source. long, short: three times as
    many characters as the source or a third, where the longer one has five words or more. fewer: fewer sentences than
    the source, where both languages are known; a sentence may have been lost.
    """
    if not source.strip():
        return ()
    same = text.split() == source.split()
    words = max(len(source.split()), len(text.split()))
    ratio = (len(text) + 1) / (len(source) + 1)
    found = {
        "cut": not finished,
        "empty": not text.strip(),
        "loop": _loops(tokens),
        "copy": same and words >= SHORT,
        "long": words >= SHORT and ratio > FAR,
        "short": words >= SHORT and ratio < 1 / FAR and bool(text.strip()),
        "fewer": bool(text.strip()) and _fewer(source, text, *languages),
    }
    return tuple(name for name, holds in found.items() if holds)


def _fewer(source: str, text: str, source_language: str, target_language: str) -> bool:
    if not (is_language(source_language) and is_language(target_language)):
        return False
    count = count_sentences(source, source_language)
    return count > 1 and count_sentences(text, target_language) < count


def _loops(tokens: Sequence[str]) -> bool:
    for size in range(1, min(LONGEST_PATTERN, len(tokens) // LOOP) + 1):
        times = max(LOOP, -(-4 // size))
        run = 0
        for place in range(size, len(tokens)):
            run = run + 1 if tokens[place] == tokens[place - size] else 0
            if run == (times - 1) * size:
                return True
    return False
