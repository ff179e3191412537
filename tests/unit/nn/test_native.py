"""The kernels in C beside PyTorch's own; where there is no compiler, PyTorch's do their work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from regard.nn import native
from regard.nn.dropout import Dropout
from regard.nn.multihead import attend
from regard.nn.norm import add_norm

WITH_KERNELS = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")


def values(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@WITH_KERNELS
@pytest.mark.parametrize("kv_heads", [1, 3, 6])
@pytest.mark.parametrize("slots", [1, 5, 16, 50])
@pytest.mark.parametrize("seen", ["all", "sentence", "row"])
def test_attention_is_as_pytorchs(kv_heads: int, slots: int, seen: str) -> None:
    queries = values(4, 5, 6, 32)
    room = values(4, 60, 2 * kv_heads, 32, seed=3)[:, 3 : 3 + slots]  # slots that are a part of something longer
    keys, own = room.chunk(2, dim=2)
    shape = {"all": (), "sentence": (4, slots), "row": (4, 5, slots)}[seen]
    mask = None if seen == "all" else values(*shape, seed=4).gt(0.3)
    if mask is not None:
        mask[..., 0] = True
    expected, _ = attend(*(part.double() for part in (queries, keys, own)), mask=mask)
    with torch.inference_mode():
        assert native.attends(queries, keys, own, mask)
        found, _ = attend(queries, keys, own, mask=mask)
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=2e-6)


@WITH_KERNELS
def test_large_scores_are_no_trouble() -> None:
    queries, keys = values(1, 1, 2, 16) * 100, values(1, 20, 2, 16, seed=3) * 100
    expected, _ = attend(queries.double(), keys.double(), keys.double())
    with torch.inference_mode():
        found, _ = attend(queries, keys, keys)
    torch.testing.assert_close(found, expected.float())


def test_training_and_other_precisions_are_left_to_pytorch() -> None:
    single, double = values(2, 2), values(2, 2).double()
    assert not native.suits(single)
    with torch.no_grad():
        assert native.suits(single) == (native.library() is not None)
        assert not native.suits(double)


def says(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", "from regard.nn import native; print(native.library() is not None)"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_without_a_compiler_there_are_none(tmp_path: Path) -> None:
    assert says({"PATH": str(tmp_path), "HOME": str(tmp_path)}) == "False"
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert says({"PATH": str(tmp_path), "HOME": str(tmp_path)}) == "False"


@WITH_KERNELS
def test_they_are_built_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert says({**path, "XDG_CACHE_HOME": str(tmp_path)}) == "True"
    (built,) = (tmp_path / "regard").iterdir()
    before = built.stat().st_mtime_ns
    assert says({**path, "XDG_CACHE_HOME": str(tmp_path)}) == "True"
    assert built.stat().st_mtime_ns == before
    assert says({**path, "XDG_CACHE_HOME": str(tmp_path), "REGARD_KERNELS": "0"}) == "False"


@WITH_KERNELS
def test_a_home_that_cannot_be_written_to_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert says({"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "file")}) == "True"


@WITH_KERNELS
@pytest.mark.parametrize("width", [16, 48, 256])
def test_the_norm_of_a_sum_is_as_pytorchs(width: int) -> None:
    norm = torch.nn.LayerNorm(width)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x, y = values(3, 4, width) * 5 + 20, values(3, 4, width, seed=3)
    expected = norm(x + y)
    with torch.inference_mode():
        torch.testing.assert_close(native.add_norm(x, y, norm), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            add_norm(x, y, norm, Dropout(0.5).eval()), native.add_norm(x, y, norm), rtol=0, atol=0
        )
