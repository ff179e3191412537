"""The items that the content of a paragraph consists of: runs of text, and markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from regard.documents.document import Edit, apply_edits


@dataclass(frozen=True)
class Style:
    """The markup around a run of text. Styles with equal keys are the same style.

    Attributes:
        key: Identifies the style; empty for plain text.
        opening: The markup before the text.
        closing: The markup after the text.
        is_script: Whether the text is a subscript or a superscript.
        is_link: Whether the text is a link.
    """

    key: str
    opening: str = field(default="", compare=False)
    closing: str = field(default="", compare=False)
    is_script: bool = field(default=False, compare=False)
    is_link: bool = field(default=False, compare=False)


PLAIN = Style("")


@dataclass(frozen=True)
class Markup:
    """Markup that is copied from the document.

    Attributes:
        text: The markup.
        copies: The parts of it that the document has, too: the offset in the markup, and the span in the document.
            Text inside them, such as that of a text box, may be translated.
    """

    text: str
    copies: tuple[tuple[int, int, int], ...] = ()

    def __add__(self, following: Markup) -> Markup:
        return Markup.join((self, following))

    @staticmethod
    def join(markups: Iterable[Markup]) -> Markup:
        """Return markup that consists of several parts."""
        texts: list[str] = []
        copies: list[tuple[int, int, int]] = []
        length = 0
        for markup in markups:
            texts.append(markup.text)
            copies += [(offset + length, start, end) for offset, start, end in markup.copies]
            length += len(markup.text)
        return Markup("".join(texts), tuple(copies))

    def with_edits(self, edits: Iterable[Edit]) -> str:
        """Return the markup with those edits of the document that are inside its copies."""
        moved = [
            (edit_start - start + offset, edit_end - start + offset, replacement)
            for edit_start, edit_end, replacement in edits
            for offset, start, end in self.copies
            if start <= edit_start and edit_end <= end
        ]
        return apply_edits(self.text, moved) if moved else self.text


@dataclass(frozen=True)
class Run:
    """A piece of text with a style, and how the document writes it."""

    text: str
    style: Style
    markup: Markup


@dataclass(frozen=True)
class Single:
    """Markup without text to translate.

    Attributes:
        markup: The markup.
        range_key: Identifies the range that it starts or ends, such as that of a comment; empty for other markup.
        is_range_end: Whether it ends the range.
        is_boundary: Whether the texts before and after it are translated separately.
    """

    markup: Markup
    range_key: str = ""
    is_range_end: bool = False
    is_boundary: bool = False


@dataclass(frozen=True)
class Protected:
    """Text that is not translated, such as a formula or the number of a page, and how the document writes it."""

    text: str
    markup: Markup


@dataclass(frozen=True)
class Group:
    """Items inside an element, such as a link, or inside a range.

    Attributes:
        opening: The markup before the items.
        closing: The markup after the items.
        items: The items.
        is_range: Whether the group is a range, whose base style is that of the text around it.
    """

    opening: Markup
    closing: Markup
    items: tuple[Item, ...]
    is_range: bool = False


Item = Run | Single | Protected | Group
TextWriter = Callable[[str, Style], str]
"""Returns the markup of a text in a style."""


def runs_of(items: Iterable[Item]) -> Iterator[Run]:
    """Yield the runs in items and in groups."""
    for item in items:
        if isinstance(item, Run):
            yield item
        elif isinstance(item, Group):
            yield from runs_of(item.items)


def field_item(text: str, markup: Markup) -> Single | Protected:
    """Return a field, such as the number of a page, or a date.

    A number stays in the text, as in `Page 1 of 5`, because a model translates that better than a text with gaps.
    """
    return Protected(text, markup) if text.isascii() and text.isdecimal() else Single(markup)


def markup_of(item: Item) -> Markup:
    """Return an item as the document writes it."""
    if isinstance(item, Group):
        return Markup.join([item.opening, *map(markup_of, item.items), item.closing])
    return item.markup
