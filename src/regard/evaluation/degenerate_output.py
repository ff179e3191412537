"""Detection of degenerate translations, such as loops and copies, without a reference."""

from __future__ import annotations

from collections.abc import Sequence

from regard.text.numbers import find_differences
from regard.text.segments import count_sentences, is_language

LOOP_REPEATS = 3  # repetitions in a row that make a loop
MIN_LOOP_TOKENS = 4  # tokens of a loop in all
MAX_PATTERN = 8  # tokens of a repeated pattern
MAX_LENGTH_RATIO = 3.0  # characters of the longer text to those of the shorter
MIN_WORDS = 5  # in the longer text: neither the length nor a copy means much in shorter ones
COMPARED = ("copy", "long", "short", "fewer", "numbers")  # of a translation and its source, if that is a sentence
LACKS_TERM = "term"
MARKS = {
    "empty": "no text",
    "cut": "the length limit was reached",
    "loop": "the same tokens three or more times in a row",
    "copy": "a copy of the source, of five words or more",
    "long": "more than three times the source's characters",
    "short": "less than a third of the source's characters",
    "fewer": "fewer sentences than the source",
    "numbers": "a number, URL, e-mail address, currency or unit that is not the same as in the source",
    LACKS_TERM: "a term of the glossary is missing",
}
"""Each mark of a translation with its definition. `find_degeneration` finds all but LACKS_TERM, which search sets."""


def find_degeneration(
    source: str, text: str, tokens: Sequence[str], *, finished: bool, languages: tuple[str, str] = ("", "")
) -> tuple[str, ...]:
    """Return the names of the problems that a translation shows.

    - `cut`: the length limit was reached, or no translation was possible.
    - `empty`: there is no text.
    - `loop`: the same one to eight tokens three or more times in a row, four tokens or more in all.
    - `copy`: the translation is the source, of five words or more.
    - `long`, `short`: more than three times, or less than a third of, the source's characters, where the longer
      text has five words or more.
    - `fewer`: fewer sentences than the source; a sentence may be missing. Needs both languages.
    - `numbers`: a number, URL, e-mail address, currency or unit is not the same (see regard.text.numbers).

    Args:
        source: The source text.
        text: Its translation.
        tokens: The tokens of the translation.
        finished: The translation ended with EOS.
        languages: Codes of the source and the target language, empty if unknown.
    """
    if not source.strip():
        return ()
    is_copy = text.split() == source.split()
    words = max(len(source.split()), len(text.split()))
    ratio = (len(text) + 1) / (len(source) + 1)
    problems = {
        "cut": not finished,
        "empty": not text.strip(),
        "loop": _has_loop(tokens),
        "copy": is_copy and words >= MIN_WORDS,
        "long": words >= MIN_WORDS and ratio > MAX_LENGTH_RATIO,
        "short": words >= MIN_WORDS and ratio < 1 / MAX_LENGTH_RATIO and bool(text.strip()),
        "fewer": bool(text.strip()) and _has_fewer_sentences(source, text, *languages),
        "numbers": bool(text.strip()) and bool(find_differences(source, text, languages)),
    }
    return tuple(name for name, applies in problems.items() if applies)


def _has_fewer_sentences(source: str, text: str, source_language: str, target_language: str) -> bool:
    if not (is_language(source_language) and is_language(target_language)):
        return False
    count = count_sentences(source, source_language)
    return count > 1 and count_sentences(text, target_language) < count


def _has_loop(tokens: Sequence[str]) -> bool:
    for size in range(1, min(MAX_PATTERN, len(tokens) // LOOP_REPEATS) + 1):
        repeats = max(LOOP_REPEATS, -(-MIN_LOOP_TOKENS // size))
        run = 0
        for index in range(size, len(tokens)):
            run = run + 1 if tokens[index] == tokens[index - size] else 0
            if run == (repeats - 1) * size:
                return True
    return False
