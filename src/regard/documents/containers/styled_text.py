"""Text that consists of runs with styles: as marked text, and back with the style of each run.

Adjacent runs with equal styles are one text. Most text of a paragraph has its base style; other runs are pairs of
inline tags, so that they follow the word alignment. Everything that is not text is copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from regard.documents.containers.items import (
    PLAIN,
    Group,
    Item,
    Markup,
    Protected,
    Run,
    Single,
    Style,
    TextWriter,
    markup_of,
    runs_of,
)
from regard.documents.containers.scripts import resolve_scripts
from regard.documents.document import Edit, InlineTag, MarkedText, ProtectedSpan
from regard.documents.inline_markup import match_tags
from regard.text.segments import has_letters

MAX_NESTED_RANGES = 32
PLAIN_SHARE = 5


@dataclass(frozen=True)
class StyledText:
    """A text to translate, and how its translation is written.

    Attributes:
        content: The text with its tags.
        write: Writes a piece of text.
        base: The style of text that is in no pair with a style.
        styles: The style of each pair of tags that consists of text in a style, by the number of the pair.
        bases: The base style of each other pair.
        copies: Markup of tags inside which text may be translated, too.
    """

    content: MarkedText
    write: TextWriter
    base: Style = PLAIN
    styles: dict[int, Style] = field(default_factory=dict)
    bases: dict[int, Style] = field(default_factory=dict)
    copies: dict[str, Markup] = field(default_factory=dict)

    def render(self, translation: MarkedText, edits: Sequence[Edit] = ()) -> str:
        """Return the markup of a translation. `edits` are those of translated text inside the tags."""
        parts: list[str] = []
        styles = [self.base]
        protected = list(reversed(translation.protected))
        at = 0

        def add_text(end: int) -> None:
            nonlocal at
            while protected and protected[-1].end <= end:
                span = protected.pop()
                if at < span.start:
                    parts.append(self.write(translation.text[at : span.start], styles[-1]))
                parts.append(span.markup)
                at = span.end
            if at < end:
                parts.append(self.write(translation.text[at:end], styles[-1]))
                at = end

        for tag in translation.tags:
            add_text(tag.position)
            style = self.styles.get(tag.pair)
            if style is None:
                markup = self.copies.get(tag.markup)
                parts.append(tag.markup if markup is None else markup.with_edits(edits))
                style = self.bases.get(tag.pair)
            if style is not None and tag.is_opening:
                styles.append(style)
            elif style is not None:
                styles.pop()
        add_text(len(translation.text))
        return "".join(parts)


Piece = StyledText | Markup


def plain_text(content: MarkedText, escape: Callable[[str], str]) -> StyledText:
    """Return a text without styles."""
    return StyledText(content, lambda text, _: escape(text))


def split_pieces(items: Sequence[Item], write: TextWriter) -> list[Piece]:
    """Return the items as texts to translate, and the markup between them. Without letters there is only markup."""
    items = _resolve(items, write)
    pieces: list[Piece] = []
    part: list[Item] = []
    for item in items:
        if isinstance(item, Single) and item.is_boundary:
            pieces += [*_trim(part, write), item.markup]
            part = []
        else:
            part.append(item)
    return [*pieces, *_trim(part, write)]


def _resolve(items: Sequence[Item], write: TextWriter, *, has_ranges: bool = True) -> list[Item]:
    """Return items with ranges as groups, equal runs merged, and subscripts and superscripts replaced."""
    items = list(_merge_runs(_group_ranges(items) if has_ranges else items))
    return list(_merge_runs(resolve_scripts(items, write)))


def _trim(items: Sequence[Item], write: TextWriter) -> Iterator[Piece]:
    """Yield a text, and the markup that is before and after it or around all of it."""
    texts = [
        index
        for index, item in enumerate(items)
        if isinstance(item, Protected) or any(run.text.strip() for run in runs_of([item]))
    ]
    if not has_letters("".join(run.text for run in runs_of(items))):
        yield from map(markup_of, items)
        return
    first, last = texts[0], texts[-1] + 1
    while first and isinstance(items[first - 1], Run):  # white space
        first -= 1
    while last < len(items) and isinstance(items[last], Run):
        last += 1
    yield from map(markup_of, items[:first])
    item = items[first]
    if last == first + 1 and isinstance(item, Group):
        yield item.opening
        yield from split_pieces(item.items, write)
        yield item.closing
    else:
        yield _Flattener(items[first:last], write).styled_text()
    yield from map(markup_of, items[last:])


def _group_ranges(items: Sequence[Item]) -> list[Item]:
    """Replace the start and the end of each range by a group, unless it crosses another range."""
    partners = match_tags(
        (item.range_key, item.is_range_end) if isinstance(item, Single) and item.range_key else None for item in items
    )
    ends: set[int] = set()
    open_groups: list[list[Item]] = [[]]
    openings: list[Single] = []
    for index, item in enumerate(items):
        if index in partners and len(open_groups) <= MAX_NESTED_RANGES and isinstance(item, Single):
            ends.add(partners[index])
            open_groups.append([])
            openings.append(item)
        elif index in ends and isinstance(item, Single):
            inside = open_groups.pop()
            group = Group(openings.pop().markup, item.markup, tuple(inside), is_range=True)
            open_groups[-1].append(group if any(runs_of(inside)) else Single(markup_of(group)))
        else:
            open_groups[-1].append(item)
    return open_groups[0]


def _merge_runs(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items with adjacent runs of the same style merged. A single space has the style of its neighbour."""
    pending: list[Run] = []
    style = PLAIN

    def merged() -> Iterator[Run]:
        if pending:
            yield Run("".join(run.text for run in pending), style, Markup.join(run.markup for run in pending))
            pending.clear()

    for item in items:
        if not isinstance(item, Run):
            yield from merged()
            yield item
            continue
        is_space = len(pending) == 1 and pending[0].text == " "
        if pending and style != item.style and item.text != " " and not is_space:
            yield from merged()
        if not pending or is_space:
            style = item.style
        pending.append(item)
    yield from merged()


class _Flattener:
    """Builds the marked text of items."""

    def __init__(self, items: Sequence[Item], write: TextWriter) -> None:
        self.texts: list[str] = []
        self.tags: list[InlineTag] = []
        self.protected: list[ProtectedSpan] = []
        self.length = self.num_pairs = 0
        self.singles: list[Markup] = []  # since the last text or pair; together they are one tag
        self.result = StyledText(MarkedText(""), write, _base_style(items, PLAIN))
        self.add(items, self.result.base)
        self.end_single()

    def styled_text(self) -> StyledText:
        result = self.result
        content = MarkedText("".join(self.texts), tuple(self.tags), tuple(self.protected))
        return StyledText(content, result.write, result.base, result.styles, result.bases, result.copies)

    def add(self, items: Sequence[Item], base: Style) -> None:
        """Add items whose base style is `base`."""
        at = 0
        while at < len(items):
            item = items[at]
            at += 1
            if isinstance(item, Group):
                inner_base = base if item.is_range else _base_style(item.items, base)
                pair = self.new_pair()
                self.result.bases[pair] = inner_base
                self.add_tag(item.opening, pair, is_opening=True)
                self.add(_resolve(item.items, self.result.write, has_ranges=not item.is_range), inner_base)
                self.add_tag(item.closing, pair)
            elif isinstance(item, Single):
                self.singles.append(item.markup)
            elif isinstance(item, Protected):
                self.add_protected(item, items[at : at + 1])
            elif item.style == base:
                self.add_text(item.text)
            else:
                end = at
                while (following := _continuation(items, end, item.style)) > end:
                    end = following
                self.add_styled(items[at - 1 : end], item.style, items[end : end + 1])
                at = end

    def add_styled(self, items: Sequence[Item], style: Style, following: Sequence[Item]) -> None:
        """Add runs of one style, and the markup between them, as a pair."""
        pair = self.new_pair()
        self.result.styles[pair] = style
        self.add_tag(Markup(""), pair, is_opening=True)
        for number, item in enumerate(items, start=1):
            if isinstance(item, Single):
                self.singles.append(item.markup)
            elif isinstance(item, Protected):
                self.add_protected(item, items[number : number + 1] or following)
            elif isinstance(item, Run):
                self.add_text(item.text)
        self.add_tag(Markup(""), pair)

    def new_pair(self) -> int:
        self.num_pairs += 1
        return self.num_pairs

    def add_text(self, text: str) -> None:
        if text:
            self.end_single()
            self.texts.append(text)
            self.length += len(text)

    def add_protected(self, item: Protected, following: Sequence[Item]) -> None:
        """Add protected text. A number that is a part of a word is markup."""
        last, after = "".join(self.texts[-1:])[-1:], "".join(run.text for run in runs_of(following))
        if item.text.isdecimal() and (last.isalnum() or after[:1].isalnum()):
            self.singles.append(item.markup)
            return
        self.add_text(item.text)
        self.protected.append(ProtectedSpan(self.length - len(item.text), self.length, item.markup.text))

    def end_single(self) -> None:
        """Add single markup that is together as one tag."""
        if self.singles:
            markup, self.singles = Markup.join(self.singles), []
            self.add_tag(markup)

    def add_tag(self, markup: Markup, pair: int = 0, *, is_opening: bool = False) -> None:
        self.end_single()
        self.tags.append(InlineTag(self.length, markup.text, pair, is_opening))
        if markup.copies:
            self.result.copies[markup.text] = markup


def _continuation(items: Sequence[Item], at: int, style: Style) -> int:
    """Return the end of the items from `at` that continue a run in a style: other markup and another run of it."""
    end = at
    while end < len(items) and isinstance(items[end], Single | Protected):
        end += 1
    item = items[end] if end < len(items) else None
    return end + 1 if isinstance(item, Run) and item.style == style else at


def _base_style(items: Iterable[Item], default: Style) -> Style:
    """Return the style that most characters have, without those of inner elements; of a link only if all are links.

    White space between two styles gets the base style, so the plain style is preferred if a fifth of the text has it.
    """
    lengths: Counter[Style] = Counter()

    def count(items: Iterable[Item]) -> None:
        for item in items:
            if isinstance(item, Run):
                lengths[item.style] += len(item.text.strip()) * 2 + 1  # more than white space
            elif isinstance(item, Group) and item.is_range:
                count(item.items)

    count(items)
    if not lengths:
        lengths.update(run.style for run in runs_of(items))
    plain = next((style for style in lengths if not style.key), None)
    if plain is not None and lengths[plain] * PLAIN_SHARE >= lengths.total():
        return plain
    return max(lengths, key=lambda style: (not style.is_link, lengths[style])) if lengths else default
