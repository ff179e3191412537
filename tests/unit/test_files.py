"""What killed processes leave beside a result, and where a result can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regard.files import check_writable, remove_leftovers
from regard.interop.export_folder import new_folder


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_export_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    dead, alive = tmp_path / f"model.tmp-{gone()}", tmp_path / f"model.tmp-{os.getppid()}"
    others = [tmp_path / f"model2.tmp-{gone()}", tmp_path / "model.tmp-x", tmp_path / "model.tmp"]
    for folder in (dead, alive, *others):
        folder.mkdir()
        (folder / "weights").write_bytes(b"1")
    with new_folder(tmp_path / "model") as place:
        (place / "weights").write_bytes(b"2")
    assert not dead.exists()
    assert all((folder / "weights").exists() for folder in (alive, *others))
    assert (tmp_path / "model" / "weights").read_bytes() == b"2"


def test_files_and_links_that_were_left(tmp_path: Path) -> None:
    (target := tmp_path / "kept").mkdir()
    (target / "a").write_bytes(b"1")
    (file := tmp_path / f"a[1].tmp-{gone()}").write_bytes(b"1")
    (link := tmp_path / f"a[1].tmp-{gone()}").unlink(missing_ok=True)
    link.symlink_to(target)
    (other := tmp_path / f"a1.tmp-{gone()}").write_bytes(b"1")
    remove_leftovers(tmp_path / "a[1]")
    assert not os.path.lexists(file) and not os.path.lexists(link)
    assert (target / "a").exists() and other.exists()


def test_where_a_file_can_be_written(tmp_path: Path) -> None:
    (there := tmp_path / "there").write_bytes(b"1")
    check_writable(there)
    check_writable(tmp_path / "new" / "file")
    assert there.read_bytes() == b"1"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "there"]
    for path in (tmp_path, there / "file", Path("/proc/none")):
        with pytest.raises(OSError):
            check_writable(path)
