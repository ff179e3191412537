"""Who is told how training goes: a JSONL file, TensorBoard, a terminal (regard.training.console)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from regard.errors import CheckpointError

EVERY = 20  # steps between two lines of a log
MAKE_ROOM = "the last checkpoint is whole: make room on the disk, then go on with `regard train --resume`"


@dataclass(frozen=True)
class Progress:
    """How far training is: loss in nats a target token, speed in target tokens a second, padding left out."""

    step: int
    max_steps: int
    epoch: int
    loss: float
    tokens_per_second: float
    learning_rate: float
    seconds: float
    seconds_left: float  # at most; patience may end it earlier


class Reporter(Protocol):
    """Told after every step and every checkpoint."""

    def on_step(self, progress: Progress) -> None:
        """After a step."""

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """After a checkpoint with its dev scores."""

    def on_notice(self, step: int, text: str) -> None:
        """What a person should know: a batch that did not fit, a gradient that is no number."""

    def close(self) -> None:
        """When training is over."""


class JsonLines:
    """`log.jsonl`: an object a line, of a step, a checkpoint or a notice; those after `resumed_at` are taken back."""

    def __init__(self, path: Path, resumed_at: int = 0, judged: int = 0) -> None:
        """judged: the last step whose checkpoint counts; one that was saved as it was may be judged again."""
        if path.exists():
            _keep_up_to(path, resumed_at, judged)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def on_step(self, progress: Progress) -> None:
        """Every so many steps."""
        if progress.step % EVERY == 0:
            self._write({"kind": "step", **asdict(progress)})

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Each checkpoint."""
        self._write({"kind": "checkpoint", "step": step, "best": best, **scores})

    def on_notice(self, step: int, text: str) -> None:
        """Each."""
        self._write({"kind": "notice", "step": step, "text": text})

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"the log cannot be written: {error.strerror}", where=self._file.name, fix=MAKE_ROOM
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _keep_up_to(path: Path, step: int, judged: int) -> None:
    """Drop what a killed run logged after the checkpoint that it is resumed from, and judgements that do not count."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # a line cut short by the kill
        if entry["step"] <= (judged if entry["kind"] == "checkpoint" else step):
            kept.append(line + "\n")
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)


class TensorBoard:
    """Scalars under `RUN/tensorboard`."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self._writer: Any = SummaryWriter(str(folder), purge_step=resumed_at or None)

    def on_step(self, progress: Progress) -> None:
        """Every so many steps."""
        if progress.step % EVERY == 0:
            for name in ("loss", "tokens_per_second", "learning_rate"):
                self._writer.add_scalar(f"train/{name}", getattr(progress, name), progress.step)

    def on_checkpoint(self, step: int, scores: Mapping[str, float], best: bool) -> None:
        """Each checkpoint."""
        for name, value in scores.items():
            self._writer.add_scalar(f"dev/{name}", value, step)

    def on_notice(self, step: int, text: str) -> None:
        """As text."""
        self._writer.add_text("notice", text, step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
