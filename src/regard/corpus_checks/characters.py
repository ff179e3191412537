"""Damaged letters, and characters that nobody meant to write."""

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
_ODD = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f"  # control characters, U+0085 among them; not the tab
    "\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"  # separators, invisible ones
    "\ufdd0-\ufdef\ufffe\uffff\U000e0001\U000f0000-\U0010ffff]"  # no characters, language tags, private use
)
_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_SPACES = re.compile(" {2,}")
_DIRECTIONS = frozenset("\u200e\u200f")  # direction marks, which right-to-left text needs
_RIGHT_TO_LEFT = ("R", "AL")


class CharacterCheck(StatelessCheck):
    """Of each side: text that was decoded wrongly (by ftfy's signs of it), U+FFFD, and odd characters."""

    def find_faults(self, batch: Batch) -> Iterator[Fault]:
        """See Kind.ENCODING and Kind.CONTROL."""
        for place, sides in enumerate(zip(batch.sources, batch.targets, strict=True)):
            damaged, odd = [], []
            for name, text in zip(("source", "target"), sides, strict=True):
                if text.isascii() and text.isprintable():
                    continue
                if said := describe_encoding_damage(text):
                    damaged.append(f"{name}: {said}")
                if said := describe_control_characters(text):
                    odd.append(f"{name}: {said}")
            if damaged:
                yield Fault(place, FaultKind.ENCODING, "; ".join(damaged))
            if odd:
                yield Fault(place, FaultKind.CONTROL, "; ".join(odd))


def describe_encoding_damage(text: str) -> str:
    """How the encoding of a text was damaged; nothing where it was not."""
    if "\ufffd" in text:
        return "U+FFFD, in the place of a letter"
    if not _NOT_ASCII.search(text) or not is_bad(text):
        return ""
    repaired = fix_encoding(text)
    if repaired == text:
        return ""
    before, after = _difference(text, repaired)
    return f"{before!r}, perhaps {after!r}"


def _difference(text: str, repaired: str) -> tuple[str, str]:
    """The first word in which they differ, in both."""
    for before, after in zip(text.split(" "), repaired.split(" "), strict=False):
        if before != after:
            return before, after
    return text, repaired


def describe_control_characters(text: str) -> str:
    """The first odd characters of a text, by their numbers and names; nothing where there are none."""
    found = {character for character in _ODD.findall(text) if not _wanted(character, text)}
    if not found:
        return ""
    named = [_called(character) for character in sorted(found)[:3]]
    return ", ".join(named) + (" and others" if len(found) > 3 else "")


def _wanted(character: str, text: str) -> bool:
    if character not in _DIRECTIONS:
        return False
    return any(letter.isalpha() and unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text)


def _called(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name.lower()})" if name else "")


def remove_control_characters(text: str) -> str:
    """The text with a space for a line break of any kind, and without other odd characters."""
    if text.isascii() and text.isprintable():
        return text
    spaced = _BREAKS.sub(" ", text)
    kept = _ODD.sub(lambda found: found[0] if _wanted(found[0], text) else "", spaced)
    return kept if kept == text else _SPACES.sub(" ", kept).strip()
