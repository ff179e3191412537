"""How kernels are built, cached, chosen by the CPU and checked before use."""

from __future__ import annotations

import ctypes
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.levels import LEVELS, use_best_level

from regard.errors import ConfigError
from regard.nn.kernels import build, check, levels, native
from regard.nn.kernels.levels import CPU, X86, Library


def _forget() -> None:
    cached = (build._cache_folders, build._warn_uncached)
    for function in (native.library, native.executable, native.load, *cached):
        function.cache_clear()


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has not asked for kernels yet."""
    if native.library() is None:
        pytest.skip("there are no kernels here")
    monkeypatch.delenv("REGARD_KERNELS", raising=False)
    _forget()
    yield
    monkeypatch.undo()
    _forget()


@pytest.fixture
def fresh(anew: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nothing has been built; the folder for caches."""
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "none" / "none"))
    monkeypatch.setattr(build, "SHIPPED", tmp_path / "none")  # the tests may run with an installed wheel
    return cache


def cpu() -> ctypes.CDLL:
    """The smallest of the libraries."""
    build._cache_folders.cache_clear()
    return build.load(CPU).library


def built(cache: Path) -> Path:
    (path,) = (cache / "regard").glob("cpu-*.so")
    return path


def test_a_library_is_built_once_and_kept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = cpu().regard_cpu_levels()
    before = built(fresh).stat()
    assert before.st_mode & 0o777 == 0o700
    assert [path.name for path in (fresh / "regard").iterdir()] == [built(fresh).name]
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("it was built again"))
    assert cpu().regard_cpu_levels() == answer
    assert built(fresh).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_truncated_library_is_built_again(fresh: Path, size: int) -> None:
    cpu()
    path = built(fresh)
    damaged = path.read_bytes()
    path.unlink()  # so that the one that this process has loaded stays whole
    path.write_bytes(damaged[:size])
    path.chmod(0o700)
    assert cpu().regard_cpu_levels() >= 0
    assert built(fresh).read_bytes() == damaged


def test_a_library_that_others_can_write_to_is_built_again(fresh: Path) -> None:
    cpu()
    path = built(fresh)
    path.chmod(0o777)
    cpu()
    assert built(fresh).stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_another_users_library_is_never_loaded(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu()
    path = built(fresh)
    os.chown(path, 65534, 65534)
    loaded: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: loaded.append(Path(name).stat().st_uid))
    cpu()
    os.chown(fresh / "regard", 65534, 65534)
    cpu()
    os.chown(fresh / "regard", 0, 0)
    os.chown(fresh, 65534, 65534)
    cpu()
    assert loaded == [0, 0, 0]


@pytest.mark.parametrize("writable", ["regard", "."])
def test_a_folder_that_others_can_write_to_is_not_used(fresh: Path, writable: str) -> None:
    (fresh / "regard").mkdir(mode=0o700)
    (fresh / writable).chmod(0o777)
    assert cpu().regard_cpu_levels() >= 0
    assert not [*(fresh / "regard").iterdir()]


def test_a_library_is_not_built_through_a_link_into_a_folder_of_others(fresh: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    (fresh / "regard").symlink_to(elsewhere)
    cpu()
    assert not [*elsewhere.iterdir()]


def test_a_folder_that_cannot_be_made_is_no_trouble(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "file"))
    assert cpu().regard_cpu_levels() >= 0


def _make_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, stem: str, *rest: Any) -> Path:
        if folder.name == "regard":
            raise OSError(30, "Read-only file system", str(folder))
        return real(folder, stem, *rest)

    real = build.build
    monkeypatch.setattr(build, "build", refuse)


def _open_to_others(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)


def _open_parent(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.parent.chmod(0o777)


def _put_a_file_there(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.touch()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_make_read_only, "cache/regard: Read-only file system"),
        (_open_to_others, "cache/regard: another user owns it or can write to it"),
        (_open_parent, "cache or can write to it"),
        (_put_a_file_there, "cache/regard: File exists"),
    ],
)
def test_where_nothing_can_be_cached_one_message_says_why(
    fresh: Path,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    temporary = Path(tempfile.gettempdir())
    temporary.mkdir(parents=True)
    (temporary / f"regard-{os.geteuid()}").touch()
    spoil(fresh / "regard", monkeypatch)
    for name in ("cpu", "again"):
        build.load(Library(name, CPU.files))
    (record,) = caplog.records
    message = record.getMessage()
    assert "compiles its kernels at every start" in message
    assert reason in message
    assert f"regard-{os.geteuid()}: File exists" in message
    assert "Set XDG_CACHE_HOME" in message


def test_where_one_folder_can_be_used_there_is_no_message(fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    (fresh.parent / "none").touch()
    cpu()
    assert not caplog.records


def test_the_compiler_may_have_options(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -O1")
    cpu()
    assert built(fresh).exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "no C compiler: compiler is not on the PATH"),
        ("#!/bin/sh\necho 'x.c:1: error: no such luck' >&2; exit 1\n", "failed: x.c:1: error: no such luck"),
        ("#!/bin/nowhere\n", "cannot be run"),
    ],
)
def test_what_prevents_kernels_is_logged_once(
    fresh: Path,
    script: str | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if script:
        (folder / "compiler").write_text(script)
        (folder / "compiler").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}")
    monkeypatch.setenv("CC", "compiler")
    assert native.library() is None
    assert native.library() is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert reason in record.getMessage()
    assert (fresh / "regard").exists() == (script is not None)


def test_without_kernels_by_wish_nothing_is_logged_or_built(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REGARD_KERNELS", "0")
    assert native.library() is None
    assert not caplog.records
    assert not [*fresh.iterdir()]


def test_the_best_level_of_the_cpu_is_used_unless_another_is_named(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = ["v3", "plain"] if "v3" in LEVELS else [*LEVELS]
    monkeypatch.setattr(native, "executable", lambda: runs)
    monkeypatch.setattr(native, "load", lambda level: level)
    monkeypatch.setattr(native, "LEVELS", {**X86, **levels.LEVELS})
    assert str(native.library()) == runs[0]
    for level in runs:
        monkeypatch.setenv("REGARD_KERNELS", level)
        native.library.cache_clear()
        assert str(native.library()) == level
    monkeypatch.setenv("REGARD_KERNELS", "v4")
    native.library.cache_clear()
    with pytest.raises(ConfigError, match="cannot run level v4, which needs AVX-512 with VNNI") as raised:
        native.library()
    assert f"use 0 or {', '.join(runs)}" in str(raised.value)
    monkeypatch.setenv("REGARD_KERNELS", "v9")
    with pytest.raises(ConfigError, match="unknown kernel level 'v9'"):
        native.library()


class _Without:
    """Kernels of which one does nothing."""

    def __init__(self, kernels: native.Kernels, lazy: str) -> None:
        self._kernels, self._lazy = kernels, lazy

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: 0.0) if name == self._lazy else getattr(self._kernels, name)


@pytest.mark.parametrize("name", [name for name in native._SIGNATURES if not name.endswith(("_panel", "_depth"))])
def test_each_kernel_has_a_known_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = use_best_level(monkeypatch)
    assert check.failing(kernels) is None
    assert check.failing(_Without(kernels, name)) is not None  # type: ignore[arg-type]


def test_kernels_with_a_wrong_answer_are_not_used(
    anew: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(check, "failing", lambda _: "attend")
    assert native.library() is None
    (record,) = caplog.records
    assert "the kernel attend of level" in record.getMessage()
