"""Marian, run by the command-line program in the pymarian wheel.

With --disp-label-counts, Marian logs the number of target labels of each update, with the ends of sentences and without
padding. Its --mini-batch-words counts source words, not target words. Several threads share each update (--sync-sgd),
each with a separate graph.
"""

from __future__ import annotations

import re
from pathlib import Path

from peers import task
from peers.work import LogEntry, System, Work

UPDATE = re.compile(r"Up\. \d+ .* Cost \S+ \* ([\d,]+) ")


def _command(python: Path, work: Work, folder: Path) -> list[str]:
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("\n".join(["</s>", "<unk>", *work.tokens]) + "\n", encoding="utf-8")
    options: dict[str, object] = {
        "type": "transformer",
        "model": folder / "model.npz",
        "tempdir": folder,
        "train-sets": [work.text("train", task.SOURCE), work.text("train", task.TARGET)],
        "vocabs": [vocabulary, vocabulary],
        "max-length": 256,
        "cpu-threads": work.threads,
        "seed": 1,
        "mini-batch": 1000,
        "mini-batch-words": task.BATCH,
        "mini-batch-round-up": "false",
        "maxi-batch": 1000,
        "enc-depth": task.LAYERS,
        "dec-depth": task.LAYERS,
        "dim-emb": task.WIDTH,
        "transformer-dim-ffn": task.INNER,
        "transformer-heads": task.HEADS,
        "transformer-ffn-activation": "relu",
        "transformer-dropout": task.DROPOUT,
        "label-smoothing": task.SMOOTHING,
        "optimizer": "adam",
        "optimizer-params": [*task.BETAS, 1e-9],
        "learn-rate": task.RATE,
        "lr-warmup": task.WARM_UP,
        "lr-decay-inv-sqrt": task.WARM_UP,
        "clip-norm": task.CLIP,
        "disp-freq": "1u",
        "disp-label-counts": "true",
        "save-freq": f"{task.ENDLESS}u",
    }
    single_threaded = ["env", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1"]  # in each of its threads
    switches = ["--tied-embeddings-all", "--output-omit-bias", "--sync-sgd"]
    command = [*single_threaded, str(python.with_name("pymarian")), "train", *switches]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name}", *map(str, values)]
    return command


def _parse_line(line: str) -> LogEntry | None:
    match = UPDATE.search(line)
    return LogEntry(tokens=int(match[1].replace(",", ""))) if match else None


MARIAN = System("Marian", _command, _parse_line, installs=(("pymarian==1.12.42",),), torch=False)
