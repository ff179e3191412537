"""Recognise formats that are not lines of text, by the suffix of a file or by its first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from regard.corpus.formats.compressed import format_suffix, open_decompressed
from regard.corpus.formats.identify import OLE, ZIP, identify
from regard.errors import DataError

MARKUP: Final[dict[str, str]] = {
    ".json": "JSON",
    ".jsonl": "JSON Lines",
    ".arb": "ARB",
    ".ipynb": "a Jupyter notebook",
    ".yaml": "YAML",
    ".yml": "YAML",
    ".toml": "TOML",
    ".properties": "Java properties",
    ".strings": "Apple strings",
    ".stringsdict": "Apple strings",
    ".xcstrings": "an Apple string catalog",
    ".ftl": "Fluent",
    ".vtt": "WebVTT",
    ".ass": "SubStation Alpha",
    ".ssa": "SubStation Alpha",
    ".xml": "XML",
    ".xhtml": "XHTML",
    ".resx": "a .NET resource",
    ".rtf": "RTF",
    ".tex": "LaTeX",
    ".rst": "reStructuredText",
    ".adoc": "AsciiDoc",
}
"""Text with keys, tags or commands, which would be translated as well."""

NEWER_FORMATS: Final[dict[str, str]] = {".doc": ".docx", ".ppt": ".pptx", ".xls": ".xlsx", ".rtf": ".docx"}
"""Formats of documents that are translated after a conversion, by the suffix of older ones."""

BINARY: Final[dict[str, str]] = {
    ".doc": "an old Word document",
    ".docx": "a Word document",
    ".ppt": "an old PowerPoint presentation",
    ".pptx": "a PowerPoint presentation",
    ".xls": "an old Excel workbook",
    ".xlsx": "an Excel workbook",
    ".odt": "an OpenDocument text",
    ".odp": "an OpenDocument presentation",
    ".ods": "an OpenDocument spreadsheet",
    ".pdf": "a PDF",
    ".epub": "an EPUB",
    ".mo": "a compiled catalogue",
    ".parquet": "Parquet",
    ".zip": "a ZIP archive",
}

_MAGIC: Final[dict[bytes, tuple[str, str]]] = {
    ZIP: ("a ZIP archive", "unpack it"),
    b"%PDF-": ("a PDF", ""),
    OLE: ("an OLE document", ""),
    b"PAR1\x15": ("a Parquet file", "rename it to .parquet, and read it as a file with both sides"),
    b"\x1f\x8b": ("compressed by gzip", "rename it to end in .gz"),
    b"\xfd7zXZ\x00": ("compressed by xz", "rename it to end in .xz"),
    b"\x28\xb5\x2f\xfd": ("compressed by Zstandard", "rename it to end in .zst"),
    b"BZh91AY&SY": ("compressed by bzip2", "decompress it with bunzip2"),
    b"\xff\xfe\x00\x00": ("UTF-32, not UTF-8", "convert it: iconv -f UTF-32 -t UTF-8 OLD > NEW"),
    b"\x00\x00\xfe\xff": ("UTF-32, not UTF-8", "convert it: iconv -f UTF-32 -t UTF-8 OLD > NEW"),
    b"\xff\xfe": ("UTF-16, not UTF-8", "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
    b"\xfe\xff": ("UTF-16, not UTF-8", "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
}
"""First bytes of files that are not text: what the file is, and what to do. Longer ones come first.

What documents are is found out by `identify`.
"""


def format_by_name(path: Path) -> str:
    """Return the name of the unsupported format that the suffix of a file stands for; empty for other suffixes."""
    suffix = format_suffix(path)
    if suffix == ".arb" and not _begins_like_json(path):
        return ""  # a corpus in Standard Arabic, whose language code this is
    return MARKUP.get(suffix) or BINARY.get(suffix, "")


def refuse_binary(start: bytes, name: str) -> None:
    """Raise DataError if the first bytes of a file are not those of text. `name` is its name in errors."""
    for magic, (kind, fix) in _MAGIC.items():
        if start.startswith(magic):
            document = identify(start)
            if document is not None:
                kind, fix = document.description, document.advice()
                fix += ", or export its text as UTF-8" if document.suffix else ""
            raise DataError(f"the file is {kind}", where=name, fix=fix)


def refuse_as_lines(path: Path, fix: str) -> None:
    """Raise DataError, with `fix`, if the suffix of a file says that its lines are not segments of text."""
    if name := format_by_name(path):
        raise DataError(f"the suffix says that the file is {name}, not one segment per line", where=path, fix=fix)


def _begins_like_json(path: Path) -> bool:
    if not path.is_file():
        return False
    with open_decompressed(path) as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
