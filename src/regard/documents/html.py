"""HTML: the text of each block, its inline tags carried over, and attributes that are read; all else stays."""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from regard.corpus.formats.sides import matches_language
from regard.documents.document import (
    Columns,
    Edit,
    InlineTag,
    LanguagePair,
    MarkedText,
    ProtectedSpan,
    Segment,
    SkippedEntry,
    apply_edits,
    decode_document,
    render,
    resolve_encoding,
)
from regard.documents.html_attributes import (
    LANGUAGE_ATTRIBUTES,
    TRANSLATABLE_ATTRIBUTES,
    Attribute,
    attributes,
    quote_value,
)
from regard.documents.inline_markup import CODE_ELEMENTS
from regard.text.segments import has_letters

_BLOCKS = """
address article aside base blockquote body br button canvas caption center col colgroup dd details dialog dir div dl dt
fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html input legend li link
main menu meta nav object ol optgroup option p param section select source summary table tbody td tfoot th thead title
tr track ul video audio
"""
_VOID = "area base br col embed hr img input link meta param source track wbr"

OPAQUE = frozenset({"script", "style", "textarea", "pre", "svg", "math", "template", "iframe", "noscript", "xmp"})
BLOCKS = frozenset(_BLOCKS.split()) | OPAQUE
VOID = frozenset(_VOID.split())

_NAME = re.compile(r"</?([A-Za-z][^\s/>]{0,100})")
_STOP = re.compile(r"[>\"']")
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_KEPT = re.compile(r"""\stranslate\s*=\s*["']?no\b""", re.IGNORECASE)


@dataclass(frozen=True)
class _Token:
    """Characters start to end: text (no name), a tag, or a comment (`!`)."""

    name: str
    start: int
    end: int
    closes: bool = False


class HtmlDocument:
    """An HTML file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Raises DataError where it has not the encoding that it says."""
        self.name = name
        found = _CHARSET.search(data[:4096])
        declared = found[1].decode().lower() if found and not data.startswith(b"\xef\xbb\xbf") else "utf-8"
        self._encoding = resolve_encoding(declared, name)
        self._text = decode_document(data, name, self._encoding)
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self._spans: list[tuple[int, int]] = []  # of the blocks, whose segments come first
        self._line = (0, 1)  # so many lines begin before that place
        self._attributes: list[tuple[_Token, Attribute]] = []
        self._languages = languages
        self._language: tuple[_Token, list[Attribute]] | None = None  # of the page, where it is the source language
        run: list[_Token] = []
        for token in _outside(list(_tokens(self._text)), self._text):
            self._take_attributes(token)
            if token.name in BLOCKS:
                self._take(run)
                run = []
            else:
                run.append(token)
        self._take(run)
        self._line = (0, 1)
        for token, attribute in self._attributes:
            marked, number = MarkedText(attribute.value), len(self.segments)
            self.segments.append(Segment(marked, self._line_of(token.start), number, is_reflowable=True))

    def _take_attributes(self, token: _Token) -> None:
        """Keep those that are to be translated, if the token is a tag by itself."""
        tag = token.name not in ("", "!", "code") and not token.closes
        if (
            not tag
            or _tag_end(self._text, token.start + 1) != token.end
            or _KEPT.search(self._text, token.start, token.end)
        ):
            return
        found = list(attributes(self._text, token.start, token.end))
        self._attributes += [
            (token, one) for one in found if one.name in TRANSLATABLE_ATTRIBUTES and has_letters(one.value)
        ]
        source, target = self._languages.source, self._languages.target
        languages = [one for one in found if one.name in LANGUAGE_ATTRIBUTES]
        own = [one for one in languages if source and target and matches_language(one.value, source)]
        if token.name == "html" and self._language is None and own:
            self._language = token, own

    def _line_of(self, start: int) -> int:
        """The line of a character that is not before the one asked for last."""
        at, line = self._line
        self._line = (start, line + self._text.count("\n", at, start))
        return self._line[1]

    def _take(self, run: list[_Token]) -> None:
        marked, start, end = _marked(run, self._text)
        if not has_letters(marked.text) or all(not has_letters(part) for part in _translatable(marked)):
            return
        self.segments.append(Segment(marked, self._line_of(start), len(self._spans), is_reflowable=True))
        self._spans.append((start, end))

    def check_translation(self, number: int, translation: MarkedText) -> str:
        """See Document."""
        return ""

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """See Document."""
        blocks, values = translations[: len(self._spans)], translations[len(self._spans) :]
        tags = self._tags(values, filled=any(one is not None for one in translations))
        new = {self._text[token.start : token.end]: tag for token, tag in tags}  # tags that are alike become alike
        edits: list[Edit] = []
        for (start, end), translation in zip(self._spans, blocks, strict=True):
            if translation is not None:
                inline_tags = tuple(
                    replace(mark, markup=new.get(mark.markup, mark.markup)) for mark in translation.tags
                )
                edits.append((start, end, render(replace(translation, tags=inline_tags), _escape)))
        ends = [end for _, end, _ in edits]
        for token, tag in tags:
            place = bisect_left(ends, token.end)
            if place == len(ends) or token.start < edits[place][0]:  # in no block that is written anew
                edits.append((token.start, token.end, tag))
        return apply_edits(self._text, edits).encode(self._encoding, "xmlcharrefreplace")

    def _tags(self, values: Sequence[MarkedText | None], *, filled: bool) -> list[tuple[_Token, str]]:
        """The tags with other attributes than they had, and what they become. filled: anything is translated."""
        edits: dict[_Token, list[Edit]] = {}
        for (token, one), translation in zip(self._attributes, values, strict=True):
            if translation is not None:
                edits.setdefault(token, []).append((one.start, one.end, self._quoted(one, render(translation))))
        if filled and self._language is not None:
            token, own = self._language
            for one in own:
                old = self._text[one.start : one.end]
                edits.setdefault(token, []).append((one.start, one.end, old.replace(one.value, self._languages.target)))
        found = []
        for token, changes in edits.items():
            moved = [(start - token.start, end - token.start, new) for start, end, new in changes]
            found.append((token, apply_edits(self._text[token.start : token.end], moved)))
        return found

    def _quoted(self, one: Attribute, value: str) -> str:
        return quote_value(value, self._text[one.start : one.end])


def _escape(text: str) -> str:
    return html.escape(text, quote=False).replace("\u00a0", "&nbsp;")


def _translatable(marked: MarkedText) -> Iterator[str]:
    at = 0
    for atom in marked.protected:
        yield marked.text[at : atom.start]
        at = atom.end
    yield marked.text[at:]


def _tokens(text: str) -> Iterator[_Token]:
    """What the text consists of, in order and without a gap; what is never closed is one comment to the end."""
    at = begins = 0
    while (at := text.find("<", at)) >= 0:
        match = _NAME.match(text, at)
        if match:
            name, closes = match[1].lower(), text.startswith("</", at)
            end = _tag_end(text, match.end())
        elif text.startswith(("<!", "<?", "</"), at):
            name, closes = "!", False
            close = "-->" if text.startswith("<!--", at) else ">"
            place = text.find(close, at + (4 if close == "-->" else 2))
            end = place + len(close) if place >= 0 else len(text)
        else:
            at += 1
            continue
        if begins < at:
            yield _Token("", begins, at)
        yield _Token(name, at, end, closes)
        at = begins = end
        if name in OPAQUE and not closes and not text.startswith("/", end - 2):
            at = _close(text, name, end)
            if end < at:
                yield _Token("!", end, at)
            begins = at
    if begins < len(text):
        yield _Token("", begins, len(text))


def _close(text: str, name: str, start: int) -> int:
    """Where the closing tag of an element begins whose content is no markup; the end, if there is none."""
    match = re.compile(rf"</{name}\b", re.IGNORECASE).search(text, start)
    return match.start() if match else len(text)


def _tag_end(text: str, at: int) -> int:
    while stop := _STOP.search(text, at):
        if stop[0] == ">":
            return stop.end()
        at = text.find(stop[0], stop.end()) + 1
        if not at:
            break
    return len(text)


def _outside(tokens: Sequence[_Token], text: str) -> Iterator[_Token]:
    """The tokens, each element that is not to be translated (code, translate="no") as one: `!`, or `code` of text."""
    partner = _partners(tokens)
    place = 0
    while place < len(tokens):
        token = tokens[place]
        last = partner.get(place, place)
        inline = token.name not in BLOCKS
        if last > place and ((inline and token.name in CODE_ELEMENTS) or _KEPT.search(text, token.start, token.end)):
            inside = tokens[place + 1 : last]
            plain = (
                inline and len(inside) == 1 and not inside[0].name and "\n" not in text[inside[0].start : inside[0].end]
            )
            yield _Token("code" if plain else "!" if inline else token.name, token.start, tokens[last].end)
            place = last
        else:
            yield token
        place += 1


def _partners(tokens: Sequence[_Token]) -> dict[int, int]:
    """The opening tag of each element that is closed, with its closing one, by their places."""
    partner: dict[int, int] = {}
    stack: list[int] = []
    for place, token in enumerate(tokens):
        if token.name in ("", "!") or token.name in VOID:
            continue
        if not token.closes:
            stack.append(place)
            continue
        for depth, one in enumerate(reversed(stack[-64:])):
            if tokens[one].name == token.name:
                del stack[len(stack) - depth - 1 :]
                partner[one] = place
                break
    return partner


def _marked(run: list[_Token], text: str) -> tuple[MarkedText, int, int]:
    """A run of inline tokens as text with marks, and where it begins and ends, without white space around it."""
    blank = [not token.name and not text[token.start : token.end].strip() for token in run]
    while run and (blank[0] or blank[-1]):
        place = 0 if blank[0] else len(run) - 1
        del run[place], blank[place]
    if not run:
        return MarkedText(""), 0, 0
    start, end = run[0].start, run[-1].end
    if not run[0].name:
        start += len(text[start : run[0].end]) - len(text[start : run[0].end].lstrip())
    if not run[-1].name:
        end -= len(text[run[-1].start : end]) - len(text[run[-1].start : end].rstrip())
    partner = _partners(run)
    number = {place: one + 1 for one, pair in enumerate(partner.items()) for place in pair}
    parts: list[str] = []
    marks: list[InlineTag] = []
    atoms: list[ProtectedSpan] = []
    length = 0

    def say(said: str) -> None:
        nonlocal length
        parts.append(said)
        length += len(said)

    for place, token in enumerate(run):
        raw = text[max(token.start, start) : min(token.end, end)]
        if token.name == "code" and "</" in raw:
            inside = html.unescape(raw[_tag_end(raw, 0) : raw.rindex("</")])
            if inside and inside == inside.strip():
                atoms.append(ProtectedSpan(length, length + len(inside), raw))
                say(inside)
            else:
                marks.append(InlineTag(length, raw))
        elif token.name:
            marks.append(InlineTag(length, raw, number.get(place, 0), place in partner))
        else:
            say(html.unescape(raw).replace("\r\n", "\n"))
    return MarkedText("".join(parts), tuple(marks), tuple(atoms)), start, end
