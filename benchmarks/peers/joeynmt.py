"""JoeyNMT, run by `python -m joeynmt train`.

After each update it logs the target tokens per second since the previous update, with the ends of sentences and without
padding. This rate is multiplied by the time between the two lines. JoeyNMT does not group sentences by length, so its
batches contain much padding. It also applies dropout to attention weights.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from peers.work import (
    BATCH,
    BETAS,
    CLIP,
    DROPOUT,
    ENDLESS,
    HEADS,
    INNER,
    LAYERS,
    RATE,
    SMOOTHING,
    SOURCE,
    TARGET,
    WARM_UP,
    WIDTH,
    LogEntry,
    System,
    Work,
)

UPDATE = re.compile(r"Step: +\d+, Batch Loss: .* Tokens per Sec: +(\d+)")


def _command(python: Path, work: Work, folder: Path) -> list[str]:
    vocabulary = folder / "vocabulary"
    vocabulary.write_text("".join(f"{token}\n" for token in work.tokens), encoding="utf-8")
    text: dict[str, Any] = {"level": "word", "voc_file": str(vocabulary)}
    side: dict[str, Any] = {
        "type": "transformer",
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "embeddings": {"embedding_dim": WIDTH, "scale": True, "dropout": DROPOUT},
        "hidden_size": WIDTH,
        "ff_size": INNER,
        "dropout": DROPOUT,
        "layer_norm": "post",
    }
    config = {
        "name": "train_cpu",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(work.text("train", SOURCE).with_suffix("")),
            "dev": str(work.text("dev", SOURCE).with_suffix("")),
            "dataset_type": "plain",
            "src": {"lang": SOURCE, **text},
            "trg": {"lang": TARGET, **text},
        },
        "testing": {"beam_size": 1},
        "training": {
            "optimizer": "adam",
            "adam_betas": list(BETAS),
            "scheduling": "warmupinversesquareroot",
            "learning_rate": RATE,
            "learning_rate_min": 0.0,
            "learning_rate_warmup": WARM_UP,
            "clip_grad_norm": CLIP,
            "label_smoothing": SMOOTHING,
            "normalization": "tokens",
            "batch_type": "token",
            "batch_size": BATCH,
            "epochs": ENDLESS,
            "updates": ENDLESS,
            "validation_freq": ENDLESS,
            "logging_freq": 1,
        },
        "model": {
            "initializer": "xavier_uniform",
            "bias_initializer": "zeros",
            "embed_initializer": "xavier_uniform",
            "tied_embeddings": True,
            "tied_softmax": True,
            "encoder": side,
            "decoder": side,
        },
    }
    (path := folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is valid YAML
    return [str(python), "-m", "joeynmt", "train", str(path), "--skip-test"]


def _parse_line(line: str) -> LogEntry | None:
    match = UPDATE.search(line)
    return LogEntry(rate=int(match[1])) if match else None


JOEYNMT = System("JoeyNMT", _command, _parse_line, installs=(("joeynmt==2.3.0", "importlib_metadata"),))
