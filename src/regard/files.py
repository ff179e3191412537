"""Read files of unknown origin safely, and write files, folders and links atomically.

A file, folder or link is written under a temporary name next to its final path, synced to the disk, and renamed:
readers see the old version or the complete new one, even after a crash. Files are written as `NAME.part`, folders and
links as `NAME.tmp-PID`.
"""

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

MAX_BYTES = 1 << 28  # of a file that is read into memory
Wrap = Callable[[BinaryIO], BinaryIO]

# Open streams of a process. They may be files, and are appended to.
_STREAM = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/.+")


def read_regular_file(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: If the file cannot be read, has more than `max_bytes` bytes, or is a FIFO, device or socket, which
            could block or never end.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes; the limit is {max_bytes:,}", str(path))
    return path.read_bytes()


def is_in_place(file: IO[Any], path: Path) -> bool:
    """Return whether an open file is still the one at `path`: not removed, renamed or replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file atomically; text is encoded as UTF-8. See AtomicFile. Raises OSError."""
    with open_atomic(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def open_atomic(path: Path, wrap: Wrap = lambda file: file) -> Iterator[BinaryIO]:
    """Yield a file that replaces `path` if the block ends without an error. See AtomicFile. Raises OSError."""
    atomic_file = AtomicFile(path, wrap)
    try:
        yield atomic_file.file
        atomic_file.commit()
    except BaseException:
        atomic_file.abandon()
        raise


class AtomicFile:
    """A file that replaces `path` when it is committed.

    The data are written to a new file in the same folder, which is created if necessary. Its name is that of `path`
    with `.part` appended, or `.part2` and so on if such a file exists. Symbolic links are followed, and an existing
    file keeps its permissions. A device, a pipe or an open stream of this process is written to directly.

    Attributes:
        file: The file to write to.
        part: The path of the new file; None if `path` is written to directly.
    """

    def __init__(self, path: Path, wrap: Wrap = lambda file: file) -> None:
        """Open the file. Raises OSError.

        Args:
            path: The file to replace.
            wrap: Wraps the open file, for example in a compressing stream.
        """
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
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        self.part, descriptor = _create_part(self._target)
        try:
            _copy_permissions(self._target, descriptor)
            return cast(BinaryIO, os.fdopen(descriptor, "wb"))
        except OSError:
            self.part.unlink()
            raise

    def commit(self) -> None:
        """Write buffered data, sync the file to the disk and replace the target. Raises OSError."""
        if self.file is not self._raw:
            self.file.close()
        self._raw.flush()
        if self.part is not None:
            os.fsync(self._raw.fileno())
        self._raw.close()
        if self.part is not None:
            self.part.replace(self._target)
            _sync_folder(self._target.parent)

    def abandon(self, *, keep: bool = False) -> Path | None:
        """Close the file and leave the target unchanged.

        The part is deleted, unless `keep` is set and it contains data; then its path is returned.
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
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder that replaces `path` if the block ends without an error, and is deleted otherwise.

    An existing folder at `path` is first renamed to `NAME.tmp-PID-old`. After a crash between the two renames, the
    caller has to rename it back. Raises OSError.
    """
    temporary = _temporary_path(path)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _sync_tree(temporary)
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(temporary: Path, folder: Path) -> None:
    old = temporary.with_name(f"{temporary.name}-old")
    exists = folder.exists()
    if exists:
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if exists:
            old.rename(folder)
        raise
    _sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def replace_symlink(path: Path, target: Path) -> None:
    """Create or replace a symbolic link to a folder atomically. Raises OSError."""
    temporary = _temporary_path(path)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target, target_is_directory=True)
    temporary.replace(path)
    _sync_folder(path.parent)


def check_writable(path: Path) -> None:
    """Raise OSError if `AtomicFile(path)` could not be written, before hours of work are spent on its contents."""
    if _is_special(path):
        path.open("ab").close()
    else:
        AtomicFile(path).abandon()


def remove_leftovers(path: Path, *, is_locked: bool = False) -> None:
    """Delete temporary files, folders and links of writers of `path` that were killed.

    Args:
        path: The final path.
        is_locked: Whether no other process can be writing `path`. If one could, only `NAME.tmp-PID` of processes that
            have ended is deleted. A `NAME.part` may hold results that took hours to compute, and stays.
    """
    for entry in path.parent.glob(f"{glob.escape(path.name)}.*"):
        suffix, _, process = entry.name.removeprefix(f"{path.name}.").partition("-")
        if is_locked:
            is_leftover = suffix == "tmp" or suffix.startswith("part")
        else:
            is_leftover = suffix == "tmp" and process.isdecimal() and _has_ended(int(process))
        if is_leftover:
            _delete(entry)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it runs as another user
        return False
    return False


def _temporary_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp-{os.getpid()}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Sync the entries of a folder to the disk, if the folder may be read."""
    with suppress(OSError):
        _sync(path)


def _sync_tree(folder: Path) -> None:
    """Sync all files in a folder to the disk. Raises OSError."""
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent) / name)
        _sync_folder(Path(parent))


def _is_special(path: Path) -> bool:
    """Return whether a path is written to directly: an open stream of this process, a device, or a pipe."""
    return _STREAM.fullmatch(str(path)) is not None or (path.exists() and not path.is_file() and not path.is_dir())


def _create_part(target: Path) -> tuple[Path, int]:
    """Create the part of a target under a free name; return its path and descriptor."""
    for number in count(1):
        part = target.with_name(f"{target.name}.part{number if number > 1 else ''}")
        with suppress(FileExistsError):
            return part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    raise AssertionError("there is always a free name")


def _copy_permissions(target: Path, descriptor: int) -> None:
    """Give a new file the mode of the file that it will replace, and its owner if this process may."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
    os.chmod(descriptor if os.chmod in os.supports_fd else target, stat.S_IMODE(status.st_mode))  # noqa: PTH101
