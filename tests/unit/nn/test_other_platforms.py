"""The kernels of arm64 and Windows: a cross compiler builds them, an emulator runs them; they agree with ours.

Debian has all of it: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user gcc-mingw-w64-x86-64 wine64.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from regard.nn.kernels import native
from regard.nn.kernels.build import FLAGS, SOURCES
from regard.nn.kernels.levels import ARM, FILES, X86

pytestmark = pytest.mark.slow  # `make packages` and CI run these tests
DRIVER = Path(__file__).with_name("all_kernels.c")
CROSS, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
WINDOWS_COMPILER = "x86_64-w64-mingw32-gcc"
CPUS = {"neon": "cortex-a57", "dotprod": "max"}  # the first has no dot products

Answers = list[tuple[str, NDArray[np.float64]]]


def answers(folder: Path, compiler: str, level: str, flags: tuple[str, ...], runner: tuple[str, ...]) -> Answers:
    """Build the kernels of a level and a program that calls them, run it, and read what it prints."""
    program = folder / f"{level}.exe"  # Windows insists on the suffix
    sources = [str(SOURCES / name) for name in FILES]
    command = [
        compiler,
        *FLAGS,
        "-static",
        f"-DLEVEL={level}",
        *flags,
        "-o",
        str(program),
        str(DRIVER),
        *sources,
        "-lm",
    ]
    subprocess.run(command, check=True, capture_output=True)
    printed = subprocess.run([*runner, str(program)], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in printed.splitlines()]
    return [(name, np.array(values, dtype=np.float64)) for name, *values in lines]


@cache
def plain() -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        return answers(Path(folder), os.environ.get("CC", "cc"), "plain", (), ())


def require(*tools: str) -> None:
    if platform.machine() != "x86_64" or native.library() is None:
        pytest.skip("emulated from x86-64 with a C compiler only")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")


def assert_agree(actual: Answers, expected: Answers) -> None:
    assert [name for name, _ in actual] == [name for name, _ in expected]
    for (name, actual_values), (_, expected_values) in zip(actual, expected, strict=True):
        if name in ("linear_int8", "best_columns", "beam_step", "dropout"):
            np.testing.assert_array_equal(actual_values, expected_values, name)
        else:
            np.testing.assert_allclose(actual_values, expected_values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("level", list(CPUS))
def test_the_levels_of_arm64_give_what_portable_c_gives_here(level: str, tmp_path: Path) -> None:
    require(CROSS, EMULATOR)
    actual = answers(tmp_path, CROSS, level, ARM[level].flags, (EMULATOR, "-cpu", CPUS[level]))
    assert_agree(actual, plain())
    sums = [values for name, values in actual if name == "linear_int8"]
    assert [values[:2].tolist() for values in sums] == [
        [127.0 * 32 * inputs, -127.0 * 32 * inputs] for inputs in (16, 64, 512)
    ]


def test_kernels_compiled_for_windows_give_what_portable_c_gives_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(WINDOWS_COMPILER, "wine")
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "wine"))  # made at the first run, which takes seconds
    monkeypatch.setenv("WINEDEBUG", "-all")
    for level in native.executable():
        flags = (*X86[level].flags, *X86[level].optional)
        assert_agree(answers(tmp_path, WINDOWS_COMPILER, level, flags, ("wine",)), plain())
