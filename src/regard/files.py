"""Read files of unknown origin safely, and write files whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

MOST_BYTES = 1 << 28  # of a file that is read into memory as a whole
Wrap = Callable[[BinaryIO], BinaryIO]

# Streams of the process, which may be files: what they hold already is not replaced.
_STREAM = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/.+")


def read_regular_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a regular file.

    Raises OSError for a FIFO, device or socket, which could block or never end, and for more than `most` bytes.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, and {most:,} are the most", str(path))
    return path.read_bytes()


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace a file atomically: write a temporary file next to it, sync it to the disk, and rename it.

    Text is written as UTF-8. After an error the old file is unchanged and the temporary one is gone. Raises OSError.
    """
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()
    sync(path.parent)


def is_in_place(file: IO[Any], path: Path) -> bool:
    """Return whether an open file is still the one at `path`: not removed, renamed or replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def sync(path: Path) -> None:
    """Sync a file or a folder to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AtomicFile:
    """A file that takes the place of `path` when it is committed.

    Until then its data are in `part`: `path` with `.part` behind its name, or `.part2` and so on where earlier ones
    are left, in the same folder, which is created. A link is followed, and the permissions of an existing file are
    kept. A device, a pipe or a stream of this process is written to directly: it has no `part`.

    Attributes:
        file: What is to be written to: the open file, or what `wrap` made of it.
        part: Where the data are until `commit`; None if they are written to `path` directly.
    """

    def __init__(self, path: Path, wrap: Wrap = lambda file: file) -> None:
        """Open it. `wrap` may put something around the open file, say compression. Raises OSError."""
        self.part: Path | None = None
        self._target = Path(os.path.realpath(path))
        if _is_special(path):
            self._raw = cast(BinaryIO, path.open("ab" if _STREAM.fullmatch(str(path)) else "wb"))
        else:
            self._raw = self._open_part()
        self.file = wrap(self._raw)

    def _open_part(self) -> BinaryIO:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        if self._target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        self.part, descriptor = _create(self._target)
        try:
            _copy_permissions(self._target, descriptor)
            return cast(BinaryIO, os.fdopen(descriptor, "wb"))
        except OSError:
            self.part.unlink()
            raise

    def commit(self) -> None:
        """Write what is buffered and take the target's place. Raises OSError."""
        if self.file is not self._raw:
            self.file.close()
        self._raw.flush()
        if self.part is not None:
            os.fsync(self._raw.fileno())
        self._raw.close()
        if self.part is not None:
            self.part.replace(self._target)

    def abandon(self, *, keep: bool = False) -> Path | None:
        """Close the file and leave the target as it is.

        The part is deleted unless `keep` is set and it holds any data; its path is returned if it stays.
        """
        for file in (self.file, self._raw):
            with suppress(OSError, ValueError):
                file.close()
        if self.part is None:
            return None
        with suppress(OSError):
            if keep and self.part.stat().st_size:
                return self.part
            self.part.unlink()
        return None


@contextmanager
def open_atomic(path: Path, wrap: Wrap = lambda file: file) -> Iterator[BinaryIO]:
    """Yield a file that replaces `path` if the block ends without an error; else it is deleted. Raises OSError."""
    replacement = AtomicFile(path, wrap)
    try:
        yield replacement.file
        replacement.commit()
    except BaseException:
        replacement.abandon()
        raise


def check_writable(path: Path) -> None:
    """Raise OSError if `Replacement(path)` could not be written, before hours of work are done for it."""
    if _is_special(path):
        path.open("ab").close()
    else:
        AtomicFile(path).abandon()


def remove_leftovers(path: Path) -> None:
    """Delete `NAME.tmp-PID` beside a file or folder if the process that made it is gone."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.tmp-*"):
        number = left.name.rpartition("-")[2]
        if number.isdecimal() and _is_gone(int(number)):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with suppress(OSError):
                    left.unlink()


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it is another user's
        return False
    return False


def _is_special(path: Path) -> bool:
    """Return whether a path is written to as it is: a stream of this process, a device, a pipe."""
    return _STREAM.fullmatch(str(path)) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def _create(target: Path) -> tuple[Path, int]:
    """Create the part of a target under a name that is free."""
    for number in count(1):
        part = target.with_name(f"{target.name}.part{number if number > 1 else ''}")
        with suppress(FileExistsError):
            return part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    raise AssertionError("there is always a free name")


def _copy_permissions(target: Path, descriptor: int) -> None:
    """Give a new file the owner, as far as this process may, and the mode of the file that it will replace."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.chmod(descriptor if os.chmod in os.supports_fd else target, stat.S_IMODE(old.st_mode))  # noqa: PTH101
