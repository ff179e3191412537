"""sdist and wheel are complete, and an installed wheel has compiled kernels and does its work without a C compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.metadata import Metadata
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from regard.nn.kernels import build, native
from regard.nn.kernels.levels import SLOW, libraries

ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.slow  # `make packages` and CI run these tests
NO_COMPILER = {"CC": "no-such-compiler"}
USE = """
import json, sys
import regard
from regard.nn.kernels import native

pairs = [f"{number}\\t{str(number)[::-1]}\\n" for number in range(100, 400)]
open("pairs.tsv", "w", encoding="utf-8").writelines(pairs)
options = {"train.max_steps": 2, "train.tokens_per_batch": 200, "tokenizer.kind": "character"}
languages = {"source_language": "en", "target_language": "de"}
folder = regard.train(data="pairs.tsv", output="run", device="cpu", overrides=options, **languages).folder
translations = [regard.load(folder, "cpu", precision).translate("123").text for precision in ("float32", "int8")]
origins = {level: native.load(level).origin for level in sys.argv[1:]}
print(json.dumps([regard.__file__, translations, origins]))
"""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    (archive,) = SdistBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(archive)


@pytest.fixture(scope="module")
def sources(sdist: Path) -> Path:
    """The files of the sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.with_name(sdist.name.removesuffix(".tar.gz"))


def make_wheel(sources: Path, folder: Path) -> Path:
    (wheel,) = WheelBuilder(str(sources)).build(directory=str(folder), versions=["standard"])
    return Path(wheel)


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from the sdist, as `python -m build` does."""
    if native.library() is None:
        pytest.skip("there are no kernels here")
    return make_wheel(sources, tmp_path_factory.mktemp("wheel"))


def package_files(folder: Path) -> set[str]:
    files = (path for path in (folder / "regard").rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {str(path.relative_to(folder)) for path in files}


def test_the_sdist_is_complete(sources: Path) -> None:
    assert package_files(sources / "src") == package_files(ROOT / "src")
    names = {path.name for path in sources.iterdir()}
    assert names >= {"LICENSE", "README.md", "pyproject.toml", "hatch_build.py", "constraints.txt", "tests", "docs"}
    assert "Name: regard" in (sources / "PKG-INFO").read_text(encoding="utf-8")


def test_the_wheel_is_for_this_platform_and_any_python(wheel: Path) -> None:
    _, _, _, tags = parse_wheel_filename(wheel.name)
    (tag,) = tags
    assert (tag.interpreter, tag.abi) == ("py3", "none")
    assert tag in set(sys_tags())
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        Metadata.from_email(archive.read(metadata), validate=True)
        (tags_file,) = (name for name in names if name.endswith("/WHEEL"))
        assert Parser().parsestr(archive.read(tags_file).decode())["Root-Is-Purelib"] == "false"
    compiled = {f"regard/nn/kernels/compiled/{build.shipped_name(library)}" for library in libraries()}
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    about = {metadata.replace("METADATA", name) for name in about}
    assert names == package_files(ROOT / "src") | compiled | about


def test_twine_accepts_sdist_and_wheel(sdist: Path, wheel: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0 and finished.stdout.count("PASSED") == 2, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment in which pip has installed the wheel; dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv"), "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(packages), encoding="utf-8")
    return folder / "venv" / "bin"


@pytest.fixture
def environment(installed: Path, tmp_path: Path) -> Mapping[str, str]:
    """Variables with which no compiler is found. Files could be cached only in `tmp_path / "cache"`."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("REGARD_KERNELS", "PYTHONPATH")}
    (cache := tmp_path / "cache").mkdir()
    folders = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(cache))
    return {**inherited, **NO_COMPILER, **folders, "PATH": str(installed), "OMP_NUM_THREADS": "1"}


def test_an_installed_wheel_needs_no_compiler(installed: Path, environment: Mapping[str, str], tmp_path: Path) -> None:
    command = [str(installed / "regard"), "version", "--verbose"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    level = next(iter(native.executable()))
    assert f"kernels: {level} (" in finished.stdout
    assert "the best level that this CPU can run; from the wheel" in finished.stdout
    assert not finished.stderr
    assert not [*(tmp_path / "cache").iterdir()]


def test_an_installed_wheel_trains_translates_and_serves(
    installed: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    levels = [level for level in native.executable() if level not in SLOW]
    command = [str(installed / "python"), "-c", USE, *levels]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert finished.returncode == 0, finished.stderr
    file, translations, origins = json.loads(finished.stdout.splitlines()[-1])
    assert Path(file).is_relative_to(installed.parent)
    assert len(translations) == 2 and origins == dict.fromkeys(levels, "from the wheel")
    assert "kernels are not used" not in finished.stderr

    command = [str(installed / "regard"), "serve", "run", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        try:
            assert server.stderr is not None
            messages = []
            for line in server.stderr:
                messages.append(line)
                if line.startswith("listening on "):
                    break
            else:
                pytest.fail("".join(messages))
            address = messages[-1].split()[-1]
            body = json.dumps({"q": "123", "source": "en", "target": "de"}).encode()
            request = Request(f"{address}/translate", body, {"Content-Type": "application/json"})
            with urlopen(request, timeout=60) as answer, urlopen(address, timeout=60) as page:
                assert json.load(answer)["translatedText"] == translations[0]
                assert b"<html" in page.read()
        finally:
            server.terminate()
        assert server.wait(60) == 0
    assert not (tmp_path / "cache" / "regard").exists()


def test_without_a_compiler_the_wheel_is_for_every_platform(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", NO_COMPILER["CC"])
    wheel = make_wheel(sources, tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
    monkeypatch.setenv("REGARD_REQUIRE_KERNELS", "1")
    with pytest.raises(Exception, match="no C compiler"):
        make_wheel(sources, tmp_path)


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
