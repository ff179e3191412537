"""Attributes of HTML tags: those that a reader reads are translated, and the language of the page is changed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

TRANSLATABLE_ATTRIBUTES = frozenset({"alt", "title", "placeholder", "aria-label"})
"""Attributes whose values are shown or spoken."""

LANGUAGE_ATTRIBUTES = frozenset({"lang", "xml:lang"})

_NAME = re.compile(r"<[A-Za-z][^\s/>]{0,100}")
_ATTRIBUTE = re.compile(r"""[\s/]+([^\s/>=]{1,100})(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>][^\s>]*))?""")


@dataclass(frozen=True)
class Attribute:
    """A value: characters start to end of the document, its quotes among them, and what it says."""

    name: str
    start: int
    end: int
    value: str


def attributes(text: str, start: int, end: int) -> Iterator[Attribute]:
    """Yield the attributes with a value of the tag at characters start to end of a document."""
    name = _NAME.match(text, start, end)
    at = start if name is None else name.end()
    while match := _ATTRIBUTE.match(text, at, end):
        at = match.end()
        if match[2] is not None:
            value = match[2][1:-1] if match[2][0] in "\"'" else match[2]
            yield Attribute(match[1].lower(), match.start(2), match.end(2), html.unescape(value))


def quote_value(value: str, old: str) -> str:
    """Return a value as an attribute has it, in the quotes of the old one, or in double quotes if that has none."""
    quote = old[0] if old[0] in "\"'" else '"'
    escaped = html.escape(value, quote=False).replace("\u00a0", "&nbsp;")
    return quote + escaped.replace(quote, "&quot;" if quote == '"' else "&#39;") + quote
