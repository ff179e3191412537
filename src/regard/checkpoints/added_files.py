"""Files that are added to a complete checkpoint, such as what a command has learned for it.

An added file is listed in SHA256SUMS like all others. It is not used if it is not listed, because then it was left
over from another checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.checkpoints.untrusted_files import DAMAGED, SUMS, compute_sum, list_files, read_sums, verify_sums
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import read_regular_file, write_atomic

MAX_BYTES = 1 << 20


def add_json(folder: Path, name: str, table: Mapping[str, Any]) -> Path:
    """Add a file to a checkpoint, or replace it, and return its path.

    SHA256SUMS first lists the file no more, and then the new file: whenever this is interrupted, the checkpoint loads.
    Raises CheckpointError.
    """
    path = folder / name
    with raise_on_os_error(
        CheckpointError, "it cannot be written", where=path, fix="make sure that the folder is writable"
    ):
        files = list_files(folder, training=False)
        sums = read_sums(files[SUMS]) if SUMS in files else {}
        listed = sums.pop(name, None)
        if listed is not None:
            _write_sums(folder, sums)
        write_atomic(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
        if sums:
            _write_sums(folder, {**sums, name: compute_sum(path)})
    return path


def read_json(folder: Path, name: str) -> dict[str, Any] | None:
    """Return what `add_json` has added to a checkpoint; None if there is no such file. The folder is not trusted.

    Raises:
        CheckpointError: The file is damaged, or must not be read.
    """
    files = list_files(folder, training=False)
    if name not in files or (SUMS in files and name not in read_sums(files[SUMS])):
        return None
    verify_sums(folder, files, is_checked=lambda file: file == name)
    try:
        table = json.loads(read_regular_file(files[name], MAX_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=files[name], fix=DAMAGED) from None
    if not isinstance(table, dict):
        raise CheckpointError("the file is not a JSON object", where=files[name], fix=DAMAGED)
    return table


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    write_atomic(folder / SUMS, "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))
