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

from peers import task
from peers.work import LogEntry, System, Work

UPDATE = re.compile(r"Step: +\d+, Batch Loss: .* Tokens per Sec: +(\d+)")


def _command(python: Path, work: Work, folder: Path) -> list[str]:
    vocabulary = folder / "vocabulary"
    vocabulary.write_text("".join(f"{token}\n" for token in work.tokens), encoding="utf-8")
    text: dict[str, Any] = {"level": "word", "voc_file": str(vocabulary)}
    side: dict[str, Any] = {
        "type": "transformer",
        "num_layers": task.LAYERS,
        "num_heads": task.HEADS,
        "embeddings": {"embedding_dim": task.WIDTH, "scale": True, "dropout": task.DROPOUT},
        "hidden_size": task.WIDTH,
        "ff_size": task.INNER,
        "dropout": task.DROPOUT,
        "layer_norm": "post",
    }
    config = {
        "name": "train_cpu",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(work.text("train", task.SOURCE).with_suffix("")),
            "dev": str(work.text("dev", task.SOURCE).with_suffix("")),
            "dataset_type": "plain",
            "src": {"lang": task.SOURCE, **text},
            "trg": {"lang": task.TARGET, **text},
        },
        "testing": {"beam_size": 1},
        "training": {
            "optimizer": "adam",
            "adam_betas": list(task.BETAS),
            "scheduling": "warmupinversesquareroot",
            "learning_rate": task.RATE,
            "learning_rate_min": 0.0,
            "learning_rate_warmup": task.WARM_UP,
            "clip_grad_norm": task.CLIP,
            "label_smoothing": task.SMOOTHING,
            "normalization": "tokens",
            "batch_type": "token",
            "batch_size": task.BATCH,
            "epochs": task.ENDLESS,
            "updates": task.ENDLESS,
            "validation_freq": task.ENDLESS,
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
