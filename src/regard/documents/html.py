"""HTML: the text of each block is translated with its inline tags, and so are some attributes; all else stays."""

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
    TextDocument,
    apply_edits,
    decode_document,
    render,
    resolve_encoding,
)
from regard.documents.html_attributes import (
    LANGUAGE_ATTRIBUTES,
    TRANSLATABLE_ATTRIBUTES,
    Attribute,
    parse_attributes,
    quote_value,
)
from regard.documents.inline_markup import CODE_ELEMENTS, match_tags
from regard.text.segments import has_letters

_BLOCKS = """
address article aside base blockquote body br button canvas caption center col colgroup dd details dialog dir div dl dt
fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html input legend li link
main menu meta nav object ol optgroup option p param section select source summary table tbody td tfoot th thead title
tr track ul video audio
"""
_VOID = "area base br col embed hr img input link meta param source track wbr"

RAW_TEXT = frozenset({"script", "style", "textarea", "pre", "svg", "math", "template", "iframe", "noscript", "xmp"})
"""Elements whose content is neither parsed nor translated."""
BLOCKS = frozenset(_BLOCKS.split()) | RAW_TEXT
"""Elements that separate segments."""
VOID = frozenset(_VOID.split())
"""Elements without a closing tag."""

_NAME = re.compile(r"</?([A-Za-z][^\s/>]{0,100})")
_STOP = re.compile(r"[>\"']")
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_TRANSLATE_NO = re.compile(r"""\stranslate\s*=\s*["']?no\b""", re.IGNORECASE)


@dataclass(frozen=True)
class _Token:
    """Characters [start, end) of the document: text (no name), a tag, a comment (`!`), or inline code (`code`)."""

    name: str
    start: int
    end: int
    is_closing: bool = False


class HtmlDocument(TextDocument):
    """An HTML file."""

    encoding_errors = "xmlcharrefreplace"

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not in the encoding that it declares."""
        match = _CHARSET.search(data[:4096])
        declared = match[1].decode().lower() if match and not data.startswith(b"\xef\xbb\xbf") else "utf-8"
        encoding = resolve_encoding(declared, name)
        super().__init__(decode_document(data, name, encoding), name, encoding)
        self._spans: list[tuple[int, int]] = []  # of the blocks, whose segments come before those of attributes
        self._last_line = (0, 1)  # a character offset and its line number
        self._attributes: list[tuple[_Token, Attribute]] = []
        self._languages = languages
        self._language: tuple[_Token, list[Attribute]] | None = None  # <html> and its source language attributes
        run: list[_Token] = []
        for token in _merge_protected(list(_tokenize(self._text)), self._text):
            self._collect_attributes(token)
            if token.name in BLOCKS:
                self._add_block(run)
                run = []
            else:
                run.append(token)
        self._add_block(run)
        self._last_line = (0, 1)
        for token, attribute in self._attributes:
            content, entry = MarkedText(attribute.value), len(self.segments)
            self.segments.append(Segment(content, self._line_of(token.start), entry, is_reflowable=True))

    def _collect_attributes(self, token: _Token) -> None:
        """Keep the attributes of a tag that are translated or declare the source language."""
        is_tag = token.name not in ("", "!", "code") and not token.is_closing
        if (
            not is_tag
            or _tag_end(self._text, token.start + 1) != token.end
            or _TRANSLATE_NO.search(self._text, token.start, token.end)
        ):
            return
        attributes = list(parse_attributes(self._text, token.start, token.end))
        for attribute in attributes:
            if attribute.name in TRANSLATABLE_ATTRIBUTES and has_letters(attribute.value):
                self._attributes.append((token, attribute))
        source, target = self._languages.source, self._languages.target
        if token.name == "html" and self._language is None and source and target:
            declarations = [attribute for attribute in attributes if attribute.name in LANGUAGE_ATTRIBUTES]
            matching = [attribute for attribute in declarations if matches_language(attribute.value, source)]
            self._language = (token, matching) if matching else None

    def _line_of(self, offset: int) -> int:
        """Return the line number of a character. Offsets must not decrease from call to call."""
        last_offset, line = self._last_line
        self._last_line = (offset, line + self._text.count("\n", last_offset, offset))
        return self._last_line[1]

    def _add_block(self, run: list[_Token]) -> None:
        """Add a segment for the inline tokens between two block tags, if they have text to translate."""
        content, start, end = _parse_run(run, self._text)
        if not has_letters(content.unprotected()):
            return
        self.segments.append(Segment(content, self._line_of(start), len(self._spans), is_reflowable=True))
        self._spans.append((start, end))

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the page with the translations, and with the target language if anything is translated."""
        blocks, values = translations[: len(self._spans)], translations[len(self._spans) :]
        has_translation = any(translation is not None for translation in translations)
        changed_tags = self._changed_tags(values, has_translation=has_translation)
        # Tags within a translated block are replaced by their text, so equal tags get equal attributes.
        new_markup = {self._text[token.start : token.end]: tag for token, tag in changed_tags}
        edits: list[Edit] = []
        for (start, end), translation in zip(self._spans, blocks, strict=True):
            if translation is not None:
                tags = tuple(replace(tag, markup=new_markup.get(tag.markup, tag.markup)) for tag in translation.tags)
                edits.append((start, end, render(replace(translation, tags=tags), self.escape)))
        ends = [end for _, end, _ in edits]
        for token, tag in changed_tags:
            index = bisect_left(ends, token.end)
            if index == len(ends) or token.start < edits[index][0]:  # outside of translated blocks
                edits.append((token.start, token.end, tag))
        return self._apply(edits)

    def escape(self, text: str) -> str:
        """Escape a text."""
        return html.escape(text, quote=False).replace("\u00a0", "&nbsp;")

    def _changed_tags(self, values: Sequence[MarkedText | None], *, has_translation: bool) -> list[tuple[_Token, str]]:
        """Return the tags whose attributes change, each with its new text."""
        edits: dict[_Token, list[Edit]] = {}
        for (token, attribute), translation in zip(self._attributes, values, strict=True):
            if translation is not None:
                value = quote_value(render(translation), self._text[attribute.start : attribute.end])
                edits.setdefault(token, []).append((attribute.start, attribute.end, value))
        if has_translation and self._language is not None:
            token, attributes = self._language
            for attribute in attributes:
                old = self._text[attribute.start : attribute.end]
                new = old.replace(attribute.value, self._languages.target)
                edits.setdefault(token, []).append((attribute.start, attribute.end, new))
        changed = []
        for token, token_edits in edits.items():
            moved = [(start - token.start, end - token.start, new) for start, end, new in token_edits]
            changed.append((token, apply_edits(self._text[token.start : token.end], moved)))
        return changed


def _tokenize(text: str) -> Iterator[_Token]:
    """Yield consecutive tokens that cover the text. A tag or comment that never ends extends to the end of the text."""
    at = text_start = 0
    while (at := text.find("<", at)) >= 0:
        match = _NAME.match(text, at)
        if match:
            name, is_closing = match[1].lower(), text.startswith("</", at)
            end = _tag_end(text, match.end())
        elif text.startswith(("<!", "<?", "</"), at):
            name, is_closing = "!", False
            close = "-->" if text.startswith("<!--", at) else ">"
            close_start = text.find(close, at + (4 if close == "-->" else 2))
            end = close_start + len(close) if close_start >= 0 else len(text)
        else:
            at += 1
            continue
        if text_start < at:
            yield _Token("", text_start, at)
        yield _Token(name, at, end, is_closing)
        at = text_start = end
        if name in RAW_TEXT and not is_closing and not text.startswith("/", end - 2):
            at = _find_closing_tag(text, name, end)
            if end < at:
                yield _Token("!", end, at)
            text_start = at
    if text_start < len(text):
        yield _Token("", text_start, len(text))


def _find_closing_tag(text: str, name: str, start: int) -> int:
    """Return where the closing tag of an element with raw text starts, or the end of the text."""
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


def _merge_protected(tokens: Sequence[_Token], text: str) -> Iterator[_Token]:
    """Yield the tokens, with each element that is not translated merged into one: code, translate="no", note numbers.

    The merged token is `code` for an inline element with plain text, `!` for any other inline element, and has the name
    of the element otherwise.
    """
    partners = _match_tags(tokens)
    index = 0
    while index < len(tokens):
        token = tokens[index]
        last = partners.get(index, index)
        is_inline = token.name not in BLOCKS
        is_code = is_inline and token.name in CODE_ELEMENTS
        inside = tokens[index + 1 : last]
        is_mark = token.name == "sup" and not any(has_letters(text[t.start : t.end]) for t in inside if not t.name)
        if last > index and (is_code or is_mark or _TRANSLATE_NO.search(text, token.start, token.end)):
            is_plain = is_inline and len(inside) == 1 and not inside[0].name
            is_plain = is_plain and not is_mark and "\n" not in text[inside[0].start : inside[0].end]
            yield _Token("code" if is_plain else "!" if is_inline else token.name, token.start, tokens[last].end)
            index = last
        else:
            yield token
        index += 1


def _match_tags(tokens: Sequence[_Token]) -> dict[int, int]:
    """Map the index of each opening tag that is closed to the index of its closing tag."""
    return match_tags(
        None if token.name in ("", "!") or token.name in VOID else (token.name, token.is_closing) for token in tokens
    )


def _parse_run(run: list[_Token], text: str) -> tuple[MarkedText, int, int]:
    """Return the content and the span of a run of inline tokens, without the white space around it."""
    is_blank = [not token.name and not text[token.start : token.end].strip() for token in run]
    while run and (is_blank[0] or is_blank[-1]):
        index = 0 if is_blank[0] else len(run) - 1
        del run[index], is_blank[index]
    if not run:
        return MarkedText(""), 0, 0
    start, end = run[0].start, run[-1].end
    if not run[0].name:
        start += len(text[start : run[0].end]) - len(text[start : run[0].end].lstrip())
    if not run[-1].name:
        end -= len(text[run[-1].start : end]) - len(text[run[-1].start : end].rstrip())
    partners = _match_tags(run)
    pairs = {index: pair for pair, indices in enumerate(partners.items(), start=1) for index in indices}
    parts: list[str] = []
    tags: list[InlineTag] = []
    protected: list[ProtectedSpan] = []
    length = 0

    def add_text(part: str) -> None:
        nonlocal length
        parts.append(part)
        length += len(part)

    for index, token in enumerate(run):
        raw = text[max(token.start, start) : min(token.end, end)]
        if token.name == "code" and "</" in raw:
            inside = html.unescape(raw[_tag_end(raw, 0) : raw.rindex("</")])
            if inside and inside == inside.strip():
                protected.append(ProtectedSpan(length, length + len(inside), raw))
                add_text(inside)
            else:
                tags.append(InlineTag(length, raw))
        elif token.name:
            tags.append(InlineTag(length, raw, pairs.get(index, 0), index in partners))
        else:
            add_text(html.unescape(raw).replace("\r\n", "\n"))
    return MarkedText("".join(parts), tuple(tags), tuple(protected)), start, end
