"""A ZIP archive from an untrusted source: members are read within limits, and copied without being recompressed."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from regard.corpus.formats.identify import ENCRYPTED, ZIP, identify
from regard.errors import DataError

MAX_BYTES = 1 << 28
"""Bytes of a container, which is held in memory."""
MAX_MEMBERS = 10_000
MAX_MEMBER_BYTES = 1 << 26
"""Bytes of a member that is read, when decompressed."""
MAX_READ_BYTES = 1 << 28
"""Bytes of all members that are read, when decompressed."""
MAX_TOTAL_BYTES = 1 << 32
"""Bytes of all members, as the archive declares them; members that are only copied are never decompressed."""
MAX_RATIO = 200
"""Decompressed bytes per compressed byte of a member that is read, if it has more than RATIO_FREE_BYTES."""
RATIO_FREE_BYTES = 1 << 22

_ENTRY = b"PK\x01\x02"  # begins each entry of the directory
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_ENCRYPTED, _HAS_DESCRIPTOR, _IS_UTF8 = 1, 8, 1 << 11  # bits of the flags
_ZIP64 = 1  # an extra field
_UNSAFE_NAME = re.compile(r"^/|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|[\\\x00-\x1f]")
_INVALID_ZIP = (zipfile.BadZipFile, struct.error, ValueError, OverflowError, EOFError, RuntimeError, OSError)


@dataclass(frozen=True)
class _Member:
    """A member: its entry in the directory, and where its compressed data is.

    Attributes:
        info: The entry.
        raw_name: The name as the archive writes it.
        local_extra: The extra fields of its header.
        start: Where its data starts.
        end: Where its data ends.
    """

    info: zipfile.ZipInfo
    raw_name: bytes
    local_extra: bytes
    start: int
    end: int


class ZipArchive:
    """A ZIP archive in memory.

    Attributes:
        name: The name used in messages.
        members: The members by name, in the order of the directory. Folders are members whose names end in `/`.
    """

    def __init__(self, data: bytes, name: str, kind: str) -> None:
        """Read the directory.

        Args:
            data: The archive.
            name: Its name for messages.
            kind: What the archive should be, for messages, such as `a Word document`.

        Raises:
            DataError: It is not a ZIP archive, is damaged or encrypted, or exceeds a limit.
        """
        self.name = name
        self._data = data
        self._num_read = 0
        self._names_read: set[str] = set()
        self._refuse_other_formats(kind)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                infos, self._comment = archive.infolist(), archive.comment
        except _INVALID_ZIP as error:  # NotImplementedError is a RuntimeError
            self._fail(f"the ZIP archive is damaged or incomplete ({error})", "save or download it again")
        self.members: dict[str, _Member] = {}
        for info in infos:
            self._add_member(info)
        self._refuse_overlaps()
        if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
            self._fail(
                f"its members have more than {MAX_TOTAL_BYTES:,} bytes when decompressed",
                "remove large media from the document",
            )

    def _fail(self, problem: str, fix: str) -> NoReturn:
        raise DataError(problem, where=self.name, fix=fix)

    def _refuse_other_formats(self, kind: str) -> None:
        data = self._data
        if len(data) > MAX_BYTES:
            self._fail(f"the document has more than {MAX_BYTES:,} bytes", "remove large media from the document")
        if not data.startswith(ZIP):
            actual = identify(data)
            if actual is ENCRYPTED:
                self._fail("it is encrypted", actual.fix)
            if actual is not None:
                is_old = actual.description.startswith("an old")
                problem = f"it is {actual.description}" if is_old else f"it is not {kind}, but {actual.description}"
                self._fail(problem, actual.advice())
            self._fail(f"it is not {kind}: it is not a ZIP archive", "check its suffix, or save or download it again")
        if data.count(_ENTRY) > MAX_MEMBERS:
            self._fail(f"the ZIP archive has more than {MAX_MEMBERS:,} members", "check where the document comes from")

    def refuse_kind(self, kind: str) -> NoReturn:
        """Raise DataError because the archive is not a document of this kind; say what it is, if that is known."""
        actual = identify(self._data)
        if actual is not None and actual.description != kind:
            self._fail(f"it is not {kind}, but {actual.description}", actual.advice())
        self._fail(f"it is not {kind}", "check its suffix, or save it again with its own program")

    def _add_member(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        if name in self.members:
            self._fail(f"the ZIP archive has two members named {name!r}", "save it again with its own program")
        if not name or _UNSAFE_NAME.search(name):
            self._fail(f"the ZIP archive has the unsafe member name {name!r}", "check where the document comes from")
        if info.flag_bits & _ENCRYPTED:
            self._fail(f"the member {name} is encrypted", "save it without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self._fail(f"the member {name} is compressed in an unusual way", "save it again with its own program")
        raw_name = name.encode("utf-8" if info.flag_bits & _IS_UTF8 else "cp437")
        at = info.header_offset
        header = self._data[at : at + _LOCAL.size] if at >= 0 else b""
        if len(header) == _LOCAL.size:
            signature, *_, name_length, extra_length = _LOCAL.unpack(header)
            name_end = at + _LOCAL.size + name_length
            start = name_end + extra_length
            end = start + info.compress_size
            is_same = signature == b"PK\x03\x04" and self._data[at + _LOCAL.size : name_end] == raw_name
            if is_same and end <= len(self._data):
                self.members[name] = _Member(info, raw_name, self._data[name_end:start], start, end)
                return
        self._fail(f"the ZIP archive is damaged or incomplete at its member {name}", "save or download it again")

    def _refuse_overlaps(self) -> None:
        end = 0
        for member in self._in_order():
            if member.info.header_offset < end:
                self._fail("members of the ZIP archive overlap", "check where the document comes from")
            end = member.end

    def _in_order(self) -> list[_Member]:
        return sorted(self.members.values(), key=lambda member: member.info.header_offset)

    def read(self, name: str) -> bytes:
        """Return the decompressed bytes of a member.

        Raises:
            DataError: There is no such member, it is damaged, or it exceeds a limit.
        """
        member = self.members.get(name)
        if member is None:
            self._fail(f"it has no member {name}", "save it again with its own program")
        compressed = self._data[member.start : member.end]
        try:
            data = compressed
            if member.info.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(compressed, MAX_MEMBER_BYTES + 1)
        except zlib.error as error:
            self._fail(f"its member {name} is damaged ({error})", "save or download it again")
        self._num_read += 0 if name in self._names_read else len(data)
        self._names_read.add(name)
        is_inflated = len(data) > RATIO_FREE_BYTES and len(data) > MAX_RATIO * len(compressed)
        if is_inflated or len(data) > MAX_MEMBER_BYTES or self._num_read > MAX_READ_BYTES:
            self._fail(
                f"its member {name} expands to too many bytes: the limits are {MAX_MEMBER_BYTES:,} for a member, "
                f"{MAX_READ_BYTES:,} for all, and {MAX_RATIO} times the compressed size",
                "split the document, or check where it comes from",
            )
        if len(data) != member.info.file_size or zlib.crc32(data) != member.info.CRC:
            self._fail(f"its member {name} is damaged: size or checksum differ", "save or download it again")
        return data

    def replace(self, contents: Mapping[str, bytes]) -> bytes:
        """Return the archive with new contents for some members; the compressed data of all others is copied.

        The order of the members, their names, times and attributes stay.
        """
        output = io.BytesIO()
        entries: dict[str, bytes] = {}
        for member in self._in_order():
            info = member.info
            data, crc, size = self._data[member.start : member.end], info.CRC, info.file_size
            content = contents.get(info.orig_filename)
            if content is not None and (zlib.crc32(content), len(content)) != (crc, size):
                data, crc, size = content, zlib.crc32(content), len(content)
                if info.compress_type == zipfile.ZIP_DEFLATED:
                    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
                    data = compressor.compress(content) + compressor.flush()
            # fields that the header and the directory share: flags, method, time, date, CRC, sizes, length of the name
            common = [info.flag_bits & ~_HAS_DESCRIPTOR, info.compress_type, *_dos_time(info), crc, len(data), size]
            common.append(len(member.raw_name))
            offset = output.tell()
            extra = _without_zip64(member.local_extra)
            header = _LOCAL.pack(b"PK\x03\x04", info.extract_version, *common, len(extra))
            output.write(b"".join((header, member.raw_name, extra, data)))
            extra = _without_zip64(info.extra)
            versions = info.create_version, info.create_system, info.extract_version, info.reserved
            lengths = len(extra), len(info.comment), 0
            place = info.internal_attr, info.external_attr, offset
            entry = _CENTRAL.pack(_ENTRY, *versions, *common, *lengths, *place)
            entries[info.orig_filename] = b"".join((entry, member.raw_name, extra, info.comment))
        start = output.tell()
        directory = b"".join(entries[name] for name in self.members)
        end = 0, 0, len(entries), len(entries), len(directory), start, len(self._comment)
        output.write(b"".join((directory, _END.pack(b"PK\x05\x06", *end), self._comment)))
        return output.getvalue()


def _dos_time(info: zipfile.ZipInfo) -> tuple[int, int]:
    year, month, day, hour, minute, second = info.date_time
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


def _without_zip64(extra: bytes) -> bytes:
    """Return extra fields without that of large files, whose sizes are in the header instead."""
    parts, at = [], 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind != _ZIP64:
            parts.append(extra[at : at + 4 + length])
        at += 4 + length
    return b"".join([*parts, extra[at:]])
