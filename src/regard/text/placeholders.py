r"""What must come through a translation unharmed: `%s`, `{name}`, `${var}`, URLs, numbers, entities, emoji, `\n`.

A translation is compared with its source by what stands in both, counted. `%s` and the like without a number take
their arguments by their order, so theirs has to stay as well. A number may change its separators, and no digit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from regard.text.emoji import PATTERN

_PATTERNS = (
    ("emoji", PATTERN),
    (
        "address",
        r"\b(?:https?|ftp|file|ghelp|help|mailto|apt|git|ssh):[^\s<>\"'()\[\]{}»«“”]*[^\s<>\"'()\[\]{}.,;:!?»«“”]",
    ),
    ("address", r"\bwww\.[^\s<>\"'()\[\]{}]*[^\s<>\"'()\[\]{}.,;:!?]"),
    ("address", r"\b[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
    ("tag", r"</?[A-Za-z][^<>]{0,2000}>"),
    ("entity", r"&(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z_][\w.-]{0,63});"),
    ("argument", r"%\([A-Za-z_]\w{0,63}\)[-+#0]{0,3}\d{0,4}(?:\.\d{1,4})?[diouxXeEfFgGcrs]"),
    ("argument", r"%\d{1,3}\$[-+#0']{0,3}\d{0,4}(?:\.(?:\*|\d{1,4}))?(?:hh|h|ll|l|j|z|t|L|q)?[diouxXeEfFgGaAcspn@]"),
    (
        "ordered",
        r"%[-+#0']{0,3}(?:\*|\d{1,4})?(?:\.(?:\*|\d{0,4}))?(?:<PRI\w{1,12}>|(?:hh|h|ll|l|j|z|t|L|q)?[diouxXeEfFgGaAcspnm@])",
    ),
    ("argument", r"%L?\d{1,2}|%%|%[{<][A-Za-z_]\w{0,63}[}>]"),
    ("argument", r"\$\{[^{}\s]{1,200}\}|\$\([^()\s]{1,200}\)|\$[A-Za-z_]\w{0,63}"),
    ("argument", r"\{\{[^{}\n]{0,200}\}\}|\{[^{}\n]{0,200}\}"),
    ("option", r"(?<![\w-])--[A-Za-z][\w-]{0,63}"),
    ("escape", r"\\[abfnrtv\\\"']"),
    ("number", r"(?<!\d)\d+(?:[.,:\u00a0\u202f]\d+)*"),
)
_FOUND = re.compile("|".join(f"(?P<{kind}_{place}>{one})" for place, (kind, one) in enumerate(_PATTERNS)))
_SEPARATORS = re.compile(r"[.,\u00a0\u202f]")


@dataclass(frozen=True)
class Placeholder:
    """Characters start to end of a text, and of what kind: `number`, `ordered` (by its place), or another."""

    start: int
    end: int
    text: str
    kind: str

    @property
    def key(self) -> str:
        """What is counted: of a number its digits."""
        return _SEPARATORS.sub("", self.text) if self.kind == "number" else self.text


def find_placeholders(text: str, literal: Sequence[tuple[int, int]] = ()) -> list[Placeholder]:
    """All in a text, in order; `literal` spans, in order, are taken as they are, and nothing is sought in them."""
    found: list[Placeholder] = []
    at = 0
    for start, end in [*literal, (len(text), len(text))]:
        for match in _FOUND.finditer(text, at, start):
            kind = (match.lastgroup or "").rpartition("_")[0]
            found.append(Placeholder(match.start(), match.end(), match[0], kind))
        if end > start:
            found.append(Placeholder(start, end, text[start:end], "literal"))
        at = end
    return found


def locate_literals(source: str, spans: Sequence[tuple[int, int]], text: str) -> list[tuple[int, int]] | None:
    """Where in a text each of the source's spans stands again, in the order of the text.

    None unless the text has each as often as the source has, in its spans and elsewhere; where it stands elsewhere
    too, the same one of them is taken. One within a longer word is none, unless it is in one in the source.
    """
    if not spans:
        return []
    literals = sorted({source[start:end] for start, end in spans}, key=lambda one: (-len(one), one))
    pattern = re.compile("|".join(_alone(one, source, spans) for one in literals))
    there, here = (_occurrences(pattern, side) for side in (source, text))
    found = []
    for start, end in spans:
        literal = source[start:end]
        before, after = there.get(literal, []), here.get(literal, [])
        if len(before) != len(after) or (start, end) not in before:
            return None
        found.append(after[before.index((start, end))])
    return sorted(found)


def _occurrences(pattern: re.Pattern[str], text: str) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for match in pattern.finditer(text):
        found.setdefault(match[0], []).append(match.span())
    return found


def _alone(literal: str, source: str, spans: Sequence[tuple[int, int]]) -> str:
    before, after = r"(?<!\w)" if literal[0].isalnum() else "", r"(?!\w)" if literal[-1].isalnum() else ""
    bounded = re.compile(before + re.escape(literal) + after)
    if all(bounded.match(source, start) for start, end in spans if source[start:end] == literal):
        return bounded.pattern
    return re.escape(literal)


def placeholder_error(source: Sequence[Placeholder], target: Sequence[Placeholder]) -> str:
    """Why the placeholders of a translation are not its source's; nothing where they are."""
    before, after = (Counter(one.key for one in side if one.kind != "literal") for side in (source, target))
    if lost := before - after:
        return "it lost " + ", ".join(sorted(lost.elements()))
    if new := after - before:
        return "it has more of " + ", ".join(sorted(new.elements()))
    first, second = ([one.text for one in side if one.kind == "ordered"] for side in (source, target))
    if first != second:
        return f"it has {', '.join(second)} in another order"
    return ""


_WORD_START = re.compile(r"(?:(?<=\s)|(?<![\s\S])|(?<=[(\[\"“„«»'/]))([_&])(?=[^\W\d_])")
_WITHIN = re.compile(r"(?<=[^\W\d_])([_&])(?=[a-zß-ÿ])")
MENU_WORDS = 8  # what has more is no label of a menu or a button


def split_accelerator(text: str) -> tuple[str, str, str]:
    """A label without its accelerator's mark, the mark (`_`, `&` or nothing), and the letter behind it."""
    for sign in "_&":
        if text.count(sign) != 1 or len(text.split()) > MENU_WORDS:
            continue
        match = _WORD_START.search(text)
        if match is None and len(text.split()) <= 2 and text[:1].isupper():
            match = _WITHIN.search(text)
        if match is None or match[1] != sign:
            continue
        at = match.start()
        if any(one.start <= at < one.end for one in find_placeholders(text)):
            continue
        return text[:at] + text[at + 1 :], sign, text[at + 1]
    return text, "", ""


def place_accelerator(text: str, letter: str, taken: Sequence[tuple[int, int]] = ()) -> int | None:
    """Before which character a mark is put: before the same letter, if there is one, at a word's beginning rather.

    None where no letter is free of what is `taken`.
    """
    free = [
        place
        for place, character in enumerate(text)
        if character.isalpha() and not any(start <= place < end for start, end in taken)
    ]

    def rank(place: int) -> tuple[bool, bool, int]:
        begins = place == 0 or not text[place - 1].isalnum()
        return text[place].lower() != letter.lower(), not begins, place

    return min(free, key=rank) if free else None
