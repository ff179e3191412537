"""Remove emoji from a sentence before translation, and restore them at their places.

Few vocabularies contain emoji. A model loses an emoji that is encoded as bytes or as an unknown token, and often
mistranslates the whole sentence.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from regard.special_tokens import UNK
from regard.text.emoji_pattern import PATTERN
from regard.text.placeholders import Placeholder, find_placeholders
from regard.tokenizers.base import Tokenizer, Tokenizers

Links = tuple[tuple[int, int], ...]
"""Pairs (source word, target word); words are separated by white space and counted from 0."""

_EMOJI = re.compile(PATTERN)


def compile_runs(pattern: str) -> re.Pattern[str]:
    """Return a pattern of adjacent matches of another one, perhaps in brackets."""
    run = rf"(?:{pattern})(?:\s*(?:{pattern}))*"
    return re.compile(rf"[(\[]\s*{run}\s*[)\]]|{run}")


_RUN = compile_runs(PATTERN)
_WORD = re.compile(r"\S+")
_PUNCTUATION = re.compile(r"[^\w\s]*")
_MARKS = ".,;:!?\u2026\u3001\u3002\uff0c\uff01\uff1a\uff1b\uff1f\u060c\u061b\u061f\u06d4\u0964"  # of sentences
_CLOSERS = ")\\]}\"'\u00bb\u2018\u2019\u201c\u201d\u203a\u300b\u300d\u300f\u3011\uff09"  # brackets and quotes
_END = re.compile(f"[{_MARKS}]+$")
_END_AND_CLOSERS = re.compile(f"[{_MARKS}{_CLOSERS}]+$")
_CLOSER = re.compile(f"[{_CLOSERS}]")


@dataclass(frozen=True)
class _Run:
    """Adjacent emoji.

    Attributes:
        text: The emoji, with the white space between them.
        words: The number of words before the run, without emoji.
        space_before: White space between the run and the text before it.
        space_after: White space between the run and the text after it.
        is_within: Whether the run is before punctuation that belongs to the word before it, as in `Hi 😀!`.
        is_quoted: Whether this punctuation closes a bracket or a quotation, as in `(Hi 😀)`.
    """

    text: str
    words: int
    space_before: str
    space_after: str
    is_within: bool
    is_quoted: bool


@dataclass(frozen=True)
class EmojiFreeText:
    """A sentence without its emoji, and what is needed to restore them.

    Attributes:
        text: The sentence without emoji; empty if it contains nothing else.
        source: The original sentence.
        runs: The removed emoji.
        places: The index in `source` of each character of `text`.
        pattern: What is removed.
    """

    text: str
    source: str
    runs: tuple[_Run, ...] = ()
    places: tuple[int, ...] = ()
    pattern: re.Pattern[str] = _RUN

    def restore(self, translation: str, alignment: Links = ()) -> tuple[str, Links]:
        """Return a translation of `text` with the emoji, and its alignment with the words of `source`. See `insert`."""
        restored = self.insert(translation, alignment)
        return restored.text, restored.align(alignment)

    def insert(self, translation: str, alignment: Links = ()) -> RestoredText:
        """Insert the emoji into a translation of `text`.

        Emoji follow the word that is aligned with the word before them in the source. Without an alignment they keep
        their relative position. Emoji at either end of the source stay there.
        """
        if not self.runs:
            return RestoredText(self, translation)
        spans = [match.span() for match in _WORD.finditer(translation)]
        count = len(self.text.split())
        placeholders = find_placeholders(translation)
        inserts = sorted(
            (_move_out(placeholders, _place(run, count, translation, spans, alignment)), index)
            for index, run in enumerate(self.runs)
        )
        parts: list[str] = []
        run_starts: list[tuple[int, int]] = []
        shifts: list[tuple[int, int]] = []
        at = length = 0
        for place, index in inserts:
            run = self.runs[index]
            place = max(place, at)
            before = translation[at:place]
            begins = not (parts or before.strip())
            lead = (
                "" if begins or (before or parts[-1])[-1:].isspace() else run.space_before or ("" if run.words else " ")
            )
            rest = translation[place:]
            if not run.space_after and not run.is_within and not begins:  # the next word was attached to the run
                place += len(rest) - len(rest.lstrip())
            tail = run.space_after if rest[:1].strip() and not (run.is_within and not rest[:1].isalnum()) else ""
            parts += [before, lead, run.text, tail]
            length += len(before) + len(lead)
            run_starts.append((length, index))
            length += len(run.text) + len(tail)
            shifts.append((place, length - place))
            at = place
        text = "".join([*parts, translation[at:]])
        return RestoredText(self, text, tuple(start for start, _ in spans), tuple(run_starts), tuple(shifts))

    def source_words(self) -> list[int]:
        """Return the index in the words of `source` of each word of `text`, or of `source` if `text` is empty."""
        if not self.runs or not self.text:
            return list(range(len(self.source.split())))
        starts = [match.start() for match in _WORD.finditer(self.source)]
        return [_word_at(starts, self.places[match.start()]) for match in _WORD.finditer(self.text)]


@dataclass(frozen=True)
class RestoredText:
    """A translation into which the emoji of its source are inserted.

    Attributes:
        emoji_free: The source.
        text: The translation with the emoji.
        word_starts: The start of each word of the translation without emoji.
        run_starts: The start of each run of emoji in `text`, and the index of the run.
        shifts: From these characters of the translation on, `text` is shifted by this much.
    """

    emoji_free: EmojiFreeText
    text: str
    word_starts: tuple[int, ...] = ()
    run_starts: tuple[tuple[int, int], ...] = ()
    shifts: tuple[tuple[int, int], ...] = ()

    @property
    def inserted(self) -> tuple[tuple[int, int], ...]:
        """Return the span of each run of emoji in `text`."""
        return tuple((start, start + len(self.emoji_free.runs[index].text)) for start, index in self.run_starts)

    def align(self, alignment: Links) -> Links:
        """Return an alignment without emoji as one of the words of the original source and of `text`."""
        source = self.emoji_free
        if not source.runs or not alignment:
            return alignment
        source_starts = [match.start() for match in _WORD.finditer(source.source)]
        result_starts = [match.start() for match in _WORD.finditer(self.text)]
        source_words = source.source_words()
        shift_starts = [place for place, _ in self.shifts]

        def shift(character: int) -> int:
            index = bisect_right(shift_starts, character)
            return character + (self.shifts[index - 1][1] if index else 0)

        links = {
            (source_words[source_word], _word_at(result_starts, shift(self.word_starts[target_word])))
            for source_word, target_word in alignment
            if source_word < len(source_words) and target_word < len(self.word_starts)
        }
        runs = list(source.pattern.finditer(source.source))
        aligned = {target for _, target in links}
        for start, index in self.run_starts:
            for match in _WORD.finditer(self.text, start, start + len(source.runs[index].text)):
                target = _word_at(result_starts, match.start())
                if target not in aligned:
                    links.add((_word_at(source_starts, runs[index].start() + match.start() - start), target))
        return tuple(sorted(links, key=lambda link: (link[1], link[0])))


def remove_emoji(source: str, is_known: Callable[[str], bool] = lambda _: False) -> EmojiFreeText:
    """Remove the emoji from a sentence; leave the sentence unchanged if all of them are known."""
    if all(is_known(emoji) for emoji in _EMOJI.findall(source)):
        return EmojiFreeText(source, source)
    return remove_runs(source, _RUN)


def remove_runs(source: str, pattern: re.Pattern[str]) -> EmojiFreeText:
    """Remove what matches a pattern of `compile_runs`, as if it were emoji."""
    runs = list(pattern.finditer(source))
    parts: list[str] = []
    places: list[int] = []
    removed: list[_Run] = []
    at = words = 0
    for match in runs:
        text = source[at : match.start()].rstrip()
        space_before = source[at + len(text) : match.start()]
        next_start = len(source) - len(source[match.end() :].lstrip())
        space_after = source[match.end() : next_start]
        next_character = source[next_start : next_start + 1]
        parts.append(text)
        places.extend(range(at, at + len(text)))
        words += len(text.split())
        is_punctuation = bool(next_character) and not next_character.isalnum()
        is_within = bool(text or parts[:-1]) and not space_after and is_punctuation
        punctuation = _PUNCTUATION.match(source, next_start)
        is_quoted = is_within and punctuation is not None and _CLOSER.search(punctuation[0]) is not None
        removed.append(_Run(match[0], words, space_before, space_after, is_within, is_quoted))
        at = next_start
        if any(parts) and next_character and not is_within:
            parts.append(" ")
            places.append(match.start())
    parts.append(source[at:])
    places.extend(range(at, len(source)))
    text = "".join(parts)
    return EmojiFreeText(text if text.strip() else "", source, tuple(removed), tuple(places), pattern)


def remove_unknown_emoji(text: str, tokenizers: Tokenizers, phrases: Iterable[str] = ()) -> EmojiFreeText:
    """Remove the emoji from a sentence unless both vocabularies of a model contain all of them.

    The sentence is unchanged if one of `phrases`, which constrain its translation, contains emoji.
    """
    if any(_EMOJI.search(phrase) for phrase in phrases):
        return EmojiFreeText(text, text)
    sides = (tokenizers.source, tokenizers.target)
    return remove_emoji(text, lambda emoji: all(_has_emoji(tokenizer, emoji) for tokenizer in sides))


def _has_emoji(tokenizer: Tokenizer, emoji: str) -> bool:
    """Return whether a tokenizer has tokens for an emoji other than UNK and bytes."""
    ids = tokenizer.encode(emoji)
    has_bytes = tokenizer.kind == "byte" or any(re.fullmatch("<0x..>", piece) for piece in tokenizer.pieces(ids))
    return not has_bytes and UNK not in ids


def _word_at(starts: Sequence[int], character: int) -> int:
    """Return the index of the word that contains a character, given the start of each word."""
    return max(0, bisect_right(starts, character) - 1)


def _place(run: _Run, count: int, translation: str, spans: Sequence[tuple[int, int]], alignment: Links) -> int:
    """Return the index in a translation at which to insert a run. `count` is the number of source words."""
    if not spans or (not run.words and not run.is_within):
        return 0
    if run.words >= count and not run.is_within:
        return len(translation.rstrip())
    aligned_before = [target for source, target in alignment if source == run.words - 1 and target < len(spans)]
    aligned_after = [target for source, target in alignment if source == run.words and target < len(spans)]
    if aligned_before:
        word = max(aligned_before)
    elif aligned_after:
        return spans[min(aligned_after)][0]
    else:
        word = max(0, round(run.words * len(spans) / max(1, count)) - 1)
    start, end = spans[min(word, len(spans) - 1)]
    pattern = _END_AND_CLOSERS if run.is_quoted else _END
    closing = pattern.search(translation, start, end) if run.is_within else None
    return closing.start() if closing and closing.start() > start else end


def _move_out(placeholders: Sequence[Placeholder], place: int) -> int:
    """Return a place that is not inside a placeholder, a tag or an entity: its end, or the place itself."""
    return next((span.end for span in placeholders if span.start < place < span.end), place)
