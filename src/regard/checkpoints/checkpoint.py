"""Save and load checkpoints: self-contained folders, written atomically.

    config.json          format, version of regard, recipe, vocabulary sizes, data fingerprint, step
    metrics.json         the dev scores
    model.safetensors    the weights; a shared weight is stored once, under its first name
    (tokenizer files)    as saved by regard.tokenizers.base.Tokenizers
    training/            state.safetensors and state.json, needed only to resume training
    SHA256SUMS           checksums of all other files, in the format of `sha256sum --check`; verified when loading

No file is a pickle: loading a checkpoint never runs code from it. It may name plugins that it needs. One that is
installed is imported; a file has to be loaded by `--plugin` or `regard.load_plugin` before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from regard.config.migrations import fill_added_keys
from regard.config.recipe import parse_config, to_portable_table
from regard.config.schema import RunConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.errors import CheckpointError, PluginError, RegardError
from regard.files import atomic_folder, read_regular_file
from regard.models import ARCHITECTURES
from regard.tokenizers.base import Tokenizers
from regard.training.state import TrainingState
from regard.version import __version__

FORMAT = 2
"""The format of new checkpoints. Earlier formats are read, too.

In format 2, keys of [model] have new names (see regard.config.migrations).
"""
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint.

    Attributes:
        config: The recipe of the run.
        tokenizers: The tokenizers of both sides.
        model: The model.
        step: The number of training steps.
        data: The fingerprint of the training data.
        metrics: The dev scores, JSON values by name.
        several_sentences: The share of training sources with more than one sentence; None if it is not known.
    """

    config: RunConfig
    tokenizers: Tokenizers
    model: Seq2Seq
    step: int
    data: str
    metrics: Mapping[str, Any]
    several_sentences: float | None = None


def vocabulary_sizes(tokenizers: Tokenizers) -> VocabularySizes:
    """Return the sizes of the vocabularies that a model of these tokenizers has."""
    return VocabularySizes(tokenizers.source.size, tokenizers.target.size, tokenizers.joint)


def save_checkpoint(folder: Path, contents: Checkpoint, training: TrainingState | None = None) -> None:
    """Write a checkpoint atomically; an existing one is replaced.

    Raises:
        CheckpointError: If it cannot be written. An existing checkpoint is then unchanged.
    """
    try:
        with atomic_folder(folder) as temporary:
            _write(temporary, contents, training)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"the checkpoint could not be written: {reason}",
            where=folder,
            fix="earlier checkpoints are complete: free some disk space, then run `regard train --resume`",
        ) from None


def _write(folder: Path, contents: Checkpoint, training: TrainingState | None) -> None:
    header = {
        "format": FORMAT,
        "regard": __version__,
        "recipe": to_portable_table(contents.config),
        "vocabularies": asdict(vocabulary_sizes(contents.tokenizers)),
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
    mode = path.stat().st_mode  # safetensors creates files that only their owner can read
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(mode)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Load a checkpoint; the model is on the CPU and in eval mode.

    The folder is not trusted: see regard.checkpoints.untrusted_files. Plugins that only training needs may be missing.

    Raises:
        CheckpointError: If the folder is not a checkpoint, is damaged, contains non-finite weights, or was written by
            a later version of regard.
        PluginError: If it needs a plugin that is neither loaded nor installed.
    """
    header = _read_header(folder)
    files = list_files(folder, training=False)
    verify_sums(folder, files, is_checked=lambda name: not name.startswith(f"{TRAINING}/") and name != WEIGHTS)
    config = _config(header, folder)
    with _raise_on_invalid_value(folder):
        vocabularies = VocabularySizes(**header["vocabularies"])
        step, data = _step(header), str(header["data"])
        tokenizers = Tokenizers.load(folder)
        if vocabulary_sizes(tokenizers) != vocabularies:
            raise CheckpointError("the tokenizer does not fit the model", where=folder, fix=DAMAGED)
    metrics = _read_json(folder / "metrics.json")
    model = build_if_shapes_fit(config.model, vocabularies, folder / WEIGHTS)
    verify_sums(folder, files, is_checked=lambda name: name == WEIGHTS)
    _load_weights(model, folder / WEIGHTS)
    return Checkpoint(config, tokenizers, model.eval(), step, data, metrics, _several_sentences(header))


def _step(header: Mapping[str, Any]) -> int:
    step = int(header["step"])
    if step < 0:
        raise ValueError(f"step is {step}")
    return step


def load_config(folder: Path, *, for_training: bool = False) -> RunConfig:
    """Load only the recipe of a checkpoint; with `for_training`, with all plugins that it names.

    Raises CheckpointError and PluginError, as `load_checkpoint` does.
    """
    return _config(_read_header(folder), folder, for_training=for_training)


def load_sizes(folder: Path) -> tuple[int, VocabularySizes]:
    """Load only the number of training steps and the sizes of the vocabularies. Raises CheckpointError."""
    header = _read_header(folder)
    with _raise_on_invalid_value(folder):
        return _step(header), VocabularySizes(**header["vocabularies"])


def load_several_sentences(folder: Path) -> float | None:
    """Load only `Checkpoint.several_sentences`. Raises CheckpointError."""
    return _several_sentences(_read_header(folder))


def _several_sentences(header: Mapping[str, Any]) -> float | None:
    share = header.get("several_sentences")
    return float(share) if isinstance(share, (int, float)) else None


def load_metrics(folder: Path) -> dict[str, Any]:
    """Load only the dev scores of a checkpoint. Raises CheckpointError."""
    return _read_json(folder / "metrics.json")


def load_fingerprint(folder: Path) -> str:
    """Load only the fingerprint of the training data. Raises CheckpointError."""
    return str(_read_header(folder).get("data", ""))


def _config(header: Mapping[str, Any], folder: Path, *, for_training: bool = False) -> RunConfig:
    with _raise_on_invalid_value(folder):
        recipe = fill_added_keys(header["recipe"])
        return parse_config(recipe, ARCHITECTURES, where=str(folder / "config.json"), for_training=for_training)


@contextmanager
def _raise_on_invalid_value(folder: Path) -> Iterator[None]:
    """Turn an error about a value of config.json into a CheckpointError; a missing plugin is not damage."""
    try:
        yield
    except (CheckpointError, PluginError):
        raise
    except RegardError as error:
        raise CheckpointError(error.message, where=error.where, fix=DAMAGED) from None
    except (KeyError, TypeError, ValueError) as error:
        where = folder / "config.json"
        raise CheckpointError(f"a value is missing or invalid: {error!r}", where=where, fix=DAMAGED) from None


def load_training_state(folder: Path) -> TrainingState:
    """Load the training state of a checkpoint.

    Raises:
        CheckpointError: If the checkpoint has none, or if any file of the checkpoint is damaged.
    """
    _read_header(folder)
    training = folder / TRAINING
    if not training.is_dir():
        raise CheckpointError(
            "the checkpoint has no training state: it can translate, but not be resumed",
            where=folder,
            fix="resume from the last checkpoint of the run",
        )
    verify_sums(folder, list_files(folder, training=True), is_checked=lambda name: True)
    return TrainingState(_read_tensors(training / "state.safetensors"), _read_json(training / "state.json"))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            "this is not a checkpoint: it contains no config.json" if folder.is_dir() else "there is no such folder",
            where=folder,
            fix="give a checkpoint's folder, such as RUN/best or RUN/checkpoints/step-000500",
        )
    header = _read_json(path)
    version = header.get("format")
    if not isinstance(version, int) or "recipe" not in header:
        raise CheckpointError(
            "this config.json was not written by regard", where=path, fix="give a checkpoint's folder"
        )
    if version > FORMAT:
        writer = header.get("regard", "of a later version")
        raise CheckpointError(
            f"the checkpoint was written by regard {writer} in format {version};"
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
        raise CheckpointError("the file is not a JSON object", where=path, fix=DAMAGED)
    return value


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=DAMAGED) from None


def _load_weights(model: Seq2Seq, path: Path) -> None:
    """Copy the weights into a model of the same names and shapes. Raises CheckpointError if one is not finite."""
    tensors = _read_tensors(path)
    with torch.no_grad():
        for name, tensor in named_weights(model).items():
            if not tensors[name].isfinite().all():
                raise CheckpointError(
                    f"{name} contains NaN or infinite values: training has probably diverged",
                    where=path,
                    fix="load an earlier checkpoint of the run, or train again with a lower train.learning_rate",
                )
            tensor.copy_(tensors[name])
