"""Transfer inline markup from a sentence to its translation, by the word alignment.

Pairs of tags stay pairs and never cross. Within its parent, each pair takes the run of target words with the highest
score: a word scores 1 if it is aligned with a source word inside the pair, and -1 otherwise. A pair for which no word
scores takes the word at the same relative position. No tag is ever lost.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from regard.documents.document import InlineTag, MarkedText, ProtectedSpan, apply_edits
from regard.text.placeholders import locate_literals
from regard.text.segments import Alignment, Span, diagonal_alignment

T = TypeVar("T")
MAX_OPEN_TAGS = 64  # innermost open tags among which the partner of a closing tag is searched

_WORD = re.compile(r"\S+")
_CLOSING = re.compile(r"[^\w\s]+(?!\S)")
_NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"  # scripts without spaces
_NEEDS_SPACE_AFTER = re.compile(rf"[^\s(\[{{\u201e\u00ab\u00bf\u00a1/{_NO_SPACES}-]")  # between it and a tag
_NEEDS_SPACE_BEFORE = re.compile(rf"(?![{_NO_SPACES}])[\w(\[{{\u201e\u00ab]")
_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]{0,63})((?:\s[^<>]{0,2000})?/?)>")

_CODE_ELEMENTS = """
code command filename option userinput computeroutput literal varname envar systemitem keycap guikey email kbd samp var
tt programlisting screen prompt constant function parameter replaceable token classname
"""
CODE_ELEMENTS = frozenset(_CODE_ELEMENTS.split())
"""Elements of HTML and DocBook whose text is never translated."""


@dataclass
class _Node:
    """A pair of tags or a single tag, the characters [start, end) that it surrounds, and the tags inside."""

    opening: InlineTag | None
    closing: InlineTag | None
    start: int
    end: int
    children: list[_Node] = field(default_factory=list)

    @property
    def is_pair(self) -> bool:
        return self.opening is not None and self.closing is not None


def project_markup(source: MarkedText, text: str, alignment: Alignment) -> MarkedText | None:
    """Return a translation with the markup of its source.

    Args:
        source: The source.
        text: The translation.
        alignment: Pairs (source word, target word), counted from 0; if it is empty, words are aligned by their
            relative positions.

    Returns:
        None if the translation does not contain every protected text as often as the source.
    """
    if text == source.text:  # such as an address
        return source
    spans = locate_literals(source.text, [(span.start, span.end) for span in source.protected], text)
    if spans is None:
        return None
    by_text: dict[str, list[ProtectedSpan]] = {}
    for span in source.protected:
        by_text.setdefault(source.text[span.start : span.end], []).append(span)
    protected = tuple(ProtectedSpan(start, end, by_text[text[start:end]].pop(0).markup) for start, end in spans)
    if not source.tags:
        return MarkedText(text, (), protected)
    projection = _Projection(source, text, alignment, [(span.start, span.end) for span in protected])
    tags = tuple(projection.tags())
    return _insert_spaces(MarkedText(text, tags, protected), projection.spaced)


def _insert_spaces(content: MarkedText, spaced: Collection[InlineTag]) -> MarkedText:
    """Return a text with a space on both sides of each of some tags, unless punctuation is there.

    The source has those spaces, as in `on [date] by`, but a model writes only one.
    """
    text = content.text
    tags: list[InlineTag] = []
    inserted: list[int] = []
    for tag in content.tags:
        at = tag.position
        if tag in spaced and at and _NEEDS_SPACE_AFTER.match(text, at - 1) and at not in inserted[-1:]:
            inserted.append(at)
        tags.append(replace(tag, position=at + len(inserted)))
        if tag in spaced and _NEEDS_SPACE_BEFORE.match(text, at):
            inserted.append(at)

    def move(at: int) -> int:
        return at + bisect_right(inserted, at)

    spans = (replace(span, start=move(span.start), end=move(span.end - 1) + 1) for span in content.protected)
    edits = [(at, at, " " * inserted.count(at)) for at in set(inserted)]
    return MarkedText(apply_edits(text, edits), tuple(tags), tuple(spans))


class _Projection:
    """The tags of one source in one translation."""

    def __init__(self, source: MarkedText, text: str, alignment: Alignment, protected: Sequence[Span]) -> None:
        self.source, self.text = source.text, text
        self.root = _build_tree(source)
        self.source_words = [match.span() for match in _WORD.finditer(source.text)]
        self.words = [match.span() for match in _WORD.finditer(text)]
        self.source_word_of = [0] * len(self.words)  # the source word that each target word is aligned with
        diagonal = diagonal_alignment(len(self.source_words), len(self.words))
        for source_word, word in [*diagonal, *alignment]:
            if source_word < len(self.source_words) and word < len(self.words):
                self.source_word_of[word] = source_word
        self.protected = protected
        self.spaced: list[InlineTag] = []  # single tags between two spaces of the source

    def tags(self) -> Iterator[InlineTag]:
        """Yield the tags in order."""
        return self._place_children(self.root, 0, len(self.words), 0, len(self.text))

    def _place_children(self, node: _Node, first: int, last: int, start: int, end: int) -> Iterator[InlineTag]:
        """Yield the tags inside a node that has the words [first, last) and the characters [start, end)."""
        runs = self._assign_runs(node, first, last)
        non_empty = [run for run in runs.values() if run[0] < run[1]]
        # The order of the children: by position, single tags before pairs, except at the end.
        order: list[tuple[tuple[int, int, int], _Node, Span, Span]] = []
        for index, child in enumerate(node.children):
            run = runs.get(index, (first, first))
            if run[0] < run[1]:
                span = self._run_to_characters(child, run, start, end)
                order.append(((span[0], 1, index), child, span, run))
            else:
                at = self._place_single(child, node, (start, end), non_empty)
                order.append(((at, 2 if at == end else 0, index), child, (at, at), run))
        at = start
        for _, child, span, run in sorted(order, key=lambda item: item[0]):
            child_start, child_end = max(span[0], at), max(span[1], at)
            at = child_end
            if child.opening is not None:
                opening = replace(child.opening, position=child_start)
                if not child.is_pair and self._is_between_spaces(child.start):
                    self.spaced.append(opening)
                yield opening
            if child.closing is not None:
                yield from self._place_children(child, *run, child_start, child_end)
                yield replace(child.closing, position=child_end)

    def _is_between_spaces(self, at: int) -> bool:
        before, after = self.source[:at], self.source[at:]
        return before[-1:].isspace() and after[:1].isspace() and bool(before.strip()) and bool(after.strip())

    def _assign_runs(self, node: _Node, first: int, last: int) -> dict[int, Span]:
        """Assign a run of the words [first, last) to each pair in a node, the highest score first."""
        is_free = [True] * (last - first)
        runs: dict[int, Span] = {}
        pairs = [index for index, child in enumerate(node.children) if child.is_pair]
        scores = {index: self._best_run(node.children[index], first, last, is_free)[0] for index in pairs}
        for index in sorted(pairs, key=lambda index: (-scores[index], index)):
            _, begin, end = self._best_run(node.children[index], first, last, is_free)
            if begin == end:
                begin, end = self._nearest_word(node, node.children[index], first, last, is_free)
            runs[index] = begin, end
            is_free[begin - first : end - first] = [False] * (end - begin)
        return runs

    def _best_run(self, child: _Node, first: int, last: int, is_free: Sequence[bool]) -> tuple[int, int, int]:
        """Return the score of the best run of free words for a pair, and where it begins and ends."""
        best = (0, first, first)
        score, begin = 0, first
        for word in range(first, last):
            if not is_free[word - first]:
                score, begin = 0, word + 1
                continue
            score += 1 if self._is_inside(child, self.source_word_of[word]) else -1
            if score < 0:
                score, begin = 0, word + 1
            elif score > best[0]:
                best = (score, begin, word + 1)
        return best

    def _is_inside(self, child: _Node, source_word: int) -> bool:
        start, end = self.source_words[source_word] if self.source_words else (0, 0)
        return child.start < end and start < child.end

    def _nearest_word(self, parent: _Node, child: _Node, first: int, last: int, is_free: Sequence[bool]) -> Span:
        """Return the free word at the relative position of a pair; an empty run for a pair around no text."""
        if not self.source[child.start : child.end].strip():
            return first, first
        relative = (child.start - parent.start) / max(1, parent.end - parent.start)
        ideal = first + relative * (last - first)
        words = [word for word in range(first, last) if is_free[word - first]]
        if not words:
            return last, last
        word = min(words, key=lambda word: abs(word - ideal))
        return word, word + 1

    def _run_to_characters(self, child: _Node, run: Span, start: int, end: int) -> Span:
        """Return the characters of a run of words, without punctuation that is outside of the pair in the source."""
        run_start, run_end = self.words[run[0]][0], self.words[run[1] - 1][1]
        before = re.search(r"\S*$", self.source[: child.start])
        after = re.match(r"\S*", self.source[child.end :])
        opening = re.match(r"[^\w\s]+", self.text[run_start:run_end])
        if before and before[0] and opening and opening.end() != run_end - run_start:
            run_start += _outer_opening(before[0], opening[0])
        closing = re.search(r"[^\w\s]+$", self.text[run_start:run_end])
        if after and after[0] and closing and closing.start() != 0:
            inner = _inner_closing(closing[0], after[0], self.source[child.start : child.end])
            run_end -= len(closing[0]) - inner
        for first, last in self.protected:
            run_start = first if first < run_start < last else run_start
            run_end = last if first < run_end < last else run_end
        run_start = min(max(run_start, start), end)
        return run_start, min(max(run_end, run_start), end)

    def _place_single(self, child: _Node, parent: _Node, within: Span, runs: Sequence[Span]) -> int:
        """Return the position of a single tag: after the word that it follows, or before the word that it precedes."""
        start, end = within
        at = child.start
        if not self.source[parent.start : at].strip() or not self.words:
            return start
        if not self.source[at : parent.end].strip():
            return end
        number = bisect_left([word[0] for word in self.source_words], at)
        is_attached = bool(self.source[:at].strip()) and not self.source[at - 1].isspace()
        before = [word for word, source_word in enumerate(self.source_word_of) if source_word == number - 1]
        after = [word for word, source_word in enumerate(self.source_word_of) if source_word == number]
        if is_attached and before:
            at = self._word_end(before[-1], at)
        elif after:
            at = self.words[after[0]][0]
        elif before:
            at = self.words[before[-1]][1]
        else:
            relative = at / max(1, len(self.source))
            at = self.words[min(len(self.words) - 1, round(relative * len(self.words)))][0]
        for first, last in runs:  # not inside a pair
            if self.words[first][0] < at < self.words[last - 1][1]:
                at = self.words[last - 1][1]
        return min(max(at, start), end)

    def _word_end(self, word: int, source_position: int) -> int:
        """Return where a word ends, without the punctuation that follows the position of a tag in the source."""
        start, end = self.words[word]
        closing = _CLOSING.search(self.text, start, end)
        if closing is None or closing.start() == start or not _CLOSING.match(self.source, source_position):
            return end
        return min(end, max([closing.start(), *(last for _, last in self.protected if last <= end)]))


def _outer_opening(before: str, opening: str) -> int:
    """Return how many of a run's opening characters are outside of the pair: all if only punctuation precedes it."""
    return len(opening) if not re.search(r"\w", before) else 0


def _inner_closing(closing: str, after: str, inside: str) -> int:
    """Return how many of a run's closing characters are inside of the pair: as many as in the source."""
    if re.match(r"\w", after):
        return len(closing)
    own = re.search(r"[^\w\s]*$", inside)
    return min(len(own[0]) if own else 0, len(closing))


def _build_tree(content: MarkedText) -> _Node:
    """Return the tags as a tree. Tags without a partner, and tags that cross others, are single."""
    partners: dict[int, int] = {}
    stack: list[int] = []
    for index, tag in enumerate(content.tags):
        if tag.pair and tag.is_opening:
            stack.append(index)
        elif tag.pair and any(content.tags[opening].pair == tag.pair for opening in stack[-MAX_OPEN_TAGS:]):
            while content.tags[stack[-1]].pair != tag.pair:
                stack.pop()
            partners[stack.pop()] = index
    root = _Node(None, None, 0, len(content.text))
    open_nodes = [root]
    for index, tag in enumerate(content.tags):
        if index in partners:
            closing = content.tags[partners[index]]
            node = _Node(tag, closing, tag.position, closing.position)
            open_nodes[-1].children.append(node)
            open_nodes.append(node)
        elif open_nodes[-1].closing is tag:
            open_nodes.pop()
        else:
            open_nodes[-1].children.append(_Node(tag, None, tag.position, tag.position))
    return root


def parse_tags(text: str, escape: Callable[[str], str] = str) -> MarkedText:
    """Return a text with its tags, such as `<b>now</b>`, as inline tags.

    The text of CODE_ELEMENTS is protected. A tag without a partner that is not self-closing is not markup and stays in
    the text.

    Args:
        text: The text.
        escape: Returns the markup of the document for a part of the text.
    """
    matches = list(_TAG.finditer(text))
    closing_tags = match_tags(None if _is_single(match) else (match[2], bool(match[1])) for match in matches)
    partners = {**closing_tags, **{closing: opening for opening, closing in closing_tags.items()}}
    parts: list[str] = []
    tags: list[InlineTag] = []
    protected: list[ProtectedSpan] = []
    at = length = code_end = 0
    for index, match in enumerate(matches):
        if match.start() < code_end or (index not in partners and not _is_single(match)):
            continue
        parts.append(text[at : match.start()])
        length += len(parts[-1])
        at = match.end()
        partner = matches[partners[index]] if index in partners else None
        is_opening = partner is not None and index < partners[index]
        if partner is None:
            tags.append(InlineTag(length, escape(match[0])))
        elif is_opening and match[2].lower() in CODE_ELEMENTS and _is_plain(text[at : partner.start()]):
            inside = text[at : partner.start()]
            markup = escape(text[match.start() : partner.end()])
            protected.append(ProtectedSpan(length, length + len(inside), markup))
            parts.append(inside)
            length += len(inside)
            at = code_end = partner.end()
        else:
            pair = min(index, partners[index]) + 1
            tags.append(InlineTag(length, escape(match[0]), pair, is_opening))
    return MarkedText("".join([*parts, text[at:]]), tuple(tags), tuple(protected))


def _is_plain(inside: str) -> bool:
    return bool(inside.strip()) and inside == inside.strip() and "<" not in inside and "\n" not in inside


def _is_single(tag: re.Match[str]) -> bool:
    return tag[3].endswith("/") or (not tag[1] and tag[2].lower() in ("br", "hr", "img", "wbr"))


def match_tags(tags: Iterable[tuple[str, bool] | None]) -> dict[int, int]:
    """Map the index of each opening tag that is closed to the index of its closing tag. Pairs never cross.

    Args:
        tags: The name of each tag, and whether it is a closing tag; None for anything else.
    """
    partners: dict[int, int] = {}
    open_tags: list[tuple[str, int]] = []
    for index, tag in enumerate(tags):
        if tag is None:
            continue
        name, is_closing = tag
        if not is_closing:
            open_tags.append((name, index))
        elif (opening := close_last(open_tags, name)) is not None:
            partners[opening] = index
    return partners


def close_last(open_tags: list[tuple[T, int]], name: T) -> int | None:
    """Remove the last open tag of a name, and those inside it. Return its index; None if no such tag is open.

    Only the MAX_OPEN_TAGS innermost tags are searched.
    """
    for depth, (open_name, index) in enumerate(reversed(open_tags[-MAX_OPEN_TAGS:])):
        if open_name == name:
            del open_tags[len(open_tags) - depth - 1 :]
            return index
    return None
