"""Markdown within a block: emphasis, links and tags as marks, code as atoms; what matches nothing is text."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from regard.documents.document import InlineTag, MarkedText, ProtectedSpan

_NEXT = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<code>`+)"
    r"|(?P<auto><[A-Za-z][A-Za-z0-9+.-]{1,31}:[^<>\s]{0,2000}>|<[\w.+-]{1,64}@[\w.-]{1,255}>)"
    r"|(?P<tag></?[A-Za-z][^<>]{0,2000}>|<!--.{0,2000}?-->)"
    r"|(?P<image>!\[[^\[\]\n]{0,500}\]\([^()\n]{0,1000}\))"
    r"|(?P<open>\[)|(?P<close>\])"
    r"|(?P<run>\*+|_+|~~)"
)
_BEHIND = re.compile(r"\((?:[^()\n]|\([^()\n]{0,500}\)){0,1000}\)|\[([^\[\]\n]{0,500})\]")

LONGEST_LABEL = 999  # characters of a link's, by CommonMark
DEEPEST = 64  # begun emphases or tags, up to which the other half of one is looked for


def parse_inline(text: str, labels: Collection[str]) -> MarkedText:
    """The content of a paragraph, a heading or a cell. labels: those of link references, as Markdown folds them."""
    scan = _Scan(text, labels)
    scan.go()
    return scan.marked()


class _Scan:
    def __init__(self, text: str, labels: Collection[str]) -> None:
        self.text, self.labels = text, labels
        # from, to, and a mark, or what an atom says; None for a bracket that has not become a link
        self.found: list[tuple[int, int, InlineTag | str | None]] = []
        self.brackets: list[int] = []  # open ones, by their places in `found`
        self.unclosed: set[str] = set()  # backticks that no others close from here on
        self.runs: list[tuple[int, str, int]] = []  # begun emphasis: its place in `found`, its characters, open links
        self.tags: list[tuple[int, str]] = []
        self.pairs = 0

    def go(self) -> None:
        """From the beginning to the end."""
        at = 0
        while match := _NEXT.search(self.text, at):
            at = match.end()
            match match.lastgroup:
                case "code":
                    at = self._code(match)
                case "auto":
                    self.found.append((match.start(), at, match[0][1:-1]))
                case "image":
                    self.found.append((match.start(), at, InlineTag(0, match[0])))
                case "tag":
                    self._tag(match)
                case "open":
                    self.brackets.append(len(self.found))
                    self.found.append((match.start(), at, None))
                case "close" if self.brackets:
                    at = self._link(self.brackets.pop(), match.start())
                case "run":
                    self._run(match)

    def _code(self, match: re.Match[str]) -> int:
        fence = match[0]
        end = None
        if fence not in self.unclosed:
            end = re.compile(rf"(?<!`){fence}(?!`)").search(self.text, match.end())
        if end is None:
            self.unclosed.add(fence)
            return match.end()
        inside = self.text[match.end() : end.start()]
        plain = inside.strip() if "\n" not in inside else ""
        whole = self.text[match.start() : end.end()]
        self.found.append((match.start(), end.end(), plain or InlineTag(0, whole)))
        return end.end()

    def _tag(self, match: re.Match[str]) -> None:
        name = re.match(r"</?([\w-]+)", match[0])
        mark = InlineTag(0, match[0])
        if name and match[0].startswith("</"):
            for depth, (place, other) in enumerate(reversed(self.tags[-DEEPEST:])):
                if other == name[1].lower():
                    del self.tags[len(self.tags) - depth - 1 :]
                    mark = self._pair(place, mark)
                    break
        elif name and not match[0].endswith("/>"):
            self.tags.append((len(self.found), name[1].lower()))
        self.found.append((match.start(), match.end(), mark))

    def _pair(self, first: int, mark: InlineTag) -> InlineTag:
        self.pairs += 1
        start, end, opening = self.found[first]
        assert isinstance(opening, InlineTag)
        self.found[first] = (start, end, replace(opening, pair=self.pairs, is_opening=True))
        return replace(mark, pair=self.pairs)

    def _link(self, first: int, at: int) -> int:
        opened = self.found[first][0]
        label = self.text[opened + 1 : min(at, opened + 2 + LONGEST_LABEL)]
        behind = _BEHIND.match(self.text, at + 1)
        end = behind.end() if behind else at + 1
        if behind is None or behind[1] is not None:  # by a reference: its label may be the text itself
            name = behind[1] if behind and behind[1] else label
            if len(name) > LONGEST_LABEL:
                return at + 1
            if " ".join(name.split()).upper() not in self.labels and " ".join(name.split()).lower() not in self.labels:
                return at + 1
            closing = f"][{name}]"
        else:
            closing = self.text[at:end]
        if opened and self.text[opened - 1] == "!":  # an image in another notation: as it is
            del self.found[first:]
            for begun in (self.runs, self.tags):
                while begun and begun[-1][0] >= first:
                    begun.pop()
            self.found.append((opened - 1, end, InlineTag(0, self.text[opened - 1 : end])))
            return end
        self.found[first] = (opened, opened + 1, InlineTag(0, "["))
        self.found.append((at, end, self._pair(first, InlineTag(0, closing))))
        return end

    def _run(self, match: re.Match[str]) -> None:
        before = self.text[max(0, match.start() - 1) : match.start()]
        after = self.text[match.end() : match.end() + 1]
        inside_word = match[0][0] == "_" and before.isalnum() and after.isalnum()
        closes = bool(before.strip()) and not inside_word and (not after.isalnum() or match[0][0] != "_")
        if closes:
            for depth, (place, run, links) in enumerate(reversed(self.runs[-DEEPEST:])):
                if run == match[0] and links == len(self.brackets):
                    del self.runs[len(self.runs) - depth - 1 :]
                    self.found.append((match.start(), match.end(), self._pair(place, InlineTag(0, match[0]))))
                    return
        if after.strip() and not inside_word and len(match[0]) <= 3:
            self.runs.append((len(self.found), match[0], len(self.brackets)))
            self.found.append((match.start(), match.end(), InlineTag(0, match[0])))

    def marked(self) -> MarkedText:
        """What was found; emphasis that is not closed stays in the text."""
        parts: list[str] = []
        marks: list[InlineTag] = []
        atoms: list[ProtectedSpan] = []
        unclosed = {place for place, _, _ in self.runs}
        at = length = 0
        for place, (start, end, what) in enumerate(self.found):
            if what is None or place in unclosed or start < at:
                continue
            parts.append(self.text[at:start])
            length += len(parts[-1])
            if isinstance(what, InlineTag):
                marks.append(replace(what, position=length))
            else:
                atoms.append(ProtectedSpan(length, length + len(what), self.text[start:end]))
                parts.append(what)
                length += len(what)
            at = end
        return MarkedText("".join([*parts, self.text[at:]]), tuple(marks), tuple(atoms))
