"""Messages with variants, such as ICU plurals: each variant is translated as a whole sentence.

`{n, plural, one{# file} other{# files}} copied` becomes `{n, plural, one{# file copied} other{# files copied}}` before
translation, because word order and agreement differ between languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from regard.text.segments import has_letters

MAX_DEPTH = 8  # nested choices
MAX_VARIANTS = 64  # of a message, after distribution

_CHOICE = re.compile(r"\{\s*[\w.-]{1,100}\s*,\s*(plural|select|selectordinal)\s*,\s*(?:offset:\s*\d{1,9}\s*)?")
_SELECTOR = re.compile(r"\s*(?:=\d{1,9}|[\w-]{1,100})\s*\{")
_SINGULAR = re.compile(r"(?:\bone|=1)\s*\{\Z")
_END = re.compile(r"\s*\}")


class InvalidMessageError(ValueError):
    """A message is malformed, or too complex to be translated."""


@dataclass(frozen=True)
class Choice:
    """Alternatives of a message.

    Attributes:
        glue: The text before the first variant, between the variants, and after the last one.
        variants: The variants.
        is_numeric: Whether `#` in a variant is a number.
    """

    glue: tuple[str, ...]
    variants: tuple[Message, ...]
    is_numeric: bool = False

    def sample(self, index: int) -> str:
        """Return an example of the number that `#` is in a variant; empty if it is not a number."""
        if not self.is_numeric:
            return ""
        return "1" if _SINGULAR.search(self.glue[index]) else "5"


Message = tuple[str | Choice, ...]
"""Texts and choices, in order."""


def distribute(message: Message) -> Message:
    """Move the text around a choice into its variants, so that each variant is a complete text.

    Raises:
        InvalidMessageError: There are too many variants, or `#` would change its meaning.
    """
    distributed = _distribute(message, 0)
    if sum(1 for _ in variant_texts(distributed)) > MAX_VARIANTS:
        raise InvalidMessageError("it has too many variants")
    return distributed


def _distribute(message: Message, depth: int) -> Message:
    index = next((index for index, part in enumerate(message) if isinstance(part, Choice)), None)
    if index is None:
        return ("".join(part for part in message if isinstance(part, str)),)
    choice = message[index]
    assert isinstance(choice, Choice)
    if depth > MAX_DEPTH or len(choice.variants) > MAX_VARIANTS:
        raise InvalidMessageError("it has too many variants")
    before, after = message[:index], message[index + 1 :]
    outside = (*before, *after)
    if any(isinstance(part, Choice) or has_letters(part) for part in outside):
        if choice.is_numeric and any(isinstance(part, str) and "#" in part for part in outside):
            raise InvalidMessageError("it has # next to a plural")
        variants = tuple(_distribute((*before, *variant, *after), depth + 1) for variant in choice.variants)
        return (Choice(choice.glue, variants, choice.is_numeric),)
    variants = tuple(_distribute(variant, depth + 1) for variant in choice.variants)
    return (*before, Choice(choice.glue, variants, choice.is_numeric), *after)


def variant_texts(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the texts of a distributed message that are translated, each with an example of the number that `#` is."""
    if not any(isinstance(part, Choice) for part in message):
        yield "".join(part for part in message if isinstance(part, str)), ""
    for part in message:
        if isinstance(part, Choice):
            for index, variant in enumerate(part.variants):
                for text, sample in variant_texts(variant):
                    yield text, sample or part.sample(index)


def render_message(message: Message, translate: Callable[[str], str]) -> str:
    """Return a distributed message as text. `translate` is called for each text of `variant_texts`, in order."""
    if not any(isinstance(part, Choice) for part in message):
        return translate("".join(part for part in message if isinstance(part, str)))
    parts: list[str] = []
    for part in message:
        if isinstance(part, str):
            parts.append(part)
            continue
        for glue, variant in zip(part.glue, part.variants, strict=False):
            parts += [glue, render_message(variant, translate)]
        parts.append(part.glue[-1])
    return "".join(parts)


def parse_icu(text: str) -> Message:
    """Parse a message of ICU. A text without plurals and selects is returned as it is.

    Raises:
        InvalidMessageError: A plural or select is malformed.
    """
    if not _CHOICE.search(text):
        return (text,)
    message, end = _parse_icu(text, 0, 0)
    if end < len(text):
        raise InvalidMessageError("a brace is closed that is not open")
    return message


def _parse_icu(text: str, at: int, depth: int) -> tuple[Message, int]:
    """Parse up to the end of the text, or to the brace that closes a variant. Return the message and where it ends."""
    if depth > MAX_DEPTH:
        raise InvalidMessageError("its plurals and selects are nested too deeply")
    parts: list[str | Choice] = []
    start = at
    while at < len(text) and text[at] != "}":
        if text[at] == "'" and text[at + 1 : at + 2] in ("{", "}"):
            end = text.find("'", at + 2)
            at = len(text) if end < 0 else end + 1
        elif match := _CHOICE.match(text, at):
            parts.append(text[start:at])
            choice, at = _parse_choice(text, match, depth)
            parts.append(choice)
            start = at
        elif text[at] == "{":
            at = _skip_argument(text, at)
        else:
            at += 1
    parts.append(text[start:at])
    return tuple(part for part in parts if part), at


def _parse_choice(text: str, header: re.Match[str], depth: int) -> tuple[Choice, int]:
    glue, variants = [], []
    start = at = header.end()
    glue_start = header.start()
    while selector := _SELECTOR.match(text, at):
        glue.append(text[glue_start : selector.end()])
        variant, at = _parse_icu(text, selector.end(), depth + 1)
        if text[at : at + 1] != "}":
            raise InvalidMessageError("a brace is not closed")
        variants.append(variant)
        glue_start = at
        at += 1
    end = _END.match(text, at)
    if end is None or at == start:
        raise InvalidMessageError("a plural or select is malformed")
    glue.append(text[glue_start : end.end()])
    return Choice(tuple(glue), tuple(variants), header[1] != "select"), end.end()


def _skip_argument(text: str, at: int) -> int:
    """Return where the argument that starts at `at` ends, such as `{name}`."""
    depth = 0
    for index in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return index + 1
    raise InvalidMessageError("a brace is not closed")
