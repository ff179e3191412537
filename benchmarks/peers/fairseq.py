"""fairseq, run by fairseq-train on raw text.

Its JSON log has the target tokens of each update as `wpb` (the log interval is 1), with the ends of sentences and
without padding. fairseq reports more parameters than it trains: its encoder has copies of some parameters for
inference, which have no gradient.
"""

from __future__ import annotations

import json
from pathlib import Path

from peers import task
from peers.work import LogEntry, System, Work

# Python 3.11 rejects dataclass instances without a hash as field defaults.
STARTUP = """
import dataclasses

def _hashable(cls, *arguments, _make=dataclasses._process_class, **options):
    result = _make(cls, *arguments, **options)
    if result.__hash__ is None:
        result.__hash__ = object.__hash__
    return result

dataclasses._process_class = _hashable
"""


def _command(python: Path, work: Work, folder: Path) -> list[str]:
    for language in (task.SOURCE, task.TARGET):
        for part, name in (("train", "train"), ("dev", "valid")):
            (folder / f"{name}.{task.SOURCE}-{task.TARGET}.{language}").symlink_to(work.text(part, language))
        entries = "".join(f"{token} 1\n" for token in work.tokens)
        (folder / f"dict.{language}.txt").write_text(entries, encoding="utf-8")
    options: dict[str, object] = {
        "source-lang": task.SOURCE,
        "target-lang": task.TARGET,
        "dataset-impl": "raw",
        "num-workers": 0,
        "arch": "transformer",
        "dropout": task.DROPOUT,
        "criterion": "label_smoothed_cross_entropy",
        "label-smoothing": task.SMOOTHING,
        "max-tokens": task.BATCH,
        "required-batch-size-multiple": 1,
        "optimizer": "adam",
        "adam-betas": str(task.BETAS),
        "adam-eps": 1e-9,
        "lr": task.RATE,
        "lr-scheduler": "inverse_sqrt",
        "warmup-updates": task.WARM_UP,
        "clip-norm": task.CLIP,
        "log-format": "json",
        "log-interval": 1,
    }
    for side in ("encoder", "decoder"):
        options |= {
            f"{side}-layers": task.LAYERS,
            f"{side}-embed-dim": task.WIDTH,
            f"{side}-ffn-embed-dim": task.INNER,
            f"{side}-attention-heads": task.HEADS,
        }
    switches = ["--cpu", "--share-all-embeddings", "--no-save", "--disable-validation"]
    pairs = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [str(python.with_name("fairseq-train")), str(folder), *switches, *pairs]


def _parse_line(line: str) -> LogEntry | None:
    _, _, fields = line.partition("| train_inner | ")
    return LogEntry(tokens=float(json.loads(fields)["wpb"])) if fields else None


FAIRSEQ = System("fairseq", _command, _parse_line, installs=(("pip<24.1",), ("fairseq==0.12.2",)), startup=STARTUP)
