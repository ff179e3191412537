"""Find the shared libraries of the kernels, or build them from the C sources.

A wheel contains the libraries, compiled. Elsewhere, the machine's C compiler builds them, and they are cached for later
processes. A cached library is used only if no other user could have written it: the folder, the folders above it and
the file belong to this user (or root) and are not writable by others, and the file's name contains its SHA-256.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

from regard.nn.kernels.levels import Library

log = logging.getLogger("regard.kernels")

SOURCES = Path(__file__).parent
SHIPPED = SOURCES / "compiled"  # exists only in an installed wheel
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-fvisibility=hidden")
TIMEOUT = 120  # seconds for a run of the compiler, which usually takes one


class BuildError(Exception):
    """No shared library could be built; the message says why."""


@dataclass(frozen=True)
class Loaded:
    """A shared library in this process, and where it comes from, in words."""

    library: ctypes.CDLL
    origin: str


def load(library: Library) -> Loaded:
    """Load the library that the wheel ships; else the one in the cache, which is built first if it is not there.

    Raises:
        BuildError: The library cannot be built or loaded.
    """
    reasons = []
    shipped = SHIPPED / shipped_name(library)
    if shipped.is_file():
        try:
            return Loaded(ctypes.CDLL(str(shipped)), "from the wheel")
        except OSError as error:  # of another operating system or C library
            reasons.append(f"{shipped}: {error}")
    key = _key(library)
    folders, refusals = _cache_folders()
    reasons += refusals
    for folder in folders:
        try:
            built = _find_cached(folder, f"{library.name}-{key}") or build(folder, f"{library.name}-{key}", library)
            return Loaded(ctypes.CDLL(str(built)), f"compiled by {_compiler_name()} into {folder}")
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
    _compiler_command()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:  # Windows keeps a loaded library
            loaded = ctypes.CDLL(str(build(Path(scratch), library.name, library)))
    except OSError as error:
        raise BuildError(f"the compiled kernels cannot be loaded: {error}") from None
    _warn_uncached("; ".join(reasons))
    return Loaded(loaded, f"compiled by {_compiler_name()} for this process")


def shipped_name(library: Library) -> str:
    """Return the name of a library's file in a wheel, which changes with the sources."""
    return f"{library.name}-{_digest(library, ())}.so"


def warn(message: str, *arguments: object) -> None:
    """Log a warning, in only one of several processes."""
    if parent_process() is None and os.environ.get("LOCAL_RANK", "0") == "0":
        log.warning(message, *arguments)


@cache
def _warn_uncached(reasons: str) -> None:
    warn(
        "regard compiles its kernels at every start, which takes a few seconds, because no folder can cache them (%s). "
        "Set XDG_CACHE_HOME to a folder that only you can write to.",
        reasons,
    )


def _key(library: Library) -> str:
    """Return a digest of everything that determines a library that is compiled here."""
    return _digest(library, (platform.machine(), sys.platform, _compiler_name()))


def _digest(library: Library, environment: Sequence[str]) -> str:
    """Return a digest of a library's sources and flags, and of the environment."""
    flags = (*library.flags, *library.optional)
    digest = hashlib.sha256(repr((library.name, flags, FLAGS, environment)).encode())
    for path in (*sorted(SOURCES.glob("*.h")), *(SOURCES / file for file in library.files)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compiler_name() -> str:
    return os.environ.get("CC") or "cc"


def _has_compiler() -> bool:
    command = shlex.split(_compiler_name())
    return bool(command) and shutil.which(command[0]) is not None


def _compiler_command() -> list[str]:
    """Return the C compiler and its options. Raises BuildError if there is none."""
    command = shlex.split(_compiler_name())
    if not _has_compiler():
        raise BuildError(f"no C compiler: {command[0] if command else 'CC'!s} is not on the PATH")
    return command


@cache
def _cache_folders() -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the cache folders that no other user can write to, and why the other folders are not used."""
    trusted: list[Path] = []
    refusals: list[str] = []
    for get_path in (_user_cache_folder, _temporary_folder):
        try:
            path = get_path()
        except RuntimeError as error:  # raised by Path.home
            refusals.append(str(error))
            continue
        try:
            if _has_compiler():  # else there is nothing to put into a new folder
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = path.resolve(strict=True)
            refusal = _reason_not_to_trust(folder)
        except (OSError, RuntimeError) as error:
            refusal = f"{path}: {getattr(error, 'strerror', None) or error}"
        if refusal is None:
            trusted.append(folder)
        else:
            refusals.append(refusal)
    return tuple(trusted), tuple(refusals)


def _user_cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "regard"


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir(), f"regard-{os.geteuid()}" if hasattr(os, "geteuid") else "regard")


def _reason_not_to_trust(folder: Path) -> str | None:
    """Return why a folder cannot be trusted, or None if it can."""
    if not _is_private(folder):
        return f"{folder}: another user owns it or can write to it"
    unsafe = next((parent for parent in folder.parents if not _is_safe_parent(parent)), None)
    return None if unsafe is None else f"{folder}: another user owns {unsafe} or can write to it"


def _is_private(path: Path) -> bool:
    """Return whether a file or folder belongs to this user and only this user can write to it."""
    if not hasattr(os, "geteuid"):
        return True
    status = path.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_safe_parent(folder: Path) -> bool:
    """Return whether no other user can replace the contents of a folder."""
    if not hasattr(os, "geteuid"):
        return True
    status = folder.stat()
    writable_by_group = status.st_mode & stat.S_IWGRP and status.st_gid != os.getegid()
    open_to_others = (writable_by_group or status.st_mode & stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
    return status.st_uid in (0, os.geteuid()) and not open_to_others


def _find_cached(folder: Path, stem: str) -> Path | None:
    """Return the library `stem` of a cache folder. Remove it if it is damaged or could be another user's."""
    for path in sorted(folder.glob(f"{stem}-*.so")):
        if path.is_file() and not path.is_symlink() and _is_private(path) and path.name == _file_name(stem, path):
            return path
        path.unlink()
    return None


def _file_name(stem: str, path: Path) -> str:
    return f"{stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def build(folder: Path, stem: str, library: Library) -> Path:
    """Build a library into STEM-CHECKSUM.so, atomically; other processes may build it at the same time.

    Raises:
        BuildError: There is no C compiler, or it fails.
        OSError: The folder cannot be written to.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        linked = Path(scratch) / "kernels.so"
        compile_library(Path(scratch), linked, library)
        with linked.open("r+b") as file:  # Windows syncs only a file that is open for writing
            os.fsync(file.fileno())
        built = folder / _file_name(stem, linked)
        linked.chmod(0o700)
        linked.replace(built)
    return built


def compile_library(scratch: Path, output: Path, library: Library) -> None:
    """Compile and link a library, without the optional flags if the compiler refuses them. Raises BuildError."""
    try:
        _compile(scratch, output, library.files, (*library.flags, *library.optional))
    except BuildError:
        if not library.optional:
            raise
        _compile(scratch, output, library.files, library.flags)


def _compile(scratch: Path, output: Path, files: Sequence[str], flags: Sequence[str]) -> None:
    """Compile all files in parallel, and link them."""
    command = _compiler_command()
    objects = [str(scratch / f"{file}.o") for file in files]
    compiles = [
        [*command, *FLAGS, *flags, "-c", "-o", object_file, str(SOURCES / file)]
        for file, object_file in zip(files, objects, strict=True)
    ]
    _run(compiles)
    _run([[*command, "-shared", "-fPIC", "-o", str(output), *objects, "-lm"]])


def _run(commands: Sequence[Sequence[str]]) -> None:
    """Run commands in parallel. Raises BuildError with the compiler's first error message."""
    try:
        processes = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for command in commands
        ]
    except OSError as error:
        raise BuildError(f"the C compiler {commands[0][0]} cannot be run: {error.strerror or error}") from None
    failures = []
    for process in processes:
        try:
            _, stderr = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            stderr = f"no result after {TIMEOUT} s".encode()
        if process.returncode:
            failures.append(stderr.decode(errors="replace"))
    if failures:
        lines = [line.strip() for line in failures[0].splitlines() if line.strip()]
        message = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
        raise BuildError(f"the C compiler {commands[0][0]} failed: {message}")
