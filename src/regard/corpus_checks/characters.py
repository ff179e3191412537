"""Wrongly decoded text, control characters and invisible characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from ftfy import fix_encoding
from ftfy.badness import is_bad

from regard.corpus_checks.base import StatelessCheck
from regard.corpus_checks.findings import Fault, FaultKind
from regard.corpus_checks.reading import Batch

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_CONTROL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f"  # control characters including U+0085, except the tab
    "\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"  # separators and invisible ones
    "\ufdd0-\ufdef\ufffe\uffff\U000e0001\U000f0000-\U0010ffff]"  # noncharacters, language tags, private use
)
_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SPACES = re.compile(" {2,}")
_DIRECTION_MARKS = frozenset("\u200e\u200f")  # valid in right-to-left text
_RIGHT_TO_LEFT = ("R", "AL")


class CharacterCheck(StatelessCheck):
    """Finds encoding damage (with ftfy's heuristics), U+FFFD, and control or invisible characters."""

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """Yield faults of FaultKind.ENCODING and FaultKind.CONTROL."""
        for index, texts in enumerate(zip(batch.sources, batch.targets, strict=True)):
            damage, control = [], []
            for side, text in zip(("source", "target"), texts, strict=True):
                if text.isascii() and text.isprintable():
                    continue
                if description := describe_encoding_damage(text):
                    damage.append(f"{side}: {description}")
                if description := describe_control_characters(text):
                    control.append(f"{side}: {description}")
            if damage:
                yield Fault(index, FaultKind.ENCODING, "; ".join(damage))
            if control:
                yield Fault(index, FaultKind.CONTROL, "; ".join(control))


def describe_encoding_damage(text: str) -> str:
    """Return how the encoding of a text is damaged, or an empty string if it is not."""
    if "\ufffd" in text:
        return "U+FFFD replaces a character"
    if not _NOT_ASCII.search(text) or not is_bad(text):
        return ""
    repaired = fix_encoding(text)
    if repaired == text:
        return ""
    before, after = _first_difference(text, repaired)
    return f"{before!r}, perhaps {after!r}"


def _first_difference(text: str, repaired: str) -> tuple[str, str]:
    """Return the first word that differs, in both versions."""
    for before, after in zip(text.split(" "), repaired.split(" "), strict=False):
        if before != after:
            return before, after
    return text, repaired


def describe_control_characters(text: str) -> str:
    """Return the code points and names of up to three control or invisible characters, or an empty string."""
    characters = {character for character in _CONTROL.findall(text) if not _is_valid(character, text)}
    if not characters:
        return ""
    described = [_describe(character) for character in sorted(characters)[:3]]
    return ", ".join(described) + (" and others" if len(characters) > 3 else "")


def _is_valid(character: str, text: str) -> bool:
    """Return whether a character is a direction mark in a text that has right-to-left letters."""
    if character not in _DIRECTION_MARKS:
        return False
    return any(letter.isalpha() and unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text)


def _describe(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name.lower()})" if name else "")


def remove_control_characters(text: str) -> str:
    """Return the text with a space for each line break, and without other control and invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    one_line = _LINE_BREAK.sub(" ", text)
    cleaned = _CONTROL.sub(lambda match: match[0] if _is_valid(match[0], text) else "", one_line)
    return cleaned if cleaned == text else _SPACES.sub(" ", cleaned).strip()
