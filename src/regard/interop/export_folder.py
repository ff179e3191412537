"""Write the folder of an export completely or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.config.schema import ModelConfig
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import atomic_folder, remove_leftovers


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `out` when the block ends without an error.

    Remove leftovers of killed processes first.

    Raises:
        CheckpointError: `out` is a file or a folder that is not empty, or it cannot be written.
    """
    out = Path(os.path.realpath(out))
    problem, fix = "the folder cannot be written", "choose another folder, or free disk space"
    with raise_on_os_error(CheckpointError, problem, where=out, fix=fix):
        remove_leftovers(out)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CheckpointError(
                "the path exists already and is not an empty folder", where=out, fix="choose a new folder"
            )
        with atomic_folder(out) as temporary:
            yield temporary


def refuse_copying(config: ModelConfig, where: str) -> None:
    """Raise CheckpointError if a model copies source tokens, for a format that has no such layer.

    Args:
        config: The [model] section of the run.
        where: The format, for the message.
    """
    if config.copies_source:
        raise CheckpointError(
            "the model copies source tokens (`model.copy_attention`), which this format does not support",
            where=where,
            fix="export to ONNX, or train with --set model.copy_attention=false",
        )


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one JSON object, indented."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
