r"""Find placeholders, which a translation must keep: `%s`, `{name}`, `${var}`, URLs, numbers, entities, emoji, `\n`.

A translation must contain each placeholder as often as its source. `%s` and similar placeholders without a number take
their arguments in order, so their order must stay the same. The separators of a number may change, its digits may not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from regard.text.emoji_pattern import PATTERN

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
ADDRESS = "|".join(pattern for kind, pattern in _PATTERNS if kind == "address")
_POSSIBLE = re.compile(r"[\d@:<&%${\\©®\u203c-\U0010ffff]|www\.|--")  # every placeholder has one of these
_PLACEHOLDER = re.compile("|".join(f"(?P<{kind}_{index}>{pattern})" for index, (kind, pattern) in enumerate(_PATTERNS)))
_LETTERS_BEFORE = re.compile(r"[A-Za-z\u00c0-\u052f]{3}\Z")  # Latin, Greek and Cyrillic
_LETTERS_AFTER = re.compile(r"[A-Za-z\u00c0-\u052f]{3}")
_SEPARATORS = re.compile(r"[.,\u00a0\u202f]")


@dataclass(frozen=True)
class Placeholder:
    """The characters `start` to `end` of a text. Kinds are `number`, `ordered` (an argument by order), and others."""

    start: int
    end: int
    text: str
    kind: str

    @property
    def key(self) -> str:
        """What is compared: the text, or the digits of a number."""
        return _SEPARATORS.sub("", self.text) if self.kind == "number" else self.text


def find_placeholders(text: str, literal: Sequence[tuple[int, int]] = ()) -> list[Placeholder]:
    """Return all placeholders of a text in order. Spans in `literal` (ordered) are placeholders as a whole."""
    placeholders: list[Placeholder] = []
    if not literal and not _POSSIBLE.search(text):
        return placeholders
    at = 0
    for start, end in [*literal, (len(text), len(text))]:
        for match in _PLACEHOLDER.finditer(text, at, start):
            kind = (match.lastgroup or "").rpartition("_")[0]
            placeholders.append(Placeholder(match.start(), match.end(), match[0], kind))
        if end > start:
            placeholders.append(Placeholder(start, end, text[start:end], "literal"))
        at = end
    return placeholders


def locate_literals(source: str, spans: Sequence[tuple[int, int]], text: str) -> list[tuple[int, int]] | None:
    """Return where each of the source's spans appears in a text, in the order of the text.

    Return None unless the text contains each as often as the source does, in the spans and elsewhere. The n-th
    occurrence in the source corresponds to the n-th in the text. Occurrences inside a longer word do not count, unless
    the span is inside a word of the source.
    """
    if not spans:
        return []
    literals = sorted({source[start:end] for start, end in spans}, key=lambda literal: (-len(literal), literal))
    pattern = re.compile("|".join(_literal_pattern(literal, source, spans) for literal in literals))
    in_source, in_text = (_occurrences(pattern, side) for side in (source, text))
    located = []
    for start, end in spans:
        literal = source[start:end]
        before, after = in_source.get(literal, []), in_text.get(literal, [])
        if len(before) != len(after) or (start, end) not in before:
            return None
        located.append(after[before.index((start, end))])
    return sorted(located)


def _occurrences(pattern: re.Pattern[str], text: str) -> dict[str, list[tuple[int, int]]]:
    spans: dict[str, list[tuple[int, int]]] = {}
    for match in pattern.finditer(text):
        spans.setdefault(match[0], []).append(match.span())
    return spans


def _literal_pattern(literal: str, source: str, spans: Sequence[tuple[int, int]]) -> str:
    before, after = r"(?<!\w)" if literal[0].isalnum() else "", r"(?!\w)" if literal[-1].isalnum() else ""
    bounded = re.compile(before + re.escape(literal) + after)
    if all(bounded.match(source, start) for start, end in spans if source[start:end] == literal):
        return bounded.pattern
    return re.escape(literal)


def placeholder_error(source: Sequence[Placeholder], target: Sequence[Placeholder]) -> str:
    """Return how the placeholders of a translation differ from those of its source; empty if they do not."""
    if missing := _surplus(source, target):
        return f"the translation lacks {', '.join(missing)}"
    if added := _surplus(target, source):
        return f"the translation adds {', '.join(added)}"
    first, second = (
        [placeholder.text for placeholder in side if placeholder.kind == "ordered"] for side in (source, target)
    )
    if first != second:
        return f"the translation changes the order of {', '.join(first)}"
    return ""


def joined_placeholder(
    source: str, placeholders: Sequence[Placeholder], translation: str, translated: Sequence[Placeholder]
) -> str:
    """Return a placeholder that a translation writes as a part of a word, unlike the source; empty if there is none.

    `%d` in `%drucken` would be such a part. A short ending, as in `{name}s`, is allowed, and so are languages that
    write no spaces.
    """
    in_source = {placeholder.key for placeholder in placeholders if _is_joined(source, placeholder)}
    joined = (placeholder for placeholder in translated if _is_joined(translation, placeholder))
    return next((placeholder.text for placeholder in joined if placeholder.key not in in_source), "")


def _is_joined(text: str, placeholder: Placeholder) -> bool:
    if placeholder.kind not in ("argument", "ordered"):
        return False
    before = _LETTERS_BEFORE.search(text[max(0, placeholder.start - 3) : placeholder.start])
    return before is not None or _LETTERS_AFTER.match(text, placeholder.end) is not None


def _surplus(side: Sequence[Placeholder], opposite: Sequence[Placeholder]) -> list[str]:
    """Return the texts of the placeholders of one side, without literals, that the opposite side does not have."""
    counts = Counter(placeholder.key for placeholder in opposite if placeholder.kind != "literal")
    texts = []
    for placeholder in side:
        if placeholder.kind == "literal":
            continue
        if counts[placeholder.key] == 0:
            texts.append(placeholder.text)
        else:
            counts[placeholder.key] -= 1
    return texts


_WORD_START = re.compile(r"(?:(?<=\s)|(?<![\s\S])|(?<=[(\[\"“„«»'/]))([_&])(?=[^\W\d_])")
_WITHIN = re.compile(r"(?<=[^\W\d_])([_&])(?=[a-zß-ÿ])")
MENU_WORDS = 8  # most words of the label of a menu or a button


def split_accelerator(text: str) -> tuple[str, str, str]:
    """Return a label without the mark of its accelerator, the mark (`_`, `&` or empty), and the letter after it."""
    for sign in "_&":
        if text.count(sign) != 1 or len(text.split()) > MENU_WORDS:
            continue
        match = _WORD_START.search(text)
        if match is None and len(text.split()) <= 2 and text[:1].isupper():
            match = _WITHIN.search(text)
        if match is None or match[1] != sign:
            continue
        at = match.start()
        if any(placeholder.start <= at < placeholder.end for placeholder in find_placeholders(text)):
            continue
        return text[:at] + text[at + 1 :], sign, text[at + 1]
    return text, "", ""


def place_accelerator(text: str, letter: str, taken: Sequence[tuple[int, int]] = ()) -> int | None:
    """Return the index at which to put the mark of an accelerator; None if all letters are inside `taken` spans.

    The same letter is preferred, then the beginning of a word.
    """
    free = [
        index
        for index, character in enumerate(text)
        if character.isalpha() and not any(start <= index < end for start, end in taken)
    ]

    def rank(index: int) -> tuple[bool, bool, int]:
        begins_word = index == 0 or not text[index - 1].isalnum()
        return text[index].lower() != letter.lower(), not begins_word, index

    return min(free, key=rank) if free else None
