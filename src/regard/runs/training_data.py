"""Find the prepared training data of a run."""

from __future__ import annotations

from pathlib import Path

from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.errors import DataError


def find_training_data(run: Path) -> Path:
    """Return the folder with the tokenizers and the store `train` of a run.

    Args:
        run: A run's folder, or a checkpoint in it.

    Raises:
        DataError: The run has no data, for example because it streamed its corpus or was copied without it.
        CheckpointError: `run` is neither a run nor a checkpoint.
    """
    folders = [run, resolve_checkpoint(run).resolve().parent.parent] if (run / "config.json").is_file() else [run]
    for folder in folders:
        data = RunFolder(folder).data
        if (data / "train.json").is_file():
            return data
    raise DataError(
        "the run has no training data",
        where=RunFolder(run).data,
        fix="give the folder of a run that was not streamed, with its data/",
    )
