"""A document that consists of the parts of a ZIP archive."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from regard.documents.containers.zip_archive import ZipArchive
from regard.documents.document import Document, MarkedText, Segment, SkippedEntry


@dataclass(frozen=True)
class _Slice:
    """A part, and which segments of the container are its own."""

    member: str
    document: Document
    start: int
    end: int


class ContainerDocument:
    """Base class of documents in containers. It implements Document.

    A subclass adds the parts when it is created.
    """

    def __init__(self, data: bytes, name: str, kind: str) -> None:
        """Open the container. Raise DataError if it is not a valid archive; `kind` describes it in messages."""
        self.name = name
        self.segments: list[Segment] = []
        self.skipped: list[SkippedEntry] = []
        self.already_translated = 0
        self.archive = ZipArchive(data, name, kind)
        self._data = data
        self._slices: list[_Slice] = []
        self._num_entries = 0

    def part_name(self, member: str) -> str:
        """Return the name of a member for messages."""
        return f"{self.name} ({member})"

    def add_part(self, member: str, document: Document) -> None:
        """Add a part with all of its segments."""
        start, first_entry = len(self.segments), self._num_entries
        for segment in document.segments:
            self._num_entries = max(self._num_entries, first_entry + segment.entry + 1)
            self.segments.append(replace(segment, entry=first_entry + segment.entry, part=member))
        self.skipped += [replace(skipped, part=member) for skipped in document.skipped]
        self._slices.append(_Slice(member, document, start, len(self.segments)))

    def check_translation(self, index: int, translation: MarkedText) -> str:
        """Return why the part of segment `index` cannot hold this translation, or an empty string."""
        part = self._slices[bisect_right(self._slices, index, key=lambda part: part.start) - 1]
        return part.document.check_translation(index - part.start, translation)

    def fill(self, translations: Sequence[MarkedText | None]) -> bytes:
        """Return the container with the translations in its parts. Without any, nothing changes."""
        if all(translation is None for translation in translations):
            return self._data
        contents: dict[str, bytes] = {}
        for part in self._slices:
            contents[part.member] = part.document.fill(translations[part.start : part.end])
        return self.archive.replace(contents)
