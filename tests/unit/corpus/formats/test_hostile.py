"""Readers of malicious or invalid files give pairs or a DataError, soon, in little memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regard.corpus.bilingual_file import READERS, BilingualFile
from regard.corpus.corpus import Pair, Skipped
from regard.corpus.formats import compressed
from regard.corpus.formats.sides import Sides
from regard.errors import DataError

ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
UNIT = '<tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>\n'
TMX = f'<tmx version="1.4"><header srclang="en"/><body>\n{UNIT}'
END = "</body></tmx>"
LAUGHS = '<!DOCTYPE tmx [\n<!ENTITY a "ha">\n<!ENTITY b "&a;&a;&a;">\n]>\n'


def read_pairs(path: Path, *, languages: bool = True) -> list[Pair]:
    return list(BilingualFile(path, Sides("en", "de") if languages else Sides()))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (LAUGHS + TMX + END, 2, "declares entities"),
        ('<!DOCTYPE tmx SYSTEM "x" [\n<!ENTITY a SYSTEM "file:///etc/passwd">]>' + TMX + END, 2, "declares entities"),
        ('<!DOCTYPE tmx [\n\n<!ENTITY % a SYSTEM "http://localhost/">]>' + TMX + END, 3, "declares entities"),
        (f'<!DOCTYPE tmx [<!ATTLIST tu\n x CDATA "{"y" * 1000}">]>' + TMX + END, 2, "declares entities or attributes"),
        (
            '<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n' + TMX.replace("b</seg>", "b&nbsp;</seg>") + END,
            3,
            "&nbsp; is not known",
        ),
        (TMX.replace("b</seg>", "b&nbsp;</seg>") + END, 2, "not well-formed XML: undefined entity"),
        (TMX.replace("b</seg>", "\0</seg>") + END, 2, "not well-formed XML"),
        (TMX.replace("b</seg>", "&#0;</seg>") + END, 2, "not well-formed XML"),
        (TMX + UNIT[:40], 3, "not well-formed XML"),
        (TMX + "<x>" * 300, 3, "more than 256 elements"),
        ("", 1, "not well-formed XML: no element found"),
        ('<?xml version="1.0" encoding="klingon"?>' + TMX + END, 1, "encoding"),
        ('<?xml version="1.0" encoding="hex"?>' + TMX + END, 1, "encoding"),
        ('<?xml version="1.0" encoding="utf-7"?>' + TMX + END, 1, "encoding"),
        ("<html><body/></html>", 1, "the root element is <html>"),
    ],
)
def test_xml_attacks_are_reported_with_their_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_pairs(path)
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "iso-8859-1", "windows-1252"])
def test_encodings_that_xml_declares(tmp_path: Path, encoding: str) -> None:
    declared = {"utf-16-le": "utf-16", "utf-8-sig": "utf-8"}.get(encoding, encoding)
    text = f'<?xml version="1.0" encoding="{declared}"?>\n' + TMX.replace("<seg>b", "<seg>bä") + END
    path = tmp_path / "x.tmx"
    path.write_bytes((b"\xff\xfe" if encoding == "utf-16-le" else b"") + text.encode(encoding))
    assert read_pairs(path) == [Pair("a", "bä", 3)]
    path.write_bytes(text.replace(declared, "utf-8").encode("iso-8859-1"))
    with pytest.raises(DataError, match=r"x\.tmx:3: this is not well-formed XML"):
        read_pairs(path)


def write_gzip(path: Path, parts: Iterator[bytes]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part in parts:
            file.write(part)
    return path


def megabytes(before: str, part: bytes, count: int, after: str = "") -> Iterator[bytes]:
    yield before.encode()
    for _ in range(count):
        yield part * ((1 << 20) // len(part))
    yield after.encode()


@pytest.mark.parametrize(
    ("before", "part", "message"),
    [
        (TMX + "<tu><tuv xml:lang='en'><seg>", b"x", "more than 16,777,216 characters"),
        (TMX + "<tu x='", b"x", "a tag or comment is longer than 1,048,576 bytes"),
        (TMX + "<!-- ", b"x", "a tag or comment is longer"),
        (TMX + "<tu ", b" ", "a tag or comment is longer"),
        ("<!DOCTYPE tmx [", b"<!-- x -->", "the document type is longer"),
        (TMX, b"<x>", "more than 256 elements"),
        (TMX + "<tu>", b"<tuv/>", "more than 1,000 <tuv>"),
    ],
)
def test_a_decompression_bomb_is_rejected_early(tmp_path: Path, before: str, part: bytes, message: str) -> None:
    path = write_gzip(tmp_path / "x.tmx.gz", megabytes(before, part, 200 if before.endswith("<seg>") else 4))
    with bounded(100 << 20, read=20 << 20), pytest.raises(DataError, match=message):
        read_pairs(path)


def test_too_many_different_names_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(TMX + "".join(f'<x{number} y{number}=""/>' for number in range(100_000)) + END, encoding="utf-8")
    with pytest.raises(DataError, match="too many names"):
        read_pairs(path)


def test_much_text_that_is_not_read_takes_no_memory(tmp_path: Path) -> None:
    path = write_gzip(tmp_path / "x.tmx.gz", megabytes(TMX + "<note>", b"x", 40, "</note>" + END))
    with bounded(4 << 20):
        assert len(read_pairs(path)) == 1


@pytest.mark.parametrize(
    ("name", "before", "part", "message"),
    [
        ("x.po.gz", 'msgid "a"\nmsgstr ""\n', b'"xxxxxxxxxxxx"\n', "more than 1,048,576 characters"),
        ("x.po.gz", 'msgid "', b"x", "the line is longer than"),
        ("x.jsonl.gz", '{"source": "', b"x", "the line is longer than"),
        ("x.tsv.gz", "a\t", b"x", "the line is longer than"),
    ],
)
def test_bombs_of_lines(tmp_path: Path, name: str, before: str, part: bytes, message: str) -> None:
    path = write_gzip(tmp_path / name, megabytes(before, part, 24))
    with bounded(150 << 20, read=20 << 20), pytest.raises(DataError, match=message):
        read_pairs(path)


def test_an_mo_file_with_overlapping_messages(tmp_path: Path) -> None:
    table = b"\x00\x10\x00\x00\x1c\x00\x00\x00" * 1000
    head = b"\xde\x12\x04\x95" + b"".join(n.to_bytes(4, "little") for n in (0, 1000, 28, 28, 0, 0))
    (tmp_path / "x.mo").write_bytes(head + table)
    with pytest.raises(DataError, match="not an MO file"):
        read_pairs(tmp_path / "x.mo")


class CountingReader(io.RawIOBase):
    """Records the sizes of all reads from a file."""

    def __init__(self, inner: BinaryIO, read: list[int]) -> None:
        self.inner, self.read_sizes = inner, read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.read_sizes.append(len(data))
        return len(data)

    def close(self) -> None:
        self.inner.close()
        super().close()


@contextmanager
def bounded(memory: int, read: int | None = None) -> Iterator[None]:
    """Raise AssertionError if more memory is used, or more decompressed bytes are read; both in bytes."""
    sizes: list[int] = []
    opened = compressed._open
    tracemalloc.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compressed, "_open", lambda path: io.BufferedReader(CountingReader(opened(path), sizes)))
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory, f"{peak:,} bytes"
    assert sizes, "nothing was read"
    assert read is None or sum(sizes) < read, f"{sum(sizes):,} bytes"


def check_reader(path: Path, sides: Sides) -> None:
    """Read a whole file: every item is a pair or skipped, and every skipped item is counted."""
    try:
        items = list(READERS[path.suffix](path, sides))
    except DataError as error:
        assert str(path) in str(error)
        return
    assert all(isinstance(item, Pair | Skipped) and item.line >= 1 for item in items)
    corpus = BilingualFile(path, sides)
    try:
        pairs = list(corpus)
    except DataError as error:
        assert "no pair with text" in str(error)
        pairs = []
    assert len(pairs) + corpus.skipped.count == len(items)


SUFFIX = st.sampled_from(sorted(READERS))
SIDES = st.sampled_from([Sides(), Sides("en", "de"), Sides(source_column="1", target_column="2")])


@ANY
@given(content=st.binary(max_size=200), suffix=SUFFIX, sides=SIDES)
def test_any_bytes(tmp_path: Path, content: bytes, suffix: str, sides: Sides) -> None:
    (tmp_path / f"x{suffix}").write_bytes(content)
    check_reader(tmp_path / f"x{suffix}", sides)


XLIFF = (
    '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en">'
    '<body><trans-unit id="1"><source>a<x id="1"/></source><target state="new">b</target></trans-unit></body></file>'
    "</xliff>"
)
PO = 'msgid ""\nmsgstr "Language: de\\n"\n\n#, fuzzy\nmsgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\nmsgstr[1] ""\n'
JSONL = '{"source": "a", "target": "b"}\n{"source": null, "target": {}}\n'
VALID_FILES = {
    ".tmx": TMX + END,
    ".xlf": XLIFF,
    ".po": PO,
    ".jsonl": JSONL,
    ".tsv": "a\tb\n\tc\n",
    ".csv": 'a,b\n"c",\n',
}


@ANY
@given(data=st.data(), suffix=st.sampled_from(sorted(VALID_FILES)), sides=SIDES)
def test_valid_files_with_parts_removed_doubled_or_changed(
    tmp_path: Path, data: st.DataObject, suffix: str, sides: Sides
) -> None:
    content = VALID_FILES[suffix].encode()
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, min(len(content), begin + 60)))
        middle = data.draw(st.sampled_from([b"", content[begin:end] * 2]) | st.binary(max_size=4))
        content = content[:begin] + middle + content[end:]
    (tmp_path / f"x{suffix}").write_bytes(content)
    check_reader(tmp_path / f"x{suffix}", sides)


@ANY
@given(count=st.integers(0, 30), missing=st.sets(st.integers(0, 29)))
def test_every_unit_is_read_or_skipped(tmp_path: Path, count: int, missing: set[int]) -> None:
    units = [UNIT if number not in missing else UNIT.replace("<seg>b</seg>", "<seg/>") for number in range(count)]
    (tmp_path / "x.tmx").write_text(TMX + "".join(units) + END, encoding="utf-8")
    corpus = BilingualFile(tmp_path / "x.tmx", Sides())
    gone = sum(number < count for number in missing)
    assert len(list(corpus)) == 1 + count - gone
    assert corpus.skipped.count == gone
