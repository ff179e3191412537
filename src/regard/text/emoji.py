"""Emoji, which few vocabularies know: taken out of a sentence before it is translated, and put back at their places.

A model that meets an emoji as bytes or as an unknown token loses it, and often the sentence with it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from regard.special_tokens import UNK
from regard.tokenizers.base import Tokenizer, Tokenizers

Links = tuple[tuple[int, int], ...]
"""Pairs (source word, target word), words between white space and counted from 0."""

# Characters that are pictures by themselves, and those that are with U+FE0F behind them.
_PICTURE = "\u231a\u231b\u23e9-\u23f3\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001faff"
_SYMBOL = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2328\u23cf\u23f8-\u23fa\u24c2\u25aa-\u25fe\u2934\u2935"
_SYMBOL += "\u2b00-\u2bff\u3030\u303d\u3297\u3299"
_BASE = rf"(?:[{_PICTURE}]\ufe0f?|[{_SYMBOL}]\ufe0f)[\U0001f3fb-\U0001f3ff]?"

PATTERN: Final = (
    r"[0-9#*]\ufe0f?\u20e3"  # keycaps
    r"|[\U0001f1e6-\U0001f1ff]{2}"  # flags of countries
    rf"|{_BASE}(?:[\U000e0020-\U000e007e]{{1,10}}\U000e007f)?(?:\u200d{_BASE}){{0,10}}"
)
"""One emoji: with its skin tone, its variation selector, and what a zero-width joiner joins to it."""

_ONE = re.compile(PATTERN)
_RUN = re.compile(rf"[(\[]\s*(?:{PATTERN})(?:\s*(?:{PATTERN}))*\s*[)\]]|(?:{PATTERN})(?:\s*(?:{PATTERN}))*")
_WORD = re.compile(r"\S+")
_CLOSING = re.compile(r"[^\w\s]+$")


@dataclass(frozen=True)
class _Run:
    """Emoji next to one another.

    Attributes:
        text: The emoji, with what is between them.
        words: How many words of the rest of the sentence stand before it.
        before: White space between it and the text before it.
        behind: The same behind it.
        is_within: Whether it stands before punctuation that belongs to the word before it, as in `Hi 😀!`.
    """

    text: str
    words: int
    before: str
    behind: str
    is_within: bool


@dataclass(frozen=True)
class EmojiFreeText:
    """A sentence without its emoji, and what is needed to put them back.

    Attributes:
        text: The sentence without them; empty if there was nothing else.
        source: The sentence.
    """

    text: str
    source: str
    runs: tuple[_Run, ...] = ()
    places: tuple[int, ...] = ()  # of each character of `text`, in `source`

    def restore(self, translation: str, alignment: Links = ()) -> tuple[str, Links]:
        """Return a translation of `text` with the emoji, and its alignment with the words of `source`.

        Emoji go behind the word that is aligned with the word they stood behind. Without an alignment they go as far
        from the beginning as they stood; those at the ends stay there.
        """
        if not self.runs:
            return translation, alignment
        spans = [match.span() for match in _WORD.finditer(translation)]
        count = len(self.text.split())
        inserts = sorted(
            (_place(run, count, translation, spans, alignment), number) for number, run in enumerate(self.runs)
        )
        parts: list[str] = []
        pictures: list[tuple[int, int]] = []  # where each run stands in the result, and its number
        moved: list[tuple[int, int]] = []  # from which character on the rest stands how much further behind
        at = length = 0
        for place, number in inserts:
            run = self.runs[number]
            place = max(place, at)
            before = translation[at:place]
            begins = not (parts or before.strip())
            lead = "" if begins or (before or parts[-1])[-1:].isspace() else run.before or ("" if run.words else " ")
            rest = translation[place:]
            if not run.behind and not run.is_within and not begins:  # the next word was attached to it
                place += len(rest) - len(rest.lstrip())
            tail = run.behind if rest[:1].strip() and not (run.is_within and not rest[:1].isalnum()) else ""
            parts += [before, lead, run.text, tail]
            length += len(before) + len(lead)
            pictures.append((length, number))
            length += len(run.text) + len(tail)
            moved.append((place, length - place))
            at = place
        result = "".join([*parts, translation[at:]])
        return result, self._aligned(result, alignment, spans, moved, pictures) if alignment else ()

    def _aligned(
        self,
        result: str,
        alignment: Links,
        spans: Sequence[tuple[int, int]],
        moved: Sequence[tuple[int, int]],
        pictures: Sequence[tuple[int, int]],
    ) -> Links:
        of_source = [match.start() for match in _WORD.finditer(self.source)]
        of_result = [match.start() for match in _WORD.finditer(result)]
        bare = [self.places[match.start()] for match in _WORD.finditer(self.text)]
        starts = [place for place, _ in moved]

        def word(all_starts: Sequence[int], character: int) -> int:
            return max(0, bisect_right(all_starts, character) - 1)

        def shifted(character: int) -> int:
            number = bisect_right(starts, character)
            return character + (moved[number - 1][1] if number else 0)

        links = {
            (word(of_source, bare[one]), word(of_result, shifted(spans[other][0])))
            for one, other in alignment
            if one < len(bare) and other < len(spans)
        }
        runs = list(_RUN.finditer(self.source))
        taken = {other for _, other in links}
        for character, number in pictures:
            for match in _WORD.finditer(result, character, character + len(self.runs[number].text)):
                target = word(of_result, match.start())
                if target not in taken:
                    links.add((word(of_source, runs[number].start() + match.start() - character), target))
        return tuple(sorted(links, key=lambda link: (link[1], link[0])))


def remove_emoji(source: str, known: Callable[[str], bool] = lambda _: False) -> EmojiFreeText:
    """Take the emoji out of a sentence; those that are `known` stay, in all the sentence if each of them is."""
    runs = list(_RUN.finditer(source))
    if not runs or all(known(emoji) for match in runs for emoji in _ONE.findall(match[0])):
        return EmojiFreeText(source, source)
    parts: list[str] = []
    places: list[int] = []
    found: list[_Run] = []
    at = words = 0
    for match in runs:
        text = source[at : match.start()].rstrip()
        before = source[at + len(text) : match.start()]
        behind_end = len(source) - len(source[match.end() :].lstrip())
        behind = source[match.end() : behind_end]
        follows = source[behind_end : behind_end + 1]
        parts.append(text)
        places.extend(range(at, at + len(text)))
        words += len(text.split())
        is_within = bool(text or parts[:-1]) and not behind and bool(follows) and not follows.isalnum()
        found.append(_Run(match[0], words, before, behind, is_within))
        at = behind_end
        if any(parts) and follows and not is_within:
            parts.append(" ")
            places.append(match.start())
    parts.append(source[at:])
    places.extend(range(at, len(source)))
    text = "".join(parts)
    return EmojiFreeText(text if text.strip() else "", source, tuple(found), tuple(places))


def remove_unknown_emoji(text: str, tokenizers: Tokenizers, phrases: Iterable[str] = ()) -> EmojiFreeText:
    """Take out of a sentence the emoji that a model's vocabularies do not know.

    phrases: what its translation must or must not have in it; if any of it has emoji, all stay in the sentence.
    """
    if any(_ONE.search(phrase) for phrase in phrases):
        return EmojiFreeText(text, text)
    sides = (tokenizers.source, tokenizers.target)
    return remove_emoji(text, lambda emoji: all(_knows(tokenizer, emoji) for tokenizer in sides))


def _knows(tokenizer: Tokenizer, emoji: str) -> bool:
    """Return whether a tokenizer has tokens for an emoji other than UNK and bytes."""
    ids = tokenizer.encode(emoji)
    bytewise = tokenizer.kind == "byte" or any(re.fullmatch("<0x..>", piece) for piece in tokenizer.pieces(ids))
    return not bytewise and UNK not in ids


def _place(run: _Run, count: int, translation: str, spans: Sequence[tuple[int, int]], alignment: Links) -> int:
    """Before which character of a translation a run goes. count: words of the source without emoji."""
    if not spans or (not run.words and not run.is_within):
        return 0
    if run.words >= count and not run.is_within:
        return len(translation.rstrip())
    behind = [other for one, other in alignment if one == run.words - 1 and other < len(spans)]
    before = [other for one, other in alignment if one == run.words and other < len(spans)]
    if behind:
        word = max(behind)
    elif before:
        return spans[min(before)][0]
    else:
        word = max(0, round(run.words * len(spans) / max(1, count)) - 1)
    start, end = spans[min(word, len(spans) - 1)]
    closing = _CLOSING.search(translation, start, end) if run.is_within else None
    return closing.start() if closing and closing.start() > start else end
