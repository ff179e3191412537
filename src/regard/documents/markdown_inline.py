"""Inline Markdown: emphasis, links and HTML tags are inline tags, code is protected; unmatched marks are text."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from regard.documents.document import InlineTag, MarkedText, ProtectedSpan
from regard.documents.inline_markup import close_last

_NEXT = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<code>`+)"
    r"|(?P<auto><[A-Za-z][A-Za-z0-9+.-]{1,31}:[^<>\s]{0,2000}>|<[\w.+-]{1,64}@[\w.-]{1,255}>)"
    r"|(?P<tag></?[A-Za-z][^<>]{0,2000}>|<!--.{0,2000}?-->)"
    r"|(?P<image>!\[[^\[\]\n]{0,500}\]\([^()\n]{0,1000}\))"
    r"|(?P<open>\[)|(?P<close>\])"
    r"|(?P<run>\*+|_+|~~)"
)
_LINK_TARGET = re.compile(r"\((?:[^()\n]|\([^()\n]{0,500}\)){0,1000}\)|\[([^\[\]\n]{0,500})\]")

MAX_LABEL_LENGTH = 999  # characters of a link label, as in CommonMark


def parse_inline(text: str, labels: Collection[str]) -> MarkedText:
    """Return the content of a paragraph, a heading or a cell.

    Args:
        text: The Markdown text.
        labels: The labels of the document's link references, normalised as in CommonMark.
    """
    parser = _InlineParser(text, labels)
    parser.parse()
    return parser.content()


@dataclass
class _Item:
    """Markup at characters [start, end): a tag, the text of a protected span, or None for a bracket that is no link."""

    start: int
    end: int
    value: InlineTag | str | None


class _InlineParser:
    def __init__(self, text: str, labels: Collection[str]) -> None:
        self.text, self.labels = text, labels
        self.items: list[_Item] = []
        self.brackets: list[int] = []  # open brackets, by their indices in `items`
        self.unclosed_fences: set[str] = set()  # backticks that are not closed in the rest of the text
        self.emphases: list[tuple[tuple[str, int], int]] = []  # open: characters, open brackets, index in `items`
        self.tags: list[tuple[str, int]] = []  # open: name, index in `items`
        self.num_pairs = 0

    def parse(self) -> None:
        """Find all markup."""
        at = 0
        while match := _NEXT.search(self.text, at):
            at = match.end()
            match match.lastgroup:
                case "code":
                    at = self._add_code(match)
                case "auto":
                    self.items.append(_Item(match.start(), at, match[0][1:-1]))
                case "image":
                    self.items.append(_Item(match.start(), at, InlineTag(0, match[0])))
                case "tag":
                    self._add_tag(match)
                case "open":
                    self.brackets.append(len(self.items))
                    self.items.append(_Item(match.start(), at, None))
                case "close" if self.brackets:
                    at = self._add_link(self.brackets.pop(), match.start())
                case "run":
                    self._add_emphasis(match)

    def _add_code(self, match: re.Match[str]) -> int:
        """Add a code span, if it is closed. Return where to continue."""
        fence = match[0]
        end = None
        if fence not in self.unclosed_fences:
            end = re.compile(rf"(?<!`){fence}(?!`)").search(self.text, match.end())
        if end is None:
            self.unclosed_fences.add(fence)
            return match.end()
        inside = self.text[match.end() : end.start()]
        code = inside.strip() if "\n" not in inside else ""
        markup = self.text[match.start() : end.end()]
        self.items.append(_Item(match.start(), end.end(), code or InlineTag(0, markup)))
        return end.end()

    def _add_tag(self, match: re.Match[str]) -> None:
        """Add an HTML tag, paired with its opening tag if it closes one."""
        name = re.match(r"</?([\w-]+)", match[0])
        tag = InlineTag(0, match[0])
        if name and match[0].startswith("</"):
            if (opening := close_last(self.tags, name[1].lower())) is not None:
                tag = self._pair_with(opening, tag)
        elif name and not match[0].endswith("/>"):
            self.tags.append((name[1].lower(), len(self.items)))
        self.items.append(_Item(match.start(), match.end(), tag))

    def _pair_with(self, first: int, tag: InlineTag) -> InlineTag:
        """Make item `first` the opening tag of a pair, and return `tag` as its closing tag."""
        self.num_pairs += 1
        opening = self.items[first].value
        assert isinstance(opening, InlineTag)
        self.items[first].value = replace(opening, pair=self.num_pairs, is_opening=True)
        return replace(tag, pair=self.num_pairs)

    def _add_link(self, first: int, at: int) -> int:
        """Add a link or an image whose bracket opens at item `first` and closes at `at`. Return where to continue."""
        opened = self.items[first].start
        label = self.text[opened + 1 : min(at, opened + 2 + MAX_LABEL_LENGTH)]
        target = _LINK_TARGET.match(self.text, at + 1)
        end = target.end() if target else at + 1
        if target is None or target[1] is not None:  # a reference, whose label may be the text itself
            name = target[1] if target and target[1] else label
            if len(name) > MAX_LABEL_LENGTH:
                return at + 1
            if " ".join(name.split()).upper() not in self.labels and " ".join(name.split()).lower() not in self.labels:
                return at + 1
            closing = f"][{name}]"
        else:
            closing = self.text[at:end]
        if opened and self.text[opened - 1] == "!":  # an image that the pattern does not match is one tag
            del self.items[first:]
            self.emphases = [opening for opening in self.emphases if opening[1] < first]
            self.tags = [opening for opening in self.tags if opening[1] < first]
            self.items.append(_Item(opened - 1, end, InlineTag(0, self.text[opened - 1 : end])))
            return end
        self.items[first] = _Item(opened, opened + 1, InlineTag(0, "["))
        self.items.append(_Item(at, end, self._pair_with(first, InlineTag(0, closing))))
        return end

    def _add_emphasis(self, match: re.Match[str]) -> None:
        """Add a run of emphasis characters that opens or closes an emphasis."""
        before = self.text[max(0, match.start() - 1) : match.start()]
        after = self.text[match.end() : match.end() + 1]
        is_inside_word = match[0][0] == "_" and before.isalnum() and after.isalnum()
        can_close = bool(before.strip()) and not is_inside_word and (not after.isalnum() or match[0][0] != "_")
        key = (match[0], len(self.brackets))
        if can_close and (opening := close_last(self.emphases, key)) is not None:
            tag = self._pair_with(opening, InlineTag(0, match[0]))
            self.items.append(_Item(match.start(), match.end(), tag))
            return
        if after.strip() and not is_inside_word and len(match[0]) <= 3:
            self.emphases.append((key, len(self.items)))
            self.items.append(_Item(match.start(), match.end(), InlineTag(0, match[0])))

    def content(self) -> MarkedText:
        """Return the text with its markup. Emphasis that is not closed stays in the text."""
        parts: list[str] = []
        tags: list[InlineTag] = []
        protected: list[ProtectedSpan] = []
        unclosed = {index for _, index in self.emphases}
        at = length = 0
        for index, item in enumerate(self.items):
            if item.value is None or index in unclosed or item.start < at:
                continue
            parts.append(self.text[at : item.start])
            length += len(parts[-1])
            if isinstance(item.value, InlineTag):
                tags.append(replace(item.value, position=length))
            else:
                markup = self.text[item.start : item.end]
                protected.append(ProtectedSpan(length, length + len(item.value), markup))
                parts.append(item.value)
                length += len(item.value)
            at = item.end
        return MarkedText("".join([*parts, self.text[at:]]), tuple(tags), tuple(protected))
