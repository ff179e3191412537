"""The wheel ships compiled kernels, which run where there is no C compiler."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.metadata import Metadata
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from regard.nn.kernels import build, native
from regard.nn.kernels.levels import libraries

ROOT = Path(__file__).parents[4]
NO_COMPILER = {"CC": "no-such-compiler"}


def make_wheel(folder: Path) -> Path:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(wheel)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if native.library() is None:
        pytest.skip("there are no kernels here")
    return make_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_is_for_this_platform_and_any_python(wheel: Path) -> None:
    _, _, _, tags = parse_wheel_filename(wheel.name)
    (tag,) = tags
    assert (tag.interpreter, tag.abi) == ("py3", "none")
    assert tag in set(sys_tags())
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        Metadata.from_email(archive.read(metadata), validate=True)
        (tags_file,) = (name for name in names if name.endswith("/WHEEL"))
        assert Parser().parsestr(archive.read(tags_file).decode())["Root-Is-Purelib"] == "false"
    compiled = {Path(name).name for name in names if name.endswith(".so")}
    assert compiled == {build.shipped_name(library) for library in libraries()}


def test_an_installed_wheel_needs_no_compiler(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    packages = [path for path in sys.path if path.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(packages), encoding="utf-8")
    environment = {**_environment(), **NO_COMPILER, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [str(tmp_path / "venv/bin/python"), "-m", "regard", "version", "--verbose"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    level = next(iter(native.executable()))
    assert f"kernels: {level} (" in finished.stdout
    assert "the best level that this CPU can run; from the wheel" in finished.stdout
    assert not finished.stderr
    assert not (tmp_path / "cache").exists()


def test_without_a_compiler_the_wheel_is_for_every_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", NO_COMPILER["CC"])
    wheel = make_wheel(tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
    monkeypatch.setenv("REGARD_REQUIRE_KERNELS", "1")
    with pytest.raises(Exception, match="no C compiler"):
        make_wheel(tmp_path)


def test_a_shipped_library_that_cannot_be_loaded_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if native.library() is None:
        pytest.skip("there are no kernels here")
    monkeypatch.setattr(build, "SHIPPED", tmp_path)
    (library, *_) = libraries()
    (tmp_path / build.shipped_name(library)).write_bytes(b"of another platform")
    assert build.load(library).origin.startswith("compiled by ")


def test_what_runs_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGARD_KERNELS", "0")
    assert native.describe().startswith("none: REGARD_KERNELS=0")
    if native.library() is None:
        return
    for level in native.executable():
        monkeypatch.setenv("REGARD_KERNELS", level)
        assert native.describe().startswith(f"{level} (")
        assert "as REGARD_KERNELS says; compiled by" in native.describe()


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("REGARD_KERNELS", "PYTHONPATH")}
