"""TSV and CSV: an empty field of the target column is filled, or the column added; every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from regard.errors import DataError
from regard.text.documents.document import Columns, Edit, Languages, Marked, Segment, Skipped, decoded, spliced, written
from regard.text.documents.inline import with_tags

Field = tuple[int, int, str]  # from, to, and what it says
Row = tuple[int, list[Field]]  # the line on which it begins, and its fields

_FIX = "give --source-column and --target-column: names in the first line, or numbers from 1"


class Table:
    """A TSV or CSV file; `separator` is a tab or a comma."""

    def __init__(self, data: bytes, name: str, languages: Languages, columns: Columns, separator: str) -> None:
        """Raises DataError where it is no such table, or which columns are meant is not clear."""
        self.name = name
        self._separator = separator
        self._text = decoded(data, name)
        rows = list(_records(self._text, name) if separator == "," else _lines(self._text))
        if not rows:
            raise DataError("the file is empty", where=name, fix="name a file with text")
        names = [text.strip().removeprefix("\ufeff") for _, _, text in rows[0][1]]
        self._source, self._target, header = _columns(names, columns, languages, name)
        self._new = header and self._target == len(names)  # a column that the first line does not name yet
        self._title = columns.target or languages.target or "target"
        self._rows = rows
        self.segments: list[Segment] = []
        self.skipped: list[Skipped] = []
        self.done = 0
        self._filled: list[Row] = []
        for line, fields in rows[1:] if header else rows:
            self._take(line, fields)

    def _take(self, line: int, fields: list[Field]) -> None:
        source = fields[self._source][2] if self._source < len(fields) else ""
        if self._target < len(fields) and fields[self._target][2].strip():
            self.done += 1
        elif not source.strip():
            self.skipped.append(Skipped(line, "the source is blank"))
        elif self._target > len(fields):
            self.skipped.append(Skipped(line, f"it has {len(fields)} columns"))
        else:
            self._filled.append((line, fields))
            self.segments.append(Segment(with_tags(source), line, len(self.segments), menus=True))

    def refusal(self, number: int, translation: Marked) -> str:
        """See Document."""
        return (
            "it has a tab or a line break"
            if self._separator == "\t" and re.search(r"[\t\r\n]", written(translation))
            else ""
        )

    def fill(self, translations: Sequence[Marked | None]) -> bytes:
        """See Document."""
        edits: list[Edit] = []
        for (_, fields), translation in zip(self._filled, translations, strict=True):
            if translation is not None:
                edits.append(self._edit(fields, written(translation)))
        if self._new and edits:
            edits.append(self._edit(self._rows[0][1], self._title))
        return spliced(self._text, edits).encode()

    def _edit(self, fields: list[Field], text: str) -> Edit:
        if self._separator == "," and re.search(r'[",\r\n]', text):
            text = '"' + text.replace('"', '""') + '"'
        if self._target < len(fields):
            start, end, _ = fields[self._target]
            return start, end, text
        end = fields[-1][1]
        return end, end, self._separator + text


def _lines(text: str) -> Iterator[Row]:
    at = 0
    for number, line in enumerate(text.split("\n"), start=1):
        fields: list[Field] = []
        begins = at
        for value in line.removesuffix("\r").split("\t"):
            fields.append((begins, begins + len(value), value))
            begins += len(value) + 1
        at += len(line) + 1
        if at <= len(text) or line:
            yield number, fields


_QUOTED = re.compile(r'"((?:[^"]|"")*+)"(?=[,\r\n]|$)')
_BARE = re.compile(r'([^",\r\n]*)(?=[,\r\n]|$)')


def _records(text: str, name: str) -> Iterator[Row]:
    at, line, begins = 0, 1, 1
    fields: list[Field] = []
    while at < len(text) or fields:
        quoted = text.startswith('"', at) or (at == 0 and text.startswith('\ufeff"'))
        start = at + 1 if at == 0 and text.startswith('\ufeff"') else at
        match = (_QUOTED if quoted else _BARE).match(text, start)
        if match is None:
            raise DataError(
                "this is no CSV: a quote is missing, or stands within a field",
                where=f"{name}:{line}",
                fix="mend the quotes of the record that begins here",
            )
        fields.append((start, match.end(), match[1].replace('""', '"') if quoted else match[1]))
        line += match[0].count("\n")
        at = match.end()
        if text.startswith(",", at):
            at += 1
            continue
        yield begins, fields
        fields = []
        at += 2 if text.startswith("\r\n", at) else 1
        line += 1
        begins = line


def _columns(names: Sequence[str], wanted: Columns, languages: Languages, file: str) -> tuple[int, int, bool]:
    """The places of source and target, which may be the next behind the last, and whether the first row has names."""
    if wanted.source.isdecimal() and (wanted.target.isdecimal() or not wanted.target):
        source, target = int(wanted.source) - 1, int(wanted.target or len(names) + 1) - 1
        if not (0 <= source < len(names) and 0 <= target <= len(names) and source != target):
            raise DataError(
                f"there are columns 1 to {len(names)}, and another one can be added", where=f"{file}:1", fix=_FIX
            )
        return source, target, False
    if wanted.source:
        if wanted.source not in names:
            told = ", ".join(map(repr, names))
            raise DataError(
                f"there is no column {wanted.source!r}; the first line has {told}", where=f"{file}:1", fix=_FIX
            )
        if wanted.target == wanted.source or wanted.target.isdecimal():
            raise DataError("source and target are to be two columns, both by name", where=file, fix=_FIX)
        return names.index(wanted.source), _index(names, wanted.target), True
    if wanted.target:
        raise DataError("which column is the source is not said", where=file, fix=_FIX)
    for source_name in ("source", languages.source):
        if source_name and source_name in names:
            others = [name for name in ("target", languages.target) if name and name in names and name != source_name]
            return names.index(source_name), _index(names, others[0] if others else ""), True
    if len(names) <= 2:
        return 0, 1, False
    raise DataError(f"which of the {len(names)} columns are meant is not clear", where=f"{file}:1", fix=_FIX)


def _index(names: Sequence[str], name: str) -> int:
    return names.index(name) if name and name in names else len(names)


def open_tsv(data: bytes, name: str, languages: Languages, columns: Columns) -> Table:
    """See Table."""
    return Table(data, name, languages, columns, "\t")


def open_csv(data: bytes, name: str, languages: Languages, columns: Columns) -> Table:
    """See Table."""
    return Table(data, name, languages, columns, ",")
