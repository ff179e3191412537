"""XML read as it comes, in bounded memory: TMX and XLIFF build on `Document`.

Nothing is fetched and nothing expanded. A document type may be named; entities and attributes that a file declares are
refused. Depth, tags, names and the text of a unit have bounds, since a parser's memory or time grows with them.
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

CHUNK_BYTES = 1 << 16  # bytes
MAX_MARKUP_BYTES = 1 << 20  # bytes of a tag, comment or document type: expat begins such a one again at each chunk
MAX_NAME_CHARACTERS = 1 << 20  # characters of all names of elements and attributes, which expat keeps
_CODE = frozenset(("bpt", "ept", "ph", "it", "ut"))  # inline elements whose content is code of another format


class XmlReader(ABC):
    """One file on its way through the parser: what a format makes of its elements, and the pairs found so far.

    Elements of another namespace than the root's are passed over, with all that is in them.
    """

    root: ClassVar[str]

    def __init__(self, path: Path, sides: Sides) -> None:
        self.path = path
        self.sides = sides
        self.found: list[Pair | Skipped] = []
        self._parser = XmlParser(str(path), namespaces=True)
        self._namespace = ""
        self._depth = 0
        self._passed_over = 0  # open elements that are
        self._text: StringIO | None = None  # of the element that is listened to
        self._listens_at = 0  # its depth
        self._code = 0  # open inline elements of code, and those in them
        self._room = MAX_LINE_BYTES
        self._type_began: int | None = None

    @abstractmethod
    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins; not told of those inside one that is listened to."""

    @abstractmethod
    def end_element(self, name: str, text: str) -> None:
        """An element ends; its text where it was listened to."""

    def end_document(self) -> None:  # noqa: B027 (most formats have nothing to do)
        """The document has ended, well-formed."""

    def collect_text(self) -> None:
        """Have the text of the element that begins now, without codes, when it ends."""
        self._text, self._listens_at, self._code = StringIO(), self._depth, 0

    def skip_element(self) -> None:
        """Hear nothing of the element that begins now, nor of what is in it."""
        self._passed_over = 1

    def begin_unit(self) -> None:
        """A unit begins: all texts in it may have LONGEST characters together."""
        self._room = MAX_LINE_BYTES

    @property
    def line(self) -> int:
        """That on which the tag stands of which `opened` or `closed` is told."""
        return self._parser.line

    def fail(self, what: str, fix: str) -> NoReturn:
        """Raises DataError, at the line where the parser is."""
        self._parser.fail(what, fix)

    def read(self) -> Iterator[Pair | Skipped]:
        """All pairs of the file. Raises DataError where it is not well-formed or goes beyond a bound."""
        parser = self._parser.expat
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._type_begins
        parser.EndDoctypeDeclHandler = self._type_ends
        parser.SkippedEntityHandler = self._refuse_entity
        fed = 0
        with open_decompressed(self.path) as file:
            while chunk := file.read(CHUNK_BYTES):
                fed += len(chunk)
                self._parser.feed(chunk)
                self._check(fed)
                found, self.found = self.found, []
                yield from found
        self._parser.feed(b"", last=True)
        self.end_document()
        yield from self.found

    def _check(self, fed: int) -> None:
        """The bounds that no single event shows."""
        parser, began = self._parser.expat, self._type_began
        if fed - parser.CurrentByteIndex > MAX_MARKUP_BYTES:
            self.fail(f"a tag or comment is longer than {MAX_MARKUP_BYTES:,} bytes", "check that it ends")
        if began is not None and parser.CurrentByteIndex - began > MAX_MARKUP_BYTES:
            self.fail(f"the document type is longer than {MAX_MARKUP_BYTES:,} bytes", "take its declarations out")
        if sum(map(len, filter(None, parser.intern))) > MAX_NAME_CHARACTERS:
            self.fail("there are too many names of elements and attributes", "check that it has the format")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._parser.check_depth(self._depth)
        if self._passed_over:
            self._passed_over += 1
            return
        namespace, _, name = name.rpartition(" ")
        if self._depth == 1:
            self._namespace = namespace
            if name != self.root:
                self.fail(
                    f"the root element is <{name[:50]}>, not <{self.root}>", "name the file by the format that it has"
                )
        elif namespace != self._namespace:
            self._passed_over = 1
            return
        if self._text is None:
            self.start_element(name, attributes)
        elif self._code or name in _CODE:
            self._code += 1

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._passed_over:
            self._passed_over -= 1
        elif self._text is None:
            self.end_element(name.rpartition(" ")[2], "")
        elif self._depth < self._listens_at:
            text, self._text = self._text.getvalue(), None
            self.end_element(name.rpartition(" ")[2], text)
        elif self._code:
            self._code -= 1

    def _data(self, data: str) -> None:
        if self._text is None or self._code or self._passed_over:
            return
        self._room -= len(data)
        if self._room < 0:
            self.fail(f"a unit has more than {MAX_LINE_BYTES:,} characters", "check that it ends, or take it out")
        self._text.write(data)

    def _type_begins(self, *_: object) -> None:
        self._type_began = self._parser.expat.CurrentByteIndex

    def _type_ends(self) -> None:
        self._type_began = None

    def _refuse_entity(self, name: str, *_: object) -> NoReturn:
        self.fail(f"the entity &{name[:50]}; is not known", "write the character itself in its place")
