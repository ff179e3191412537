"""Plain text: one segment per line, in UTF-8, decompressed by the suffix of the file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from regard.corpus.formats.compressed import open_decompressed
from regard.corpus.formats.identify import OLE, ZIP
from regard.corpus.formats.unsupported import refuse_binary
from regard.errors import DataError

BOM = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 1 << 24  # bounds the memory; longer lines are not text
_START_BYTES = 1 << 20  # of an archive, which name what is in it


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    r"""Yield the lines of a file without their `\n` or `\r\n`.

    Only `\n` ends a line; U+2028, U+0085 and form feeds do not. So line n here is line n for `wc` and every other
    reader of parallel text. A byte order mark at the beginning is removed. A file without any `\n` whose lines end in
    `\r` is read as those lines. Raises DataError if the file is missing, unreadable, corrupt or not in the encoding,
    which must be a superset of ASCII.
    """
    with open_decompressed(path) as file:
        yield from decode_lines(file, str(path), encoding)


def decode_lines(file: BinaryIO, name: str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of an open file as `read_lines` does; `name` is its name in errors. Raises DataError."""
    first = file.readline(MAX_LINE_BYTES + 1)
    if encoding == "utf-8":
        refuse_binary(first + (file.read(_START_BYTES) if first.startswith((ZIP, OLE)) else b""), name)
    for number, raw in enumerate(_raw_lines(first, file), start=1):
        if len(raw) > MAX_LINE_BYTES:
            raise DataError(
                f"the line is longer than {MAX_LINE_BYTES:,} bytes",
                where=f"{name}:{number}",
                fix="check that the file is text, in lines",
            )
        if number == 1 and raw.startswith(BOM):
            raw = raw.removeprefix(BOM)
            if not raw:
                return
        yield _decode(raw, name, number, encoding)


def _raw_lines(first: bytes, file: BinaryIO) -> Iterator[bytes]:
    r"""Yield all lines with their line ends. A file with only `\r`, as in classic Mac OS, is split at these."""
    if len(first) <= MAX_LINE_BYTES and not first.endswith(b"\n") and first.rstrip(b"\r").count(b"\r") > 1:
        yield from re.findall(rb"[^\r]*\r|[^\r]+", first)
        return
    while first:
        yield first
        first = file.readline(MAX_LINE_BYTES + 1)


def _decode(raw: bytes, name: str, number: int, encoding: str) -> str:
    try:
        return raw.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"the line is not {encoding.upper()} (byte {error.start + 1} is 0x{error.object[error.start]:02X})",
            where=f"{name}:{number}",
            fix=suggest_conversion(raw, error.start),
        ) from None


def suggest_conversion(data: bytes, at: int) -> str:
    """Return how to fix text that is not UTF-8; quote the text around byte `at` if it looks like Windows-1252."""
    start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
    around = data[max(start, at - 20) : at + 20 if end < 0 else min(end, at + 20)]
    try:
        decoded = around.decode("cp1252").strip()
    except UnicodeDecodeError:
        decoded = ""
    if not data[at : at + 1].decode("cp1252", "replace").isalpha() or not decoded.isprintable():
        return "convert the file to UTF-8, for example with iconv"
    return (
        f"if it should read {decoded!r}, convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW; "
        "otherwise convert it from its own encoding"
    )
