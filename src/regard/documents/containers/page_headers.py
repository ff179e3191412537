"""The headers and footers of printed sheets: a string with codes such as `&P`, the number of the page.

`&L`, `&C` and `&R` start the left, the center and the right section, which are separate texts. All codes stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from regard.documents.containers.items import Item, Markup, Protected, Run, Single, Style
from regard.documents.xml import escape

ELEMENTS: Final = frozenset(f"s:{pages}{kind}" for pages in ("odd", "even", "first") for kind in ("Header", "Footer"))
MAX_LENGTH = 255
"""The longest header or footer that Excel opens, with its codes."""

_CODE = re.compile(
    r"""&(?:
        &                                          # the character &
      | "[^"]*"                                    # a font
      | [Kk](?:[0-9A-Fa-f]{6}|\d\d[+-]\d{3})       # a color
      | \d{1,3}                                    # the size of the font
      | [PpNn](?:[+-]\d{1,5})?                     # the number of the page, and of all pages
      | [\s\S]?                                    # anything else
    )""",
    re.VERBOSE,
)
_SECTIONS = "LCR"
_TOGGLES = "BIUESXYOH"  # bold, italic, ...: the second one ends the format
_NUMBERS = "PN"
_PLAIN = Style("")


def header_items(text: str) -> Iterator[Item]:
    """Yield the texts and the codes of a header.

    The number of the page is a number in the text, as in `Page 1 of 5`, which a model translates better than a gap.
    """
    numbers = (str(number) for number in range(1, 1000) if str(number) not in text)
    is_open = dict.fromkeys(_TOGGLES, False)
    at = 0
    for match in _CODE.finditer(text):
        if match[0] == "&&":
            continue
        yield from _runs(text[at : match.start()])
        at = match.end()
        code, markup = match[0][1:2].upper(), Markup(escape(match[0]))
        if code and code in _SECTIONS:
            is_open = dict.fromkeys(_TOGGLES, False)
            yield Single(markup, is_boundary=True)
        elif code in is_open:
            yield Single(markup, range_key=code, is_range_end=is_open[code])
            is_open[code] = not is_open[code]
        elif code and code in _NUMBERS:
            yield Protected(next(numbers), markup)
        else:
            yield Single(markup)
    yield from _runs(text[at:])


def write_header(text: str, _style: Style = _PLAIN) -> str:
    """Return a text of a header as the header writes it."""
    return escape(text.replace("&", "&&"))


def codes_of(header: str) -> Counter[str]:
    """Return how often each code is in a header."""
    return Counter(match[0] for match in _CODE.finditer(header) if match[0] != "&&")


def _runs(text: str) -> Iterator[Run]:
    if text:
        plain = text.replace("&&", "&")
        yield Run(plain, _PLAIN, Markup(escape(text)))
