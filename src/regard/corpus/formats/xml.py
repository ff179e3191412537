"""Stream XML in bounded memory; the TMX and XLIFF readers derive from `XmlReader`.

Nothing is downloaded or expanded. A file may name a document type; files that declare entities or attributes are
rejected. Depth, tags, names and the text of a unit are limited, since the memory or time of the parser grows with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import ClassVar, NoReturn

from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats.compressed import open_decompressed
from regard.corpus.formats.expat import XmlParser
from regard.corpus.formats.plain import MAX_LINE_BYTES
from regard.corpus.formats.sides import Sides

XML_LANG = "http://www.w3.org/XML/1998/namespace lang"

CHUNK_BYTES = 1 << 16
MAX_MARKUP_BYTES = 1 << 20  # of a tag, comment or document type; expat parses it again with each chunk
MAX_NAME_CHARACTERS = 1 << 20  # all names of elements and attributes together; expat keeps them
_CODE = frozenset(("bpt", "ept", "ph", "it", "ut"))  # inline elements whose content is code, not text


class XmlReader(ABC):
    """Reads one file. Subclasses handle the elements of a format and append pairs to `items`.

    Elements in other namespaces than that of the root are ignored with their content, except those of `any_namespace`.
    """

    root: ClassVar[str]
    former_roots: ClassVar[tuple[str, ...]] = ()  # the root elements of former versions of the format
    any_namespace: ClassVar[frozenset[str]] = frozenset()  # the names of elements that are read in every namespace

    def __init__(self, path: Path, sides: Sides) -> None:
        self.path = path
        self.sides = sides
        self.items: list[Pair | Skipped] = []
        self._parser = XmlParser(str(path), namespaces=True)
        self._namespace = ""
        self._depth = 0
        self._skipped_depth = 0  # open elements that are ignored
        self._text: StringIO | None = None  # of the element whose text is collected
        self._text_depth = 0  # depth of that element
        self._code_depth = 0  # open inline elements of code, and those inside them
        self._room = MAX_LINE_BYTES
        self._doctype_start: int | None = None

    @abstractmethod
    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """Handle the start of an element; not called inside an element whose text is collected."""

    @abstractmethod
    def end_element(self, name: str, text: str) -> None:
        """Handle the end of an element; `text` is empty unless it was collected."""

    def end_document(self) -> None:  # noqa: B027 (most formats have nothing to do)
        """Handle the end of a well-formed document."""

    @property
    def languages(self) -> tuple[str, str]:
        """The source and target languages of the pairs that have been read; empty where the file has none."""
        return self.sides.source_language, self.sides.target_language

    def collect_text(self) -> None:
        """Collect the text of the element that starts now, without codes, for `end_element`."""
        self._text, self._text_depth, self._code_depth = StringIO(), self._depth, 0

    def skip_element(self) -> None:
        """Ignore the element that starts now and its content."""
        self._skipped_depth = 1

    def begin_unit(self) -> None:
        """Start a unit; all texts in it together may have MAX_LINE_BYTES characters."""
        self._room = MAX_LINE_BYTES

    @property
    def line(self) -> int:
        """The line of the current tag."""
        return self._parser.line

    def fail(self, problem: str, fix: str) -> NoReturn:
        """Raise DataError at the current line."""
        self._parser.fail(problem, fix)

    def read(self) -> Iterator[Pair | Skipped]:
        """Yield all items of the file. Raise DataError if it is not well-formed or exceeds a limit."""
        parser = self._parser.expat
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._start_doctype
        parser.EndDoctypeDeclHandler = self._end_doctype
        parser.SkippedEntityHandler = self._refuse_entity
        fed = 0
        with open_decompressed(self.path) as file:
            while chunk := file.read(CHUNK_BYTES):
                fed += len(chunk)
                self._parser.feed(chunk)
                self._check(fed)
                items, self.items = self.items, []
                yield from items
        self._parser.feed(b"", last=True)
        self.end_document()
        yield from self.items

    def _check(self, fed: int) -> None:
        """Check the limits that no single event shows."""
        parser, start = self._parser.expat, self._doctype_start
        if fed - parser.CurrentByteIndex > MAX_MARKUP_BYTES:
            self.fail(f"a tag or comment is longer than {MAX_MARKUP_BYTES:,} bytes", "check that it ends")
        if start is not None and parser.CurrentByteIndex - start > MAX_MARKUP_BYTES:
            self.fail(f"the document type is longer than {MAX_MARKUP_BYTES:,} bytes", "remove its declarations")
        if sum(map(len, filter(None, parser.intern))) > MAX_NAME_CHARACTERS:
            self.fail("there are too many names of elements and attributes", "check that it has the format")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._parser.check_depth(self._depth)
        if self._skipped_depth:
            self._skipped_depth += 1
            return
        namespace, _, name = name.rpartition(" ")
        if self._depth == 1:
            self._namespace = namespace
            if name not in (self.root, *self.former_roots):
                self.fail(
                    f"the root element is <{name[:50]}>, not <{self.root}>",
                    "rename the file to the suffix of its format",
                )
        elif namespace != self._namespace and name not in self.any_namespace:
            self._skipped_depth = 1
            return
        if self._text is None:
            self.start_element(name, attributes)
        elif self._code_depth or name in _CODE:
            self._code_depth += 1

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._skipped_depth:
            self._skipped_depth -= 1
        elif self._text is None:
            self.end_element(name.rpartition(" ")[2], "")
        elif self._depth < self._text_depth:
            text, self._text = self._text.getvalue(), None
            self.end_element(name.rpartition(" ")[2], text)
        elif self._code_depth:
            self._code_depth -= 1

    def _data(self, data: str) -> None:
        if self._text is None or self._code_depth or self._skipped_depth:
            return
        self._room -= len(data)
        if self._room < 0:
            self.fail(f"a unit has more than {MAX_LINE_BYTES:,} characters", "check that it ends, or remove it")
        self._text.write(data)

    def _start_doctype(self, *_: object) -> None:
        self._doctype_start = self._parser.expat.CurrentByteIndex

    def _end_doctype(self) -> None:
        self._doctype_start = None

    def _refuse_entity(self, name: str, *_: object) -> NoReturn:
        self.fail(f"the entity &{name[:50]}; is not known", "write the character itself")


def languages_read(reader: XmlReader) -> tuple[str, str]:
    """Read a whole file, and return the languages of its pairs. Raise DataError if it cannot be read."""
    for _ in reader.read():
        pass
    return reader.languages
