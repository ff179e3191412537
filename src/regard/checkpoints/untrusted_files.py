"""Check the files of a checkpoint before anything is built from them: a checkpoint may come from a stranger.

Only regular files inside the folder are read, or in `blobs/` of Hugging Face's cache where the folder is a snapshot
there. The shapes in the header of model.safetensors are compared with the sizes in config.json before memory is
allocated for the model.
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
from regard.errors import CheckpointError
from regard.files import MOST_BYTES
from regard.models import build_model, build_on_meta

SUMS = "SHA256SUMS"
TRAINING = "training"
TENSORS = ".safetensors"  # files of any size; safetensors itself compares the size with what the header declares
DAMAGED = "the folder is damaged: load another checkpoint of the run"
MOST_SUMS = 1 << 20  # bytes of SHA256SUMS
FEW_LAYERS = 100  # whose shapes are compared one by one; each layer has a tensor at least
FLOATS = ("F64", "F32", "F16", "BF16")  # dtypes of weights, as safetensors names them


def list_files(folder: Path, *, training: bool) -> dict[str, Path]:
    """Return the files of a checkpoint by their names relative to `folder`; those of training/ only where asked.

    Raises CheckpointError for a FIFO, a device or a socket, for a symbolic link that leads out of the folder (unless
    to a blob of the same repository in Hugging Face's cache), and for a file other than a .safetensors that is larger
    than MOST_BYTES.
    """
    try:
        root = Path(os.path.realpath(folder, strict=True))
        names = sorted(entry.name for entry in root.iterdir() if entry.name != TRAINING)
        if training:
            names += sorted(f"{TRAINING}/{entry.name}" for entry in (root / TRAINING).iterdir())
    except OSError as error:
        raise CheckpointError(f"the folder cannot be read: {error.strerror}", where=folder, fix=DAMAGED) from None
    return {name: folder / name for name in names if _is_file(folder / name, root)}


def _is_file(path: Path, root: Path) -> bool:
    """Return whether it is a file, not a folder. Raises CheckpointError where it must not be read."""
    try:
        target = Path(os.path.realpath(path, strict=True))  # Path.resolve raises RuntimeError for a loop
        found = target.stat()
    except OSError as error:
        raise CheckpointError(f"the file cannot be read: {error.strerror}", where=path, fix=DAMAGED) from None
    if stat.S_ISDIR(found.st_mode):
        return False
    if not target.is_relative_to(root) and not _is_blob(target, found, root):
        raise CheckpointError(
            "this is a symbolic link that leads out of the checkpoint's folder",
            where=path,
            fix=f"if you trust it, copy the folder with the files themselves: "
            f"`{shlex.join(['cp', '-rL', str(path.parent), 'COPY'])}`",
        )
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(
            "this is not a regular file", where=path, fix="do not use this checkpoint, or delete the file"
        )
    most = MOST_SUMS if path.name == SUMS else MOST_BYTES
    if found.st_size > most and path.suffix != TENSORS:
        raise CheckpointError(
            f"the file has {found.st_size:,} bytes, and {most:,} are the most for such a file", where=path, fix=DAMAGED
        )
    return True


def _is_blob(target: Path, found: os.stat_result, root: Path) -> bool:
    """Return whether it is a blob of the repository in Hugging Face's cache that `root` is a snapshot of, or lies in.

    The cache has `blobs/HASH` next to `snapshots/REVISION/`. The file must belong to the owner of `root` or to this
    user.
    """
    snapshots = next((parent for parent in root.parents if parent.name == "snapshots"), None)
    if snapshots is None or target.parent != snapshots.with_name("blobs") or not stat.S_ISREG(found.st_mode):
        return False
    owners = {root.stat().st_uid}
    if hasattr(os, "geteuid"):
        owners.add(os.geteuid())
    return found.st_uid in owners


def compute_sum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_sums(folder: Path, files: Mapping[str, Path], *, wanted: Callable[[str], bool]) -> None:
    """Compare the files whose names are `wanted` with SHA256SUMS, which old checkpoints lack.

    files: what `list_files` returned. Raises CheckpointError.
    """
    if SUMS not in files:
        return
    for name, expected in _read_sums(files[SUMS]).items():
        if not wanted(name):
            continue
        if name not in files:
            raise CheckpointError(
                f"the file cannot be read: {SUMS} names it, and the folder has no such file",
                where=folder / name,
                fix=DAMAGED,
            )
        try:
            found = compute_sum(files[name])
        except OSError as error:
            raise CheckpointError(
                f"the file cannot be read: {error.strerror}", where=folder / name, fix=DAMAGED
            ) from None
        if found != expected:
            raise CheckpointError(
                f"the file is not as it was written, by {SUMS}",
                where=folder / name,
                fix=f"{DAMAGED}; if the file was changed on purpose, delete {SUMS}",
            )


def _read_sums(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None
    if not re.fullmatch(r"([0-9a-f]{64}  .+\n)+", text):
        raise CheckpointError("the file is no list of sums", where=path, fix=DAMAGED)
    return {name: expected for expected, _, name in (line.partition("  ") for line in text.splitlines())}


def named_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return parameters and persistent buffers by name; one that has several names under the first."""
    weights: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            weights[name] = tensor
    return weights


def build_if_shapes_fit(config: ModelConfig, vocabularies: VocabularySizes, path: Path) -> Seq2Seq:
    """Build the model of `config` if the header of the weights at `path` has just its names and shapes.

    The model gets fresh weights. The caller's random numbers stay as they are. Raises CheckpointError otherwise,
    before memory is allocated.
    """
    shapes = _read_shapes(path)
    layers = sum(_layers_in(name, value) for name, value in config)
    if layers > max(len(shapes), FEW_LAYERS):  # before as many modules are made
        raise _misfit(path, [f"config.json has {layers:,} layers, and the file only {len(shapes):,} tensors"])
    with torch.random.fork_rng(devices=[]):
        wanted = named_weights(build_on_meta(config, vocabularies))
        wrong = [
            *(f"{name} is missing" for name in wanted.keys() - shapes.keys()),
            *(f"{name} is not of this model" for name in shapes.keys() - wanted.keys()),
            *(
                f"{name} is {shapes[name]} and should be {list(wanted[name].shape)}"
                for name in wanted.keys() & shapes.keys()
                if shapes[name] != list(wanted[name].shape)
            ),
        ]
        if wrong:
            raise _misfit(path, wrong)
        return build_model(config, vocabularies)


def _layers_in(name: str, value: object) -> int:
    """Return how many layers a field of a model's config asks for; 0 for other fields."""
    if isinstance(value, int) and name.endswith(("layers", "blocks")):
        return value
    return len(value) if isinstance(value, tuple) else 0


def _read_shapes(path: Path) -> dict[str, list[int]]:
    """Return the shape of each tensor by name, from the header alone. Raises CheckpointError."""
    shapes: dict[str, list[int]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                tensor = file.get_slice(name)
                if tensor.get_dtype() not in FLOATS:
                    raise CheckpointError(
                        f"{name} has the dtype {tensor.get_dtype()}, and weights are one of {', '.join(FLOATS)}",
                        where=path,
                        fix=DAMAGED,
                    )
                shapes[name] = list(tensor.get_shape())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None
    return shapes


def _misfit(path: Path, wrong: Iterable[str], most: int = 4) -> CheckpointError:
    shown = sorted(wrong)
    more = f", and {len(shown) - most} more" if len(shown) > most else ""
    return CheckpointError(
        f"the weights do not fit the model: {', '.join(shown[:most])}{more}", where=path, fix=DAMAGED
    )
