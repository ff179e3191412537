"""YAML: scalars that are text are translated; keys, comments, anchors, quotes and layout stay.

The parser's events locate the scalars. Aliases are never expanded, and tags construct nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from regard.corpus.formats.sides import matches_language
from regard.documents.document import Columns, Edit, LanguagePair, decode_document
from regard.documents.optional import import_optional
from regard.documents.splitting import wrap_lines
from regard.documents.strings import MAX_DEPTH, StringsDocument, StringValue
from regard.errors import DataError

MAX_BYTES = 1 << 22  # of a file: the parser reads 50 kB to 1 MB per second
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_BLOCK = re.compile(r"([|>][-+0-9]{0,2})([ \t]*(?:#[^\n]*)?)(\r?\n)")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")  # the anchor and the tag of a scalar
_LINE_BREAK = re.compile(r"[ \t]*(\r?\n)([ \t]*)")


@dataclass
class _Container:
    """An open mapping or sequence, whether it is in a key, and its current key or index."""

    is_mapping: bool
    is_flow: bool
    is_in_key: bool
    is_key_next: bool = True
    key: str = "0"
    keys: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Style:
    """How a scalar is written: its style (empty if plain), and whether it is in a flow collection or is the root."""

    style: str
    is_flow: bool
    is_root: bool


class YamlDocument(StringsDocument):
    """A YAML file."""

    def __init__(self, data: bytes, name: str, languages: LanguagePair, columns: Columns) -> None:
        """Parse the file. Raise DataError if it is not YAML, with the line number."""
        if len(data) > MAX_BYTES:
            raise DataError(f"the file has more than {MAX_BYTES:,} bytes", where=name, fix="split it")
        super().__init__(decode_document(data, name), name, "utf-8", columns, languages.source)
        self._yaml: Any = import_optional("yaml", name)
        self._offset = 1 if self._text.startswith("\ufeff") else 0
        self._languages = languages
        self._styles: dict[int, _Style] = {}  # by the position of the scalar
        self._open: list[_Container] = []
        self._language_key: tuple[int, int] | None = None  # the only key of the file, if it is the source language
        self._num_root_keys = 0
        for event in self._events():
            self._add_event(event)

    def _events(self) -> Iterator[Any]:
        """Yield the events of the parser. Raise DataError for an error in the file."""
        loader = getattr(self._yaml, "CSafeLoader", self._yaml.SafeLoader)
        try:
            yield from self._yaml.parse(self._text[self._offset :], Loader=loader)
        except self._yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "a character is not allowed"
            position = mark.index if mark else getattr(error, "position", 0)
            raise self._error(f"this is not valid YAML: {problem}", position + self._offset) from None

    def _error(self, problem: str, position: int) -> DataError:
        line = self._text.count("\n", 0, position) + 1
        return DataError(problem, where=f"{self.name}:{line}", fix="correct the file; a YAML parser shows the place")

    def _add_event(self, event: Any) -> None:
        events = self._yaml.events
        start = event.start_mark.index + self._offset
        if isinstance(event, events.MappingStartEvent | events.SequenceStartEvent):
            is_in_key = self._check_key()
            is_mapping = isinstance(event, events.MappingStartEvent)
            self._open.append(_Container(is_mapping, bool(event.flow_style), is_in_key))
            if len(self._open) > MAX_DEPTH:
                raise self._error(f"more than {MAX_DEPTH} collections are nested", start)
        elif isinstance(event, events.MappingEndEvent | events.SequenceEndEvent):
            self._open.pop()
            self._advance()
        elif isinstance(event, events.AliasEvent):
            self._check_key()
            self._advance()
        elif isinstance(event, events.ScalarEvent):
            self._add_scalar(event, start)

    def _check_key(self) -> bool:
        """Note a node that is not a scalar. Return whether it is a key, or in one."""
        if not self._open:
            self._num_root_keys += 1
            return False
        container = self._open[-1]
        is_key = container.is_mapping and container.is_key_next
        if is_key:
            container.key = "?"
        return is_key or container.is_in_key

    def _advance(self) -> None:
        """Go to the next key, value or item of the innermost collection."""
        if not self._open:
            return
        container = self._open[-1]
        if container.is_mapping:
            container.is_key_next = not container.is_key_next
        else:
            container.key = str(int(container.key) + 1)

    def _add_scalar(self, event: Any, start: int) -> None:
        end = event.end_mark.index + self._offset
        container = self._open[-1] if self._open else None
        if container is not None and container.is_mapping and container.is_key_next:
            self._add_key(container, event, (start, end))
        elif self._is_string(event) and (container is None or not container.is_in_key):
            keys = [parent.key for parent in self._open]
            style = _Style(event.style or "", any(parent.is_flow for parent in self._open), not keys)
            if event.anchor or event.tag:  # the event starts at its properties
                start = self._skip_properties(start)
            if style.style in ("|", ">"):
                start, end = self._block_span(start, end)
            self._styles[start] = style
            string = StringValue(".".join(keys), event.value, start, end, self._line_of(start))
            source_key = keys[-1] if container is not None and container.is_mapping else ""
            self._add_string(string, source_key)
        self._advance()

    def _add_key(self, container: _Container, event: Any, span: tuple[int, int]) -> None:
        key = container.key = event.value
        if key in container.keys and key != "<<":
            raise self._error(f"this is not valid YAML: the key {key[:100]!r} occurs twice in this mapping", span[0])
        container.keys.add(key)
        if len(self._open) == 1:
            self._num_root_keys += 1
            is_plain = not event.style and not event.anchor and not event.tag
            if is_plain and matches_language(key, self._languages.source):
                self._language_key = span

    def _is_string(self, event: Any) -> bool:
        if event.tag not in _STRING_TAGS:
            return False
        return bool(event.tag or event.style) or self._resolves_to_string(event.value)

    def _resolves_to_string(self, value: str) -> bool:
        """Return whether YAML reads a plain scalar as a string, and not as a number, a date, true, no or null."""
        resolvers = self._yaml.SafeLoader.yaml_implicit_resolvers
        candidates = [*resolvers.get(value[:1], ()), *resolvers.get(None, ())]
        return not any(pattern.match(value) for _, pattern in candidates)

    def _skip_properties(self, start: int) -> int:
        """Return where a scalar starts, after its anchor and its tag."""
        match = _PROPERTIES.match(self._text, start)
        return match.end() if match else start

    def _block_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span of a block scalar, without the blank lines after it."""
        raw = self._text[start:end]
        header = _BLOCK.match(raw)
        if header is None:
            return start, end
        last = raw.rstrip()
        # The end mark is at the next token, so comments that follow are cut off: they are indented less.
        indent = _block_indent(raw[header.end() :])
        lines = raw[header.end() :].split("\n")
        size = next(
            (index for index, line in enumerate(lines) if line.strip() and not line.startswith(indent)), len(lines)
        )
        content = "\n".join(lines[:size]).rstrip("\r\n \t")
        return start, start + (header.end() + len(content) if content else len(last))

    def _common_edits(self) -> list[Edit]:
        """Rename the only key of the file if it is the source language, as in Rails."""
        if self._language_key is None or self._num_root_keys > 2 or not self._languages.target:
            return []
        return [(*self._language_key, self._languages.target)]

    def _check_string(self, string: StringValue, text: str) -> str:
        return "" if self._write(string, text) is not None else "YAML cannot hold it in this style"

    def _quote(self, string: StringValue, text: str) -> str:
        written = self._write(string, text)
        assert written is not None
        return written

    def _write(self, string: StringValue, text: str) -> str | None:
        """Return a text in the style of a scalar, or else in double quotes; None if it cannot be written."""
        raw, style = self._text[string.start : string.end], self._styles[string.start]
        if style.style in ("|", ">"):
            candidates = [_write_block(raw, text)]
        else:
            candidates = [*_write_flow(raw, text, style.style), _double_quote(text)]
        return next((written for written in candidates if self._reads_as(written, text, style)), None)

    def _reads_as(self, written: str, text: str, style: _Style) -> bool:
        """Return whether a scalar is read as a text where it is."""
        before, after = ("[", "]") if style.is_flow else ("", "\n") if style.is_root else ("k: ", "\n")
        if style.is_root and style.style in ("|", ">"):
            before = "--- "
        loader = self._yaml.SafeLoader
        try:
            events = list(self._yaml.parse(before + written + after, Loader=loader))
        except self._yaml.YAMLError:
            return False
        scalars = [event for event in events if isinstance(event, self._yaml.events.ScalarEvent)]
        if len(scalars) != (1 if before in ("[", "", "--- ") else 2) or len(events) > 8:
            return False
        scalar = scalars[-1]
        value = scalar.value
        if style.style in ("|", ">"):
            value, text = value.rstrip("\n"), text.rstrip("\n")
        return bool(value == text and self._is_string(scalar))


def _block_indent(content: str) -> str:
    """Return the indentation of the first line of a block scalar that is not blank."""
    match = re.search(r"^([ ]*)\S", content, re.MULTILINE)
    return match[1] if match else ""


def _write_block(raw: str, text: str) -> str:
    """Return a text as a block scalar with the header and the indentation of another one."""
    header = _BLOCK.match(raw)
    if header is None:
        return raw
    content = raw[header.end() :]
    indent, newline = _block_indent(content), header[3]
    text = text.rstrip("\n")
    if raw.startswith(">"):
        width = max(map(len, content.splitlines()), default=80) - len(indent)
        paragraphs = [
            line if line.startswith((" ", "\t")) else wrap_lines(line, 1 + len(line) // max(width, 20))
            for line in text.split("\n")
        ]
        text = "\n\n".join(paragraphs)
    lines = [indent + line if line.strip() else line for line in text.split("\n")]
    return header[0] + newline.join(lines)


def _write_flow(raw: str, text: str, style: str) -> list[str]:
    """Return a text in a style, on as many lines as before, and on one line."""
    if style == "'":
        escaped = text.replace("'", "''")
    elif style == '"':
        escaped = _double_quote(text)[1:-1]
    else:
        escaped = text
    written = [style + escaped + style]
    breaks = _LINE_BREAK.findall(raw)
    if breaks and "\n" not in escaped:
        newline, indent = breaks[0]
        lines = wrap_lines(escaped, len(breaks) + 1).split("\n")
        written.insert(0, style + f"{newline}{indent}".join(lines) + style)
    return written


def _double_quote(text: str) -> str:
    escapes = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r", "\x85": r"\N", "\u2028": r"\L"}
    escapes |= {"\u2029": r"\P", "\xa0": r"\_", "\ufeff": r"\uFEFF"}
    return f'"{"".join(escapes.get(character, character) for character in text)}"'
