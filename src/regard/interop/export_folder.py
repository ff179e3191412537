"""The folder that an export is written into: whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.errors import CheckpointError
from regard.files import atomic_folder, remove_leftovers


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder to write into, beside `place`, which is renamed to it when all is written.

    What earlier processes that were killed have left beside it is removed. Raises CheckpointError where `place` is
    there and not empty, or the disk does not take it.
    """
    place = Path(os.path.realpath(place))
    try:
        remove_leftovers(place)
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise CheckpointError("there is something already", where=place, fix="name a folder that is not there yet")
        with atomic_folder(place) as temporary:
            yield temporary
    except OSError as error:
        raise CheckpointError(
            f"it cannot be written: {error.strerror or error}", where=place, fix="choose another folder, or make room"
        ) from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, readable."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
