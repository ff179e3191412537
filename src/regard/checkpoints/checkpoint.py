"""A checkpoint: a folder that needs nothing outside it, written whole or not at all.

    config.json          format, version of regard, recipe, sizes of the vocabularies, data fingerprint, step
    metrics.json         what validation found
    model.safetensors    the weights, a shared one under the first of its names
    (tokenizer files)    as regard.tokenizers.base.Tokenizers saves them
    training/            state.safetensors and state.json, only for going on with training
    SHA256SUMS           of every other file, as `sha256sum --check` reads them; compared when the checkpoint is read

No file of it is a pickle: loading one never runs code.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from regard.checkpoints.untrusted_files import (
    DAMAGED,
    SUMS,
    TRAINING,
    build_if_shapes_fit,
    compute_sum,
    list_files,
    named_weights,
    verify_sums,
)
from regard.config.recipe import parse_config, to_table
from regard.config.schema import RunConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import CheckpointError, RegardError
from regard.files import read_regular_file, sync
from regard.models import ARCHITECTURES
from regard.tokenizers.base import Tokenizers
from regard.training.state import TrainingState
from regard.version import __version__

FORMAT = 1
WEIGHTS = "model.safetensors"


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
    _write_tensors(folder / WEIGHTS, named_weights(contents.model))
    if training is not None:
        (folder / TRAINING).mkdir()
        _write_json(folder / TRAINING / "state.json", training.values)
        _write_tensors(folder / TRAINING / "state.safetensors", training.tensors)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = "".join(f"{compute_sum(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    (folder / SUMS).write_text(sums, encoding="utf-8")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.touch()
    mode = path.stat().st_mode  # safetensors makes files that none but their owner can read
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(mode)


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(Path(parent) / name)
        sync(Path(parent))


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
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; its model is on the CPU and in eval mode.

    Nothing in the folder is trusted: see regard.checkpoints.untrusted_files. Raises CheckpointError if the folder is no
    checkpoint, is damaged, holds weights that are not finite, or comes from a later regard.
    """
    header = _read_header(folder)
    files = list_files(folder, training=False)
    verify_sums(folder, files, wanted=lambda name: not name.startswith(f"{TRAINING}/") and name != WEIGHTS)
    config = _config(header, folder)
    where = folder / "config.json"
    try:
        vocabularies = VocabularySizes(**header["vocabularies"])
        step, data = _step(header), str(header["data"])
        tokenizers = Tokenizers.load(folder)
        if _sizes(tokenizers) != vocabularies:
            raise CheckpointError("the tokenizer is not the one it was trained with", where=folder, fix=DAMAGED)
    except CheckpointError:
        raise
    except RegardError as error:
        raise CheckpointError(error.what, where=error.where, fix=DAMAGED) from None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the header lacks something: {error!r}", where=where, fix=DAMAGED) from None
    metrics = _read_json(folder / "metrics.json")
    model = build_if_shapes_fit(config.model, vocabularies, folder / WEIGHTS)
    verify_sums(folder, files, wanted=lambda name: name == WEIGHTS)
    _load_weights(model, folder / WEIGHTS)
    return Checkpoint(config, tokenizers, model.eval(), step, data, metrics, _several_sentences(header))


def _step(header: Mapping[str, Any]) -> int:
    step = int(header["step"])
    if step < 0:
        raise ValueError(f"step is {step}")
    return step


def load_config(folder: Path) -> RunConfig:
    """The recipe of a checkpoint alone. Raises CheckpointError."""
    return _config(_read_header(folder), folder)


def load_several_sentences(folder: Path) -> float | None:
    """Return the share of training sources that hold more than one sentence; None: not recorded. See Checkpoint."""
    return _several_sentences(_read_header(folder))


def _several_sentences(header: Mapping[str, Any]) -> float | None:
    share = header.get("several_sentences")
    return float(share) if isinstance(share, (int, float)) else None


def load_fingerprint(folder: Path) -> str:
    """The fingerprint of the data that a checkpoint was trained on. Raises CheckpointError."""
    return str(_read_header(folder).get("data", ""))


def _config(header: Mapping[str, Any], folder: Path) -> RunConfig:
    try:
        return parse_config(header["recipe"], ARCHITECTURES, where=str(folder / "config.json"))
    except RegardError as error:
        raise CheckpointError(error.what, where=error.where, fix=DAMAGED) from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the header lacks something: {error!r}", where=folder / "config.json", fix=DAMAGED
        ) from None


def _sizes(tokenizers: Tokenizers) -> VocabularySizes:
    return VocabularySizes(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)


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
    verify_sums(folder, list_files(folder, training=True), wanted=lambda name: True)
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
        value = json.loads(read_regular_file(path).decode())
    except (OSError, ValueError, RecursionError) as error:
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
    """Copy the weights into a model of the same names and shapes. Raises CheckpointError where one is not finite."""
    given = _read_tensors(path)
    with torch.no_grad():
        for name, tensor in named_weights(model).items():
            if not given[name].isfinite().all():
                raise CheckpointError(
                    f"{name} holds NaN or infinite values: the weights have probably diverged in training",
                    where=path,
                    fix="load an earlier checkpoint of the run, or train again with a lower train.learning_rate",
                )
            tensor.copy_(given[name])
