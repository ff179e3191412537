"""Write scalars and notices to TensorBoard event files.

torch.utils.tensorboard writes in a background thread, which reopens the file at each flush and prints a traceback if
that fails. This module writes in the training thread, so that errors can be handled.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.training.training_log import LOG_EVERY, Reporter, StepMetrics


class TensorBoard(Reporter):
    """Reports to event files in `RUN/tensorboard`."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        """Start a new event file; TensorBoard then hides older entries after the step `resumed_at`. Raises OSError."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # slow to import
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event: Any = Event
        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._records: Any = RecordWriter((folder / name).open("wb"))
        self._write(file_version="brain.Event:2")
        if resumed_at:  # TensorBoard hides entries from the step of a session start on
            self._write(session_log=SessionLog(status=SessionLog.START), step=resumed_at + 1)

    def _write(self, **values: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **values).SerializeToString())
        self._records.flush()

    def on_step(self, metrics: StepMetrics) -> None:
        """Write loss, speed and learning rate every LOG_EVERY steps."""
        if metrics.step % LOG_EVERY == 0:
            names = ("loss", "tokens_per_second", "learning_rate")
            self._add_scalars("train", {name: getattr(metrics, name) for name in names}, metrics.step)

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Write the dev scores."""
        self._add_scalars("dev", scores, step)

    def _add_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        from torch.utils.tensorboard.summary import scalar

        for name, value in scalars.items():
            self._write(summary=scalar(f"{group}/{name}", value), step=step)

    def on_notice(self, step: int, text: str) -> None:
        """Write the notice as text."""
        from torch.utils.tensorboard.summary import text as text_summary

        self._write(summary=text_summary("notice", text), step=step)

    def close(self) -> None:
        """Close the file."""
        self._records.close()
