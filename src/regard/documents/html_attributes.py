"""Attributes of HTML tags: find those to translate and those that declare a language, and quote new values."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

TRANSLATABLE_ATTRIBUTES = frozenset({"alt", "title", "placeholder", "aria-label"})
"""Attributes whose values are displayed or spoken."""

LANGUAGE_ATTRIBUTES = frozenset({"lang", "xml:lang"})

_TAG_NAME = re.compile(r"<[A-Za-z][^\s/>]{0,100}")
_ATTRIBUTE = re.compile(r"""[\s/]+([^\s/>=]{1,100})(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>][^\s>]*))?""")


@dataclass(frozen=True)
class Attribute:
    """An attribute: its value, unescaped, and the span of the value in the document, including the quotes."""

    name: str
    start: int
    end: int
    value: str


def parse_attributes(text: str, start: int, end: int) -> Iterator[Attribute]:
    """Yield the attributes of the tag text[start:end] that have a value."""
    name = _TAG_NAME.match(text, start, end)
    at = start if name is None else name.end()
    while match := _ATTRIBUTE.match(text, at, end):
        at = match.end()
        if match[2] is not None:
            value = match[2][1:-1] if match[2][0] in "\"'" else match[2]
            yield Attribute(match[1].lower(), match.start(2), match.end(2), html.unescape(value))


def quote_value(value: str, old: str) -> str:
    """Escape and quote an attribute value, with the quotes of the old value, or double quotes if it had none."""
    quote = old[0] if old[0] in "\"'" else '"'
    escaped = html.escape(value, quote=False).replace("\u00a0", "&nbsp;")
    return quote + escaped.replace(quote, "&quot;" if quote == '"' else "&#39;") + quote
