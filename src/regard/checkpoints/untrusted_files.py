"""Check the files of a checkpoint before they are used: a checkpoint may come from an untrusted source.

Only regular files inside the folder are read, or in `blobs/` if the folder is a snapshot in the Hugging Face cache.
The shapes in the header of model.safetensors are compared with the sizes in config.json before memory is allocated for
the model.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from regard.config.schema import ModelConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import MAX_BYTES
from regard.models import build_on_meta, build_uninitialized

SUMS = "SHA256SUMS"
TRAINING = "training"
TENSORS = ".safetensors"  # may have any size: safetensors compares it with the size declared in the header
DAMAGED = "the folder is damaged: load another checkpoint of the run"
MAX_SUMS_BYTES = 1 << 20  # of SHA256SUMS
MIN_LAYER_LIMIT = 100  # layers of a config that are always accepted; more need at least a tensor per layer
FLOATS = ("F64", "F32", "F16", "BF16")  # dtypes of weights, as safetensors names them


def list_files(folder: Path, *, training: bool) -> dict[str, Path]:
    """Return the files of a checkpoint by their names relative to `folder`.

    Args:
        folder: The folder of the checkpoint.
        training: Whether to include the files in training/.

    Raises:
        CheckpointError: If there is a FIFO, a device or a socket, a file larger than MAX_BYTES that is not a
            .safetensors file, or a symbolic link that leads out of the folder and not to a blob of the same repository
            in the Hugging Face cache.
    """
    with raise_on_os_error(CheckpointError, "the folder cannot be read", where=folder, fix=DAMAGED):
        root = Path(os.path.realpath(folder, strict=True))
        names = sorted(entry.name for entry in root.iterdir() if entry.name != TRAINING)
        if training:
            names += sorted(f"{TRAINING}/{entry.name}" for entry in (root / TRAINING).iterdir())
    return {name: folder / name for name in names if _is_file(folder / name, root)}


def _is_file(path: Path, root: Path) -> bool:
    """Return whether a path is a file and not a folder. Raises CheckpointError if it must not be read."""
    with raise_on_os_error(CheckpointError, "the file cannot be read", where=path, fix=DAMAGED):
        target = Path(os.path.realpath(path, strict=True))  # Path.resolve raises RuntimeError for a loop
        status = target.stat()
    if stat.S_ISDIR(status.st_mode):
        return False
    if not target.is_relative_to(root) and not _is_blob(target, status, root):
        raise CheckpointError(
            "this symbolic link leads out of the checkpoint's folder",
            where=path,
            fix="if you trust the file, copy the folder with the files that its links lead to: "
            f"`{shlex.join(['cp', '-rL', str(path.parent), 'COPY'])}`",
        )
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(
            "this is not a regular file", where=path, fix="do not use this checkpoint, or delete the file"
        )
    limit = MAX_SUMS_BYTES if path.name == SUMS else MAX_BYTES
    if status.st_size > limit and path.suffix != TENSORS:
        raise CheckpointError(
            f"the file has {status.st_size:,} bytes; the limit for such a file is {limit:,}", where=path, fix=DAMAGED
        )
    return True


def _is_blob(target: Path, status: os.stat_result, root: Path) -> bool:
    """Return whether a file is a blob of the repository in the Hugging Face cache that `root` is a snapshot of.

    The cache has `blobs/HASH` next to `snapshots/REVISION/`, and `root` may also be a folder in a snapshot. The file
    must belong to the owner of `root` or to this user.
    """
    snapshots = next((parent for parent in root.parents if parent.name == "snapshots"), None)
    if snapshots is None or target.parent != snapshots.with_name("blobs") or not stat.S_ISREG(status.st_mode):
        return False
    owners = {root.stat().st_uid}
    if hasattr(os, "geteuid"):
        owners.add(os.geteuid())
    return status.st_uid in owners


def compute_sum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_sums(folder: Path, files: Mapping[str, Path], *, is_checked: Callable[[str], bool]) -> None:
    """Compare files with the checksums in SHA256SUMS, if it exists: checkpoints of old versions have none.

    Args:
        folder: The folder of the checkpoint.
        files: The files by name, as returned by `list_files`.
        is_checked: Returns whether to check the file of a name.

    Raises:
        CheckpointError: If a file is missing, cannot be read, or has another checksum.
    """
    if SUMS not in files:
        return
    for name, expected in read_sums(files[SUMS]).items():
        if not is_checked(name):
            continue
        if name not in files:
            raise CheckpointError(
                f"the file cannot be read: it is listed in {SUMS} but does not exist",
                where=folder / name,
                fix=DAMAGED,
            )
        with raise_on_os_error(CheckpointError, "the file cannot be read", where=folder / name, fix=DAMAGED):
            actual = compute_sum(files[name])
        if actual != expected:
            raise CheckpointError(
                f"the file has changed since it was written: its checksum differs from {SUMS}",
                where=folder / name,
                fix=f"{DAMAGED}; if the file was changed on purpose, delete {SUMS}",
            )


def read_sums(path: Path) -> dict[str, str]:
    """Return the checksum of each file that SHA256SUMS lists, by name. Raises CheckpointError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None
    if not re.fullmatch(r"([0-9a-f]{64}  .+\n)+", text):
        raise CheckpointError("the file is not a list of checksums", where=path, fix=DAMAGED)
    return {name: expected for expected, _, name in (line.partition("  ") for line in text.splitlines())}


def named_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by name; a shared one only under its first name."""
    weights: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            weights[name] = tensor
    return weights


def build_if_shapes_fit(config: ModelConfig, vocabularies: VocabularySizes, path: Path) -> Seq2Seq:
    """Build a model if the file at `path` has tensors of exactly its names and shapes. The caller loads the weights.

    The state of the caller's random number generator does not change.

    Raises:
        CheckpointError: If names or shapes differ, before memory for the model is allocated.
    """
    shapes = _read_shapes(path)
    layers = sum(_layers_in(name, value) for name, value in config)
    if layers > max(len(shapes), MIN_LAYER_LIMIT):  # before that many modules are created
        raise _misfit(path, [f"config.json has {layers:,} layers, and the file only {len(shapes):,} tensors"])
    with torch.random.fork_rng(devices=[]):
        expected = named_weights(build_on_meta(config, vocabularies))
        mismatches = [
            *(f"{name} is missing" for name in expected.keys() - shapes.keys()),
            *(f"{name} is not part of this model" for name in shapes.keys() - expected.keys()),
            *(
                f"{name} is {shapes[name]} but should be {list(expected[name].shape)}"
                for name in expected.keys() & shapes.keys()
                if shapes[name] != list(expected[name].shape)
            ),
        ]
        if mismatches:
            raise _misfit(path, mismatches)
        return build_uninitialized(config, vocabularies)


def _layers_in(name: str, value: object) -> int:
    """Return the number of layers that a field of a model's config asks for; 0 for other fields."""
    if isinstance(value, int) and name.endswith(("layers", "blocks")):
        return value
    return len(value) if isinstance(value, tuple) else 0


def _read_shapes(path: Path) -> dict[str, list[int]]:
    """Read the shape of each tensor from the header of the file. Raises CheckpointError."""
    shapes: dict[str, list[int]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - file is not a dict
                tensor = file.get_slice(name)
                if tensor.get_dtype() not in FLOATS:
                    raise CheckpointError(
                        f"{name} has dtype {tensor.get_dtype()}; weights must be one of {', '.join(FLOATS)}",
                        where=path,
                        fix=DAMAGED,
                    )
                shapes[name] = list(tensor.get_shape())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None
    return shapes


def _misfit(path: Path, mismatches: Iterable[str], max_shown: int = 4) -> CheckpointError:
    listed = sorted(mismatches)
    more = f", and {len(listed) - max_shown} more" if len(listed) > max_shown else ""
    return CheckpointError(
        f"the weights do not fit the model: {', '.join(listed[:max_shown])}{more}", where=path, fix=DAMAGED
    )
