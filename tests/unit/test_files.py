"""Files, folders and links that are replaced atomically, and the leftovers of processes that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regard.files import (
    AtomicFile,
    atomic_folder,
    check_writable,
    open_atomic,
    remove_leftovers,
    replace_symlink,
    write_atomic,
)
from regard.interop.export_folder import new_folder


def ended_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, "é")
    assert path.read_bytes() == "é".encode()
    path.chmod(0o640)
    write_atomic(path, b"2")
    assert path.read_bytes() == b"2"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(path.parent) == ["file"]


def test_a_file_that_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_atomic(tmp_path / "link", "1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "1"


def test_after_an_error_the_old_file_is_unchanged(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"1")
    with pytest.raises(KeyError), open_atomic(path) as file:
        file.write(b"2")
        raise KeyError
    assert path.read_bytes() == b"1"
    assert names(tmp_path) == ["file"]


def test_two_writers_of_a_file_do_not_mix(tmp_path: Path) -> None:
    first, second = AtomicFile(tmp_path / "file"), AtomicFile(tmp_path / "file")
    first.file.write(b"1")
    second.file.write(b"2")
    first.commit()
    second.commit()
    assert (tmp_path / "file").read_bytes() == b"2"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "a").touch()
    with pytest.raises(KeyError), atomic_folder(path) as temporary:
        raise KeyError
    assert names(path) == ["a"]
    with atomic_folder(path) as temporary:
        (temporary / "b").touch()
    assert names(path) == ["b"]
    assert names(path.parent) == ["folder"]


def test_a_link_is_replaced(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        replace_symlink(tmp_path / "link", Path(name))
        assert (tmp_path / "link").readlink() == Path(name)
    assert names(tmp_path) == ["a", "b", "link"]


def test_an_export_removes_the_leftovers_of_a_killed_process(tmp_path: Path) -> None:
    ended, running = tmp_path / f"model.tmp-{ended_process()}", tmp_path / f"model.tmp-{os.getppid()}"
    unrelated = [tmp_path / f"model2.tmp-{ended_process()}", tmp_path / "model.tmp-x", tmp_path / "model.tmp"]
    for folder in (ended, running, *unrelated):
        folder.mkdir()
        (folder / "weights").write_bytes(b"1")
    with new_folder(tmp_path / "model") as folder:
        (folder / "weights").write_bytes(b"2")
    assert not ended.exists()
    assert all((folder / "weights").exists() for folder in (running, *unrelated))
    assert (tmp_path / "model" / "weights").read_bytes() == b"2"


def test_leftovers_that_are_files_or_links(tmp_path: Path) -> None:
    (target := tmp_path / "target").mkdir()
    (target / "a").write_bytes(b"1")
    (file := tmp_path / f"a[1].tmp-{ended_process()}").write_bytes(b"1")
    (link := tmp_path / f"a[1].tmp-{ended_process()}").unlink(missing_ok=True)
    link.symlink_to(target)
    (unrelated := tmp_path / f"a1.tmp-{ended_process()}").write_bytes(b"1")
    remove_leftovers(tmp_path / "a[1]")
    assert not os.path.lexists(file) and not os.path.lexists(link)
    assert (target / "a").exists() and unrelated.exists()


def test_a_partial_result_stays_unless_the_path_is_locked(tmp_path: Path) -> None:
    (tmp_path / "file.part2").write_bytes(b"1")
    (tmp_path / f"file.tmp-{os.getppid()}").write_bytes(b"1")
    remove_leftovers(tmp_path / "file")
    assert len(names(tmp_path)) == 2
    remove_leftovers(tmp_path / "file", is_locked=True)
    assert names(tmp_path) == []


def test_where_a_file_can_be_written(tmp_path: Path) -> None:
    (existing := tmp_path / "existing").write_bytes(b"1")
    check_writable(existing)
    check_writable(tmp_path / "new" / "file")
    assert existing.read_bytes() == b"1"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["existing", "new"]
    for path in (tmp_path, existing / "file", Path("/proc/none")):
        with pytest.raises(OSError):
            check_writable(path)
