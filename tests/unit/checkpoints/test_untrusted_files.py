"""A checkpoint from a stranger: nothing in it blocks, takes more memory than the files have, or ends in a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.checkpoints.test_checkpoint import RNNSEARCH, TRANSFORMER, checkpoint, edit, with_state
from torch.overrides import TorchFunctionMode

from regard.checkpoints.checkpoint import load_checkpoint, load_training_state, save_checkpoint
from regard.checkpoints.untrusted_files import MAX_SUMS_BYTES, SUMS, build_if_shapes_fit
from regard.config.schema import ModelConfig
from regard.contract import VocabularySizes
from regard.errors import CheckpointError
from regard.models import ARCHITECTURES

DEEP = "[" * 100_000
PARTS = ["config.json", "metrics.json", "model.safetensors", "tokenizer.json", "tokenizer.vocabulary.json", SUMS]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "step-000500"
    save_checkpoint(folder, checkpoint())
    return folder


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)  # the path of a socket has at most 107 bytes


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


STRANGE: dict[str, Callable[[Path], None]] = {
    "a FIFO": make_fifo,
    "a socket": make_socket,
    "a link to a device": link_to("/dev/zero"),
    "a link out of the folder": link_to("../outside"),
}


def refused(folder: Path, match: str) -> None:
    """Neither the model nor the state of training is read."""
    for load in (load_checkpoint, load_training_state):
        with pytest.raises(CheckpointError, match=match):
            load(folder)


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("name", ["model.safetensors", "metrics.json", "tokenizer.json", "more"])
def test_only_regular_files_in_the_folder_are_opened(saved: Path, name: str, kind: str, sums: bool) -> None:
    with_state(saved)
    if not sums:
        (saved / SUMS).unlink()
    path = saved / name
    if path.exists():
        path.rename(saved.parent / "outside")
    else:
        (saved.parent / "outside").touch()
    STRANGE[kind](path)
    refused(saved, f"{name}: this (is not a regular file|symbolic link leads out)")


def test_a_dangling_link_is_an_error(saved: Path) -> None:
    for target in ("nowhere", "more"):
        (saved / "more").symlink_to(target)
        with pytest.raises(CheckpointError, match="more: the file cannot be read"):
            load_checkpoint(saved)
        (saved / "more").unlink()


@pytest.mark.parametrize("name", ["/dev/zero", "../fifo", "training/../../fifo", "fifo", "none"])
def test_checksums_of_files_outside_the_folder_are_refused(saved: Path, name: str) -> None:
    os.mkfifo(saved.parent / "fifo")
    (saved / SUMS).write_text(f"{'0' * 64}  {name}\n")
    if not name.startswith("training/"):
        with pytest.raises(CheckpointError, match=f"cannot be read: it is listed in {SUMS}"):
            load_checkpoint(saved)
    with_state(saved)
    (saved / SUMS).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(CheckpointError, match=f"cannot be read: it is listed in {SUMS}"):
        load_training_state(saved)


def test_a_link_inside_the_folder_is_accepted(saved: Path) -> None:
    (saved / "model.safetensors").rename(saved / "weights.safetensors")
    (saved / "model.safetensors").symlink_to("weights.safetensors")
    (saved / "notes").mkdir()
    assert load_checkpoint(saved).step == 500


@pytest.fixture(params=["", "checkpoints/step-000500"])
def snapshot(saved: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The checkpoint as Hugging Face's cache has it, as a repository or in a folder of one."""
    with_state(saved)
    repository = tmp_path / "hub" / "models--who--what"
    inside: str = request.param
    folder = repository / "snapshots" / "1f2e" / inside
    folder.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted(path for path in saved.rglob("*") if path.is_file())):
        blob = repository / "blobs" / f"{number:040x}"
        path.rename(blob)
        link = folder / path.relative_to(saved)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return folder


def blobs_of(snapshot: Path) -> Path:
    return Path(os.path.realpath(snapshot / "config.json")).parent


def test_a_snapshot_in_the_cache_of_hugging_face_is_read(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(snapshot)
    for folder in (snapshot, tmp_path / "link"):
        assert load_checkpoint(folder).step == 500
        load_training_state(folder)


def test_a_damaged_blob_is_refused(snapshot: Path) -> None:
    path = snapshot / "metrics.json"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CheckpointError, match="has changed since it was written"):
        load_checkpoint(snapshot)


def test_a_snapshot_whose_blobs_lie_elsewhere_is_refused(snapshot: Path, tmp_path: Path) -> None:
    blobs = blobs_of(snapshot)
    blobs.rename(tmp_path / "blobs")
    blobs.symlink_to(tmp_path / "blobs")
    refused(snapshot, "symbolic link leads out")
    blobs.unlink()
    (tmp_path / "blobs").rename(blobs)
    assert load_checkpoint(snapshot).step == 500
    blobs.parent.joinpath("snapshots").rename(blobs.parent / "others")
    moved = blobs.parent / "others" / snapshot.relative_to(blobs.parent / "snapshots")
    refused(moved, "symbolic link leads out")


@pytest.mark.parametrize("target", ["../../../../outside", "../../../other/blobs/1", "../../refs", "/dev/zero"])
def test_a_snapshot_has_no_other_links_out_of_it(snapshot: Path, target: str) -> None:
    repository = blobs_of(snapshot).parent
    for path in (
        repository.parent.parent / "outside",
        repository.parent / "other" / "blobs" / "1",
        repository / "refs",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (snapshot / "more").symlink_to(os.path.normpath(repository / "snapshots" / "1f2e" / target))
    refused(snapshot, "more: this symbolic link leads out")


def test_a_fifo_among_the_blobs_is_refused(snapshot: Path) -> None:
    os.mkfifo(blobs_of(snapshot) / "fifo")
    (snapshot / "more").symlink_to(blobs_of(snapshot) / "fifo")
    refused(snapshot, "more: this (is not a regular file|symbolic link leads out)")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_blob_of_another_user_is_refused(snapshot: Path) -> None:
    os.chown(os.path.realpath(snapshot / "metrics.json"), 65534, 65534)
    refused(snapshot, "metrics.json: this symbolic link leads out")
    os.chown(snapshot, 65534, 65534)
    assert load_checkpoint(snapshot).step == 500


def test_a_refused_link_comes_with_the_command_that_copies_the_file(saved: Path) -> None:
    (saved / "metrics.json").rename(saved.parent / "metrics.json")
    (saved / "metrics.json").symlink_to("../metrics.json")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(saved)
    assert caught.value.fix is not None and f"cp -rL {saved} COPY" in caught.value.fix


def test_a_file_that_is_too_large_is_not_read(saved: Path) -> None:
    for name, size in (("config.json", 1 << 40), ("tokenizer.json", 1 << 40), ("model.safetensors", 1 << 40)):
        path = saved / name
        size_before = path.stat().st_size
        os.truncate(path, size)  # sparse: it takes no disk space
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(saved)
        os.truncate(path, size_before)
    os.truncate(saved / SUMS, MAX_SUMS_BYTES + 1)
    with pytest.raises(CheckpointError, match=f"{SUMS}: the file has"):
        load_checkpoint(saved)


SIZES: list[dict[str, Any]] = [
    {"encoder_layers": 10**9},
    {"encoder_layers": 900, "decoder_layers": 900},
    {"hidden_size": 2**40},
    {"hidden_size": 2**15},
    {"ffn_size": 10**12},
    {"ffn_size": 2**17},
    {"num_heads": 10**15},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sizes_are_compared_with_the_weights_before_the_model_is_built(
    saved: Path, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.nn.Parameter.__new__
    allocated = []

    def watched(cls: type, data: torch.Tensor | None = None, *rest: Any, **more: Any) -> Any:
        if data is not None and not data.is_meta:
            allocated.append(data.shape)
        return real(cls, data, *rest, **more)

    monkeypatch.setattr(torch.nn.Parameter, "__new__", watched)
    edit(saved / "config.json", lambda header: header["recipe"]["model"].update(sizes))
    with pytest.raises(CheckpointError):
        load_checkpoint(saved)
    assert not allocated


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "tokenizer.json", "tokenizer.vocabulary.json"])
def test_deep_json_is_refused(saved: Path, name: str) -> None:
    (saved / SUMS).unlink()
    (saved / name).write_text(DEEP)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(saved)


def test_a_tokenizer_is_only_read_from_the_checkpoint(saved: Path) -> None:
    (saved / "tokenizer.vocabulary.json").rename(saved.parent / "tokenizer.vocabulary.json")
    edit(saved / "tokenizer.json", lambda table: table.update(source="../tokenizer", target="../tokenizer"))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_checkpoint(saved)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.int64, torch.float8_e4m3fn], ids=str)
def test_weights_of_another_dtype_are_refused(saved: Path, dtype: torch.dtype) -> None:
    path = saved / "model.safetensors"
    weights = load_file(path)
    name = min(weights)
    (saved / SUMS).unlink()
    save_file({**weights, name: weights[name].to(dtype)}, path)
    with pytest.raises(CheckpointError, match=f"{name} has dtype"):
        load_checkpoint(saved)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    path = saved / "model.safetensors"
    weights = load_file(path)
    name = max(weights)
    weights[name].view(-1)[-1] = value
    (saved / SUMS).unlink()
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=f"{name} contains NaN or infinite values") as caught:
        load_checkpoint(saved)
    assert caught.value.fix is not None and "learning_rate" in caught.value.fix


def test_a_negative_step_is_refused(saved: Path) -> None:
    edit(saved / "config.json", lambda header: header.update(step=-5))
    with pytest.raises(CheckpointError, match="step is -5"):
        load_checkpoint(saved)


class Draws(TorchFunctionMode):
    """Names the random numbers that are drawn in the block."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "").endswith(("normal_", "uniform_")):
            self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_shapes_of_every_architecture_fit_its_own_config(tmp_path: Path, name: str, joint: bool) -> None:
    architecture = ARCHITECTURES[name]
    small = {"transformer2017": TRANSFORMER, "bahdanau2014": RNNSEARCH}
    config: ModelConfig = small.get(name) or architecture.presets["small"]()
    contents = checkpoint(config, joint=joint)
    save_checkpoint(tmp_path / "a", contents)
    sizes = VocabularySizes(contents.tokenizers.source.size, contents.tokenizers.target.size, joint)
    with Draws() as draws:
        built = build_if_shapes_fit(config, sizes, tmp_path / "a" / "model.safetensors")
    assert not draws.names  # the weights of the file replace all
    assert not any(parameter.is_meta for parameter in built.parameters())
    for (_, table), (_, expected) in zip(built.named_buffers(), contents.model.named_buffers(), strict=True):
        assert torch.equal(table, expected)
    assert json.loads((tmp_path / "a" / "config.json").read_text())["recipe"]["model"]["architecture"] == name
