"""Fluent (.ftl): messages and attributes are translated, each variant as a whole; terms and comments stay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from regard.documents.document import Columns, LanguagePair, MarkedText, ProtectedSpan, decode_document
from regard.documents.message_variants import Choice, Message
from regard.documents.optional import import_optional
from regard.documents.strings import StringsDocument, StringValue
from regard.errors import DataError

MAX_DEPTH = 32  # nested braces
MAX_BYTES = 1 << 22  # of a file: the parser reads about 200 kB per second
_FIX = "correct the file; compare it with the syntax guide of Fluent"
_CODE_ATTRIBUTES = frozenset({"accesskey", "key", "keycode", "commandkey", "shortcut", "style", "href", "src"})
_PLACEABLE = re.compile(r"\{(?:[^{}\"]|\"(?:[^\"\\\n]|\\.)*\")*\}")
_PLAIN_PLACEABLE = re.compile(r"\{[^{}\n]{0,200}\}")
_SPECIAL_START = re.compile(r"^([ ]*)([\[*.])", re.MULTILINE)
_GLUE_BREAK = "\0"  # a line break whose indentation is there already


@dataclass(frozen=True)
class _Pattern:
    """A pattern: its message, and the indentation of its lines; a block starts on a separate line."""

    message: Message
    indent: int
    is_block: bool


class FluentDocument(StringsDocument):
    """A Fluent file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not Fluent, with the line number."""
        if len(data) > MAX_BYTES:
            raise DataError(f"the file has more than {MAX_BYTES:,} bytes", where=name, fix="split it")
        super().__init__(decode_document(data, name), name, "utf-8", columns)
        if "\0" in self._text:
            line = self._text.count("\n", 0, self._text.index("\0")) + 1
            raise DataError("it has a null character", where=f"{name}:{line}", fix=_FIX)
        self._syntax: Any = import_optional("fluent.syntax", name)
        self._check_depth()
        self._patterns: dict[int, _Pattern] = {}  # by their positions
        offset = 1 if self._text.startswith("\ufeff") else 0
        try:
            resource = self._syntax.FluentParser().parse(self._text[offset:])
        except RecursionError:
            raise DataError("its braces are nested too deeply", where=f"{name}:1", fix=_FIX) from None
        self._offset = offset
        for entry in resource.body:
            self._add_resource(entry)

    def _check_depth(self) -> None:
        depth = 0
        for match in re.finditer(r"[{}]|\n(?=[^\s{}])", self._text):  # a line that is not indented starts an entry
            depth = 0 if match[0] == "\n" else max(0, depth + (1 if match[0] == "{" else -1))
            if depth > MAX_DEPTH:
                line = self._text.count("\n", 0, match.start()) + 1
                raise DataError("its braces are nested too deeply", where=f"{self.name}:{line}", fix=_FIX)

    def _add_resource(self, entry: Any) -> None:
        ast = self._syntax.ast
        if isinstance(entry, ast.Junk):
            error = entry.annotations[0]
            line = self._text.count("\n", 0, error.span.start + self._offset) + 1
            message = error.message[:1].lower() + error.message[1:].rstrip(".")
            raise DataError(f"this is not Fluent: {message}", where=f"{self.name}:{line}", fix=_FIX)
        if not isinstance(entry, ast.Message | ast.Term):
            return
        is_term = isinstance(entry, ast.Term)
        name = f"-{entry.id.name}" if is_term else entry.id.name
        if entry.value is not None:
            self._add_pattern(name, entry.value, is_default=not is_term)
        for attribute in entry.attributes:
            is_default = not is_term and attribute.id.name not in _CODE_ATTRIBUTES
            self._add_pattern(f"{name}.{attribute.id.name}", attribute.value, is_default=is_default)

    def _add_pattern(self, key: str, pattern: Any, *, is_default: bool) -> None:
        start, end = pattern.span.start + self._offset, pattern.span.end + self._offset
        raw = self._text[start:end]
        is_block = start > 0 and self._text[start - 1] == "\n"
        starts = re.finditer(r"^( *)(?=[^ \r\n}])", raw, re.MULTILINE)
        indents = [len(match[1]) for match in starts if is_block or match.start()]
        indent = min(indents, default=4)
        start += indent if is_block else 0
        self._patterns[start] = _Pattern(self._parse_pattern(pattern), indent, is_block)
        self._pattern_start = start
        text = self._text[start:end]
        self._add_string(StringValue(key, text, start, end, self._line_of(start)), is_default=is_default)

    def _parse_message(self, text: str) -> Message:
        return self._patterns[self._pattern_start].message

    def _parse_pattern(self, pattern: Any) -> Message:
        """Return a pattern as texts, in which placeables are as written, and choices."""
        parts: list[str | Choice] = []
        for element in pattern.elements:
            if isinstance(element, self._syntax.ast.TextElement):
                parts.append(str(element.value))
                continue
            is_choice = isinstance(element, self._syntax.ast.Placeable) and isinstance(
                element.expression, self._syntax.ast.SelectExpression
            )
            parts.append(self._parse_choice(element) if is_choice else self._glue(element.span.start, element.span.end))
        return tuple(parts)

    def _parse_choice(self, placeable: Any) -> Choice:
        glue, variants = [], []
        at = placeable.span.start
        for variant in placeable.expression.variants:
            glue.append(self._glue(at, variant.value.span.start))
            variants.append(self._parse_pattern(variant.value))
            at = variant.value.span.end
        glue.append(self._glue(at, placeable.span.end))
        return Choice(tuple(glue), tuple(variants))

    def _glue(self, start: int, end: int) -> str:
        return self._text[start + self._offset : end + self._offset].replace("\n", _GLUE_BREAK)

    def _parse_text(self, text: str, sample: str) -> MarkedText:
        content = super()._parse_text(text, "")
        unusual = [match for match in _PLACEABLE.finditer(content.text) if not _PLAIN_PLACEABLE.fullmatch(match[0])]
        spans = [*content.protected, *(ProtectedSpan(*match.span(), match[0]) for match in unusual)]
        return MarkedText(content.text, content.tags, tuple(sorted(spans, key=lambda span: span.start)))

    def _check_string(self, string: StringValue, text: str) -> str:
        pattern = self._patterns[string.start]
        before = f"\n{' ' * max(1, pattern.indent)}" if pattern.is_block else " "
        resource = self._syntax.FluentParser().parse(f"key ={before}{self._quote(string, text)}\n")
        entry = resource.body[0] if len(resource.body) == 1 else None
        is_message = isinstance(entry, self._syntax.ast.Message) and entry.value is not None and not entry.attributes
        return "" if is_message else "Fluent would read it as something else"

    def _quote(self, string: StringValue, text: str) -> str:
        """Return a pattern with the indentation of another one."""
        pattern = self._patterns[string.start]
        newline = "\r\n" if "\r\n" in self._text else "\n"
        first, line_feed, rest = text.partition("\n")
        rest = _SPECIAL_START.sub(r'\1{"\2"}', rest)
        if pattern.is_block:
            first = _SPECIAL_START.sub(r'\1{"\2"}', first)
        lines = f"{first}{line_feed}{rest}".split("\n")
        indent = " " * max(1, pattern.indent)
        written = lines[0] + "".join(newline + (indent + line if line.strip() else "") for line in lines[1:])
        return written.replace(_GLUE_BREAK, "\n")
