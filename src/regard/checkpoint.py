"""A checkpoint: a folder that needs nothing outside it, written whole or not at all.

    config.json          format, version of regard, recipe, sizes of the vocabularies, data fingerprint, step
    metrics.json         what validation found
    model.safetensors    the weights, a shared one under the first of its names
    (tokenizer files)    as regard.text.tokenizer.Tokenizers saves them
    training/            state.safetensors and state.json, only for going on with training
    SHA256SUMS           of every other file, as `sha256sum --check` reads them; compared when the checkpoint is read

No file of it is a pickle: loading one never runs code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from regard.config import RunConfig, parse_config, to_table
from regard.contract import Seq2Seq, Vocabularies
from regard.errors import CheckpointError, RegardError
from regard.models import ARCHITECTURES, build_model
from regard.text.tokenizer import Tokenizers
from regard.training.state import TrainingState
from regard.version import __version__

FORMAT = 1
SUMS = "SHA256SUMS"
TRAINING = "training"
DAMAGED = "the folder is damaged: load another checkpoint of the run"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    metrics: JSON values by name.
    data: the fingerprint of the pairs it was trained on.
    several_sentences: the share of training sources that hold more than one sentence; None where it is not known.
    """

    config: RunConfig
    tokenizers: Tokenizers
    model: Seq2Seq
    step: int
    data: str
    metrics: Mapping[str, Any]
    several_sentences: float | None = None


def save_checkpoint(folder: Path, contents: Checkpoint, training: TrainingState | None = None) -> None:
    """Write `folder`: under a temporary name beside it, synced to the disk, and renamed.

    A checkpoint of that name is replaced. Raises CheckpointError if the disk does not take it;
    what was there before is whole then, and the temporary folder is gone.
    """
    temporary = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write(temporary, contents, training)
        _sync_tree(temporary)
        _move_into_place(temporary, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"the checkpoint could not be written: {reason}",
            where=folder,
            fix="the checkpoint before it, if there was one, is whole: make room on the disk, "
            "then go on with `regard train --resume`",
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, contents: Checkpoint, training: TrainingState | None) -> None:
    header = {
        "format": FORMAT,
        "regard": __version__,
        "recipe": to_table(contents.config),
        "vocabularies": asdict(_sizes(contents.tokenizers)),
        "data": contents.data,
        "step": contents.step,
    }
    if contents.several_sentences is not None:
        header["several_sentences"] = contents.several_sentences
    _write_json(folder / "config.json", header)
    _write_json(folder / "metrics.json", dict(contents.metrics))
    contents.tokenizers.save(folder)
    _write_tensors(folder / "model.safetensors", _weights(contents.model))
    if training is not None:
        (folder / TRAINING).mkdir()
        _write_json(folder / TRAINING / "state.json", training.values)
        _write_tensors(folder / TRAINING / "state.safetensors", training.tensors)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = "".join(f"{_sum(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    (folder / SUMS).write_text(sums, encoding="utf-8")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(folder: Path, *, training: bool) -> None:
    """Compare the files with their sums, those of `training/` too where asked. Checkpoints from before have none."""
    path = folder / SUMS
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None
    if not re.fullmatch(r"([0-9a-f]{64}  .+\n)+", text):
        raise CheckpointError("the file is no list of sums", where=path, fix=DAMAGED)
    for line in text.splitlines():
        wanted, _, name = line.partition("  ")
        if name.startswith(f"{TRAINING}/") and not training:
            continue
        try:
            found = _sum(folder / name)
        except OSError as error:
            raise CheckpointError(
                f"the file cannot be read: {error.strerror}", where=folder / name, fix=DAMAGED
            ) from None
        if found != wanted:
            raise CheckpointError(
                f"the file is not as it was written, by {SUMS}",
                where=folder / name,
                fix=f"{DAMAGED}; if the file was changed on purpose, delete {SUMS}",
            )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.touch()
    mode = path.stat().st_mode  # safetensors makes files that none but their owner can read
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(mode)


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; one that has several names under the first."""
    weights: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            weights[name] = tensor
    return weights


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent) / name)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(temporary: Path, folder: Path) -> None:
    old = temporary.with_name(f"{temporary.name}-old")  # RunFolder.lock puts it back after a kill between the two
    replacing = folder.exists()
    if replacing:
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if replacing:
            old.rename(folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; its model is on the CPU and in eval mode.

    Raises CheckpointError if the folder is no checkpoint, is damaged, or comes from a later regard.
    """
    header = _read_header(folder)
    _verify(folder, training=False)
    config = _config(header, folder)
    where = folder / "config.json"
    try:
        vocabularies = Vocabularies(**header["vocabularies"])
        step, data = int(header["step"]), str(header["data"])
        tokenizers = Tokenizers.load(folder)
        if _sizes(tokenizers) != vocabularies:
            raise CheckpointError("the tokenizer is not the one it was trained with", where=folder, fix=DAMAGED)
    except CheckpointError:
        raise
    except RegardError as error:
        raise CheckpointError(error.what, where=error.where, fix=DAMAGED) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the header lacks something: {error!r}", where=where, fix=DAMAGED) from None
    with torch.random.fork_rng(devices=[]):  # the fresh weights are thrown away: draw nothing for them
        model = build_model(config.model, vocabularies)
    _load_weights(model, folder / "model.safetensors")
    metrics = _read_json(folder / "metrics.json")
    return Checkpoint(config, tokenizers, model.eval(), step, data, metrics, _several_sentences(header))


def load_config(folder: Path) -> RunConfig:
    """The recipe of a checkpoint alone. Raises CheckpointError."""
    return _config(_read_header(folder), folder)


def load_several_sentences(folder: Path) -> float | None:
    """Return the share of training sources that hold more than one sentence; None: not recorded. See Checkpoint."""
    return _several_sentences(_read_header(folder))


def _several_sentences(header: Mapping[str, Any]) -> float | None:
    share = header.get("several_sentences")
    return float(share) if isinstance(share, (int, float)) else None


def _config(header: Mapping[str, Any], folder: Path) -> RunConfig:
    try:
        return parse_config(header["recipe"], ARCHITECTURES, where=str(folder / "config.json"))
    except RegardError as error:
        raise CheckpointError(error.what, where=error.where, fix=DAMAGED) from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the header lacks something: {error!r}", where=folder / "config.json", fix=DAMAGED
        ) from None


def _sizes(tokenizers: Tokenizers) -> Vocabularies:
    return Vocabularies(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)


def load_training_state(folder: Path) -> TrainingState:
    """What `save_checkpoint` was given to go on with.

    Raises CheckpointError if it was given nothing, or if any file of the checkpoint is damaged.
    """
    _read_header(folder)
    place = folder / TRAINING
    if not place.is_dir():
        raise CheckpointError(
            "the checkpoint translates but holds no state of training",
            where=folder,
            fix="resume from the run's last checkpoint",
        )
    _verify(folder, training=True)
    return TrainingState(_read_tensors(place / "state.safetensors"), _read_json(place / "state.json"))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            "this is no checkpoint: there is no config.json in it" if folder.is_dir() else "there is no such folder",
            where=folder,
            fix="give a checkpoint's folder, such as RUN/best or RUN/checkpoints/step-000500",
        )
    header = _read_json(path)
    known = header.get("format")
    if not isinstance(known, int) or "recipe" not in header:
        raise CheckpointError("this config.json is not one of regard's", where=path, fix="give a checkpoint's folder")
    if known > FORMAT:
        writer = header.get("regard", "of a later version")
        raise CheckpointError(
            f"the checkpoint was written by regard {writer} in format {known};"
            f" this is regard {__version__}, which reads formats up to {FORMAT}",
            where=path,
            fix=f"upgrade regard to {writer} or later",
        )
    return header


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None
    if not isinstance(value, dict):
        raise CheckpointError("the file is no JSON object", where=path, fix=DAMAGED)
    return value


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None


def _load_weights(model: Seq2Seq, path: Path) -> None:
    wanted, given = _weights(model), _read_tensors(path)
    wrong = [
        *(f"{name} is missing" for name in wanted.keys() - given.keys()),
        *(f"{name} is not of this model" for name in given.keys() - wanted.keys()),
        *(
            f"{name} is {list(given[name].shape)} and should be {list(wanted[name].shape)}"
            for name in wanted.keys() & given.keys()
            if wanted[name].shape != given[name].shape
        ),
    ]
    if wrong:
        raise CheckpointError(f"the weights do not fit the model: {_some(sorted(wrong))}", where=path, fix=DAMAGED)
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(given[name])


def _some(items: Iterable[str], most: int = 4) -> str:
    shown = list(items)
    more = f", and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
