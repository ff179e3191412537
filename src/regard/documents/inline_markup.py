"""Markup in a sentence, carried over to its translation: around the words that belong to those it stood around.

Pairs stay pairs and never cross. Each takes, within the pair around it, the run of words that speaks most for it: a
word for it is aligned with one of its words in the source, a word against it with another. A pair that no word speaks
for takes the word that is nearest by its place; no markup is ever left out.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from regard.documents.document import InlineTag, MarkedText, ProtectedSpan
from regard.text.placeholders import locate_literals
from regard.text.segments import Alignment, Span, diagonal_alignment

_WORD = re.compile(r"\S+")
_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]{0,63})((?:\s[^<>]{0,2000})?/?)>")

_CODE = """
code command filename option userinput computeroutput literal varname envar systemitem keycap guikey email kbd samp var
tt programlisting screen prompt constant function parameter replaceable token classname
"""
CODE_ELEMENTS = frozenset(_CODE.split())
"""Elements whose text is never translated: HTML's and DocBook's."""


@dataclass
class _Node:
    """A pair of marks, or one that stands alone: the characters it is around, and what is in it."""

    opens: InlineTag | None
    closes: InlineTag | None
    start: int
    end: int
    within: list[_Node] = field(default_factory=list)

    @property
    def is_pair(self) -> bool:
        return self.opens is not None and self.closes is not None


def project_markup(source: MarkedText, text: str, alignment: Alignment) -> MarkedText | None:
    """The translation `text` with the source's markup; None where it has not each atom of the source as often.

    alignment: pairs (word of the source, word of the translation), from 0; empty: words as far from the beginning.
    """
    spans = locate_literals(source.text, [(atom.start, atom.end) for atom in source.protected], text)
    if spans is None:
        return None
    of_text: dict[str, list[ProtectedSpan]] = {}
    for atom in source.protected:
        of_text.setdefault(source.text[atom.start : atom.end], []).append(atom)
    atoms = tuple(ProtectedSpan(start, end, of_text[text[start:end]].pop(0).markup) for start, end in spans)
    if not source.tags:
        return MarkedText(text, (), atoms)
    marks = _Projection(source, text, alignment, [(atom.start, atom.end) for atom in atoms]).marks()
    return MarkedText(text, tuple(marks), atoms)


class _Projection:
    """The marks of one source in one translation."""

    def __init__(self, source: MarkedText, text: str, alignment: Alignment, taken: Sequence[Span]) -> None:
        self.source, self.text = source.text, text
        self.tree = _tree(source)
        self.source_words = [match.span() for match in _WORD.finditer(source.text)]
        self.words = [match.span() for match in _WORD.finditer(text)]
        self.of_source = [0] * len(self.words)  # the source's word of each
        for one, other in [*diagonal_alignment(len(self.source_words), len(self.words)), *alignment]:
            if one < len(self.source_words) and other < len(self.words):
                self.of_source[other] = one
        self.taken = taken

    def marks(self) -> Iterator[InlineTag]:
        """In order."""
        return self._within(self.tree, 0, len(self.words), 0, len(self.text))

    def _within(self, node: _Node, first: int, last: int, start: int, end: int) -> Iterator[InlineTag]:
        """Marks of what is in a node, whose words are first to last and whose characters start to end."""
        free = [True] * (last - first)
        runs: dict[int, Span] = {}
        pairs = [place for place, child in enumerate(node.within) if child.is_pair]
        claims = {place: self._claim(node.within[place], first, last, free) for place in pairs}
        for place in sorted(pairs, key=lambda place: (-claims[place][0], place)):
            _, begins, ends = self._claim(node.within[place], first, last, free)
            if begins == ends:
                begins, ends = self._nearest(node, node.within[place], first, last, free)
            runs[place] = begins, ends
            free[begins - first : ends - first] = [False] * (ends - begins)
        around = [run for run in runs.values() if run[0] < run[1]]
        order: list[tuple[tuple[int, int, int], _Node, Span, Span]] = []
        for place, child in enumerate(node.within):
            run = runs.get(place, (first, first))
            if run[0] < run[1]:
                span = self._characters(child, run, start, end)
                order.append(((span[0], 1, place), child, span, run))
            else:
                at = self._gap(child, node, (start, end), around)
                order.append(((at, 2 if at == end else 0, place), child, (at, at), run))
        at = start
        for _, child, span, run in sorted(order, key=lambda item: item[0]):
            begins, ends = max(span[0], at), max(span[1], at)
            at = ends
            if child.opens is not None:
                yield replace(child.opens, position=begins)
            if child.closes is not None:
                yield from self._within(child, *run, begins, ends)
                yield replace(child.closes, position=ends)

    def _claim(self, child: _Node, first: int, last: int, free: Sequence[bool]) -> tuple[int, int, int]:
        """The free run of words that matches_language most for a pair: its strength, and where it begins and ends."""
        best = (0, first, first)
        strength, begins = 0, first
        for word in range(first, last):
            if not free[word - first]:
                strength, begins = 0, word + 1
                continue
            strength += 1 if self._covers(child, self.of_source[word]) else -1
            if strength < 0:
                strength, begins = 0, word + 1
            elif strength > best[0]:
                best = (strength, begins, word + 1)
        return best

    def _covers(self, child: _Node, word: int) -> bool:
        start, end = self.source_words[word] if self.source_words else (0, 0)
        return child.start < end and start < child.end

    def _nearest(self, parent: _Node, child: _Node, first: int, last: int, free: Sequence[bool]) -> Span:
        """The free word nearest by its place, for a pair around words; nothing for one around none."""
        if not self.source[child.start : child.end].strip():
            return first, first
        share = (child.start - parent.start) / max(1, parent.end - parent.start)
        wanted = first + share * (last - first)
        words = [word for word in range(first, last) if free[word - first]]
        if not words:
            return last, last
        word = min(words, key=lambda word: abs(word - wanted))
        return word, word + 1

    def _characters(self, child: _Node, run: Span, start: int, end: int) -> Span:
        """From words to characters: punctuation that stood outside of the pair does so again."""
        begins, ends = self.words[run[0]][0], self.words[run[1] - 1][1]
        before = re.search(r"\S*$", self.source[: child.start])
        behind = re.match(r"\S*", self.source[child.end :])
        if before and before[0] and (match := re.match(r"[^\w\s]+", self.text[begins:ends])):
            begins += 0 if match.end() == ends - begins else _shared(before[0], match[0])
        if behind and behind[0] and (match := re.search(r"[^\w\s]+$", self.text[begins:ends])):
            ends -= (
                0
                if match.start() == 0
                else len(match[0]) - _kept(match[0], behind[0], self.source[child.start : child.end])
            )
        for first, last in self.taken:
            begins = first if first < begins < last else begins
            ends = last if first < ends < last else ends
        begins = min(max(begins, start), end)
        return begins, min(max(ends, begins), end)

    def _gap(self, child: _Node, parent: _Node, within: Span, runs: Sequence[Span]) -> int:
        """Where a mark goes that stands alone: behind the word it stood behind, or before the one it stood before."""
        start, end = within
        at = child.start
        if not self.source[parent.start : at].strip() or not self.words:
            return start
        if not self.source[at : parent.end].strip():
            return end
        number = bisect_left([word[0] for word in self.source_words], at)
        attached = bool(self.source[:at].strip()) and not self.source[at - 1].isspace()
        before = [place for place, word in enumerate(self.of_source) if word == number - 1]
        behind = [place for place, word in enumerate(self.of_source) if word == number]
        if attached and before:
            at = self.words[before[-1]][1]
        elif behind:
            at = self.words[behind[0]][0]
        elif before:
            at = self.words[before[-1]][1]
        else:
            share = at / max(1, len(self.source))
            at = self.words[min(len(self.words) - 1, round(share * len(self.words)))][0]
        for first, last in runs:
            if self.words[first][0] < at < self.words[last - 1][1]:
                at = self.words[last - 1][1]
        return min(max(at, start), end)


def _shared(outside: str, opening: str) -> int:
    """How many characters at the beginning of a run stand outside: all, if what stood outside was punctuation."""
    return len(opening) if not re.search(r"\w", outside) else 0


def _kept(closing: str, behind: str, inside: str) -> int:
    """How many of the closing characters of a run stay inside: as many as there were in the source."""
    if re.match(r"\w", behind):
        return len(closing)
    own = re.search(r"[^\w\s]*$", inside)
    return min(len(own[0]) if own else 0, len(closing))


def _tree(marked: MarkedText) -> _Node:
    """Marks as they nest; those whose other half is missing or crosses stand alone."""
    partner: dict[int, int] = {}
    stack: list[int] = []
    for place, mark in enumerate(marked.tags):
        if mark.pair and mark.is_opening:
            stack.append(place)
        elif mark.pair and any(marked.tags[one].pair == mark.pair for one in stack[-64:]):
            while marked.tags[stack[-1]].pair != mark.pair:
                stack.pop()
            partner[stack.pop()] = place
    root = _Node(None, None, 0, len(marked.text))
    open_nodes = [root]
    for place, mark in enumerate(marked.tags):
        if place in partner:
            closing = marked.tags[partner[place]]
            node = _Node(mark, closing, mark.position, closing.position)
            open_nodes[-1].within.append(node)
            open_nodes.append(node)
        elif open_nodes[-1].closes is mark:
            open_nodes.pop()
        else:
            open_nodes[-1].within.append(_Node(mark, None, mark.position, mark.position))
    return root


def parse_tags(text: str, escape: Callable[[str], str] = str) -> MarkedText:
    """A text in which tags are written, as `<b>now</b>`: without those that go in pairs or end themselves.

    Elements of CODE become atoms. A tag without its other half is no markup and stays in the text. escape: how the
    document writes what the text says.
    """
    tags = list(_TAG.finditer(text))
    partner = _partners(tags)
    parts: list[str] = []
    marks: list[InlineTag] = []
    atoms: list[ProtectedSpan] = []
    at = length = code_until = 0
    for place, tag in enumerate(tags):
        if tag.start() < code_until or (place not in partner and not _is_single(tag)):
            continue
        parts.append(text[at : tag.start()])
        length += len(parts[-1])
        at = tag.end()
        other = tags[partner[place]] if place in partner else None
        if (
            other is not None
            and place < partner[place]
            and tag[2].lower() in CODE_ELEMENTS
            and _plain(text[at : other.start()])
        ):
            inside = text[at : other.start()]
            atoms.append(ProtectedSpan(length, length + len(inside), escape(text[tag.start() : other.end()])))
            parts.append(inside)
            length += len(inside)
            at = code_until = other.end()
        elif other is None:
            marks.append(InlineTag(length, escape(tag[0])))
        else:
            opens = place < partner[place]
            marks.append(InlineTag(length, escape(tag[0]), min(place, partner[place]) + 1, opens))
    return MarkedText("".join([*parts, text[at:]]), tuple(marks), tuple(atoms))


def _plain(inside: str) -> bool:
    return bool(inside.strip()) and inside == inside.strip() and "<" not in inside and "\n" not in inside


def _is_single(tag: re.Match[str]) -> bool:
    return tag[3].endswith("/") or (not tag[1] and tag[2].lower() in ("br", "hr", "img", "wbr"))


def _partners(tags: Sequence[re.Match[str]]) -> dict[int, int]:
    """Each tag of a pair with the other, by their places; pairs never cross."""
    partner: dict[int, int] = {}
    stack: list[int] = []
    for place, tag in enumerate(tags):
        if _is_single(tag):
            continue
        if not tag[1]:
            stack.append(place)
            continue
        for depth, one in enumerate(reversed(stack[-64:])):
            if tags[one][2] == tag[2]:
                del stack[len(stack) - depth - 1 :]
                partner[one], partner[place] = place, one
                break
    return partner
