"""Build shared libraries from the C sources with the machine's C compiler, and cache them for later processes.

A cached library is used only if no other user could have written it: the folder, the folders above it and the file
belong to this user (or root) and are not writable by others, and the file's name contains its SHA-256.
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
from functools import cache
from multiprocessing import parent_process
from pathlib import Path

log = logging.getLogger("regard.kernels")

SOURCES = Path(__file__).parent
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-fvisibility=hidden")
TIMEOUT = 120  # seconds for a run of the compiler, which usually takes one


class BuildError(Exception):
    """No shared library could be built; the message says why."""


def load(name: str, files: Sequence[str], flags: Sequence[str], optional: Sequence[str] = ()) -> ctypes.CDLL:
    """Load the shared library `name`, and build it from `files` first if it is not in the cache.

    Args:
        name: The name of the library.
        files: Source files in the folder of this module.
        flags: Compiler flags in addition to FLAGS.
        optional: Flags that some compilers do not know.

    Raises:
        BuildError: The library cannot be built or loaded.
    """
    key = _key(name, files, (*flags, *optional))
    folders, refusals = _cache_folders()
    reasons = [*refusals]
    for folder in folders:
        try:
            built = _find_cached(folder, f"{name}-{key}") or _build(folder, f"{name}-{key}", files, flags, optional)
            return ctypes.CDLL(str(built))
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            loaded = ctypes.CDLL(str(_build(Path(scratch), name, files, flags, optional)))
    except OSError as error:
        raise BuildError(f"the compiled kernels cannot be loaded: {error}") from None
    _warn_uncached("; ".join(reasons))
    return loaded


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


def _key(name: str, files: Sequence[str], flags: Sequence[str]) -> str:
    """Return a digest of everything that determines a library."""
    digest = hashlib.sha256(repr((name, flags, FLAGS, platform.machine(), sys.platform, _compiler_name())).encode())
    for path in (*sorted(SOURCES.glob("*.h")), *(SOURCES / file for file in files)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compiler_name() -> str:
    return os.environ.get("CC") or "cc"


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


def _build(folder: Path, stem: str, files: Sequence[str], flags: Sequence[str], optional: Sequence[str]) -> Path:
    """Build a library atomically; other processes may build it at the same time."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        library = Path(scratch) / "kernels.so"
        try:
            _compile(Path(scratch), library, files, (*flags, *optional))
        except BuildError:
            if not optional:
                raise
            _compile(Path(scratch), library, files, flags)
        with library.open("rb") as file:
            os.fsync(file.fileno())
        built = folder / _file_name(stem, library)
        library.chmod(0o700)
        library.replace(built)
    return built


def _compile(scratch: Path, library: Path, files: Sequence[str], flags: Sequence[str]) -> None:
    """Compile all files in parallel, and link them."""
    command = shlex.split(_compiler_name())
    if not command or shutil.which(command[0]) is None:
        raise BuildError(f"no C compiler: {command[0] if command else 'CC'!s} is not on the PATH")
    objects = [str(scratch / f"{file}.o") for file in files]
    compiles = [
        [*command, *FLAGS, *flags, "-c", "-o", output, str(SOURCES / file)]
        for file, output in zip(files, objects, strict=True)
    ]
    _run(compiles)
    _run([[*command, "-shared", "-fPIC", "-o", str(library), *objects, "-lm"]])


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
