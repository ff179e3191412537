"""The pattern of an emoji, which placeholders and the removal of emoji share."""

from __future__ import annotations

from typing import Final

# Characters that are pictures by themselves, and characters that U+FE0F after them turns into pictures.
_PICTURE = "\u231a\u231b\u23e9-\u23f3\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001faff"
_SYMBOL = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2328\u23cf\u23f8-\u23fa\u24c2\u25aa-\u25fe\u2934\u2935"
_SYMBOL += "\u2b00-\u2bff\u3030\u303d\u3297\u3299"
_BASE = rf"(?:[{_PICTURE}]\ufe0f?|[{_SYMBOL}]\ufe0f)[\U0001f3fb-\U0001f3ff]?"

PATTERN: Final = (
    r"[0-9#*]\ufe0f?\u20e3"  # keycaps
    r"|[\U0001f1e6-\U0001f1ff]{2}"  # flags of countries
    rf"|{_BASE}(?:[\U000e0020-\U000e007e]{{1,10}}\U000e007f)?(?:\u200d{_BASE}){{0,10}}"
)
"""One emoji, with its skin tone, its variation selector, and everything joined to it by zero-width joiners."""
