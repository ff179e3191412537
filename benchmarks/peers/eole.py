"""Eole, run by `eole train`.

It logs `bsz` after each update: source tokens, target tokens and sentences per update. The second number is counted:
the tokens that have a loss, with the ends of sentences and without padding. Eole uses pre-norm layers, and it forms
batches from ten epochs of the corpus at a time, so they contain almost no padding.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from peers import task
from peers.work import LogEntry, System, Work

UPDATE = re.compile(r"Step +\d+/.* bsz: +\d+/ *(\d+)/")


def _command(python: Path, work: Work, folder: Path) -> list[str]:
    vocabulary = folder / "vocabulary"
    vocabulary.write_text("".join(f"{token}\t1\n" for token in work.tokens), encoding="utf-8")
    config = {
        "seed": 1,
        "save_data": str(folder / "saved"),
        "src_vocab": str(vocabulary),
        "tgt_vocab": str(vocabulary),
        "share_vocab": True,
        "n_sample": 0,
        "report_every": 1,
        "data": {
            "train": {
                "path_src": str(work.text("train", task.SOURCE)),
                "path_tgt": str(work.text("train", task.TARGET)),
                "transforms": [],
            }
        },
        "model": {
            "architecture": "transformer",
            "layers": task.LAYERS,
            "hidden_size": task.WIDTH,
            "heads": task.HEADS,
            "transformer_ff": task.INNER,
            "add_qkvbias": True,
            "add_ffnbias": True,
            "share_embeddings": True,
            "share_decoder_embeddings": True,
            "embeddings": {
                "word_vec_size": task.WIDTH,
                "position_encoding": True,
                "position_encoding_type": "SinusoidalInterleaved",
            },
        },
        "training": {
            "world_size": 1,
            "gpu_ranks": [],
            "compute_dtype": "fp32",
            "model_path": str(folder / "model"),
            "num_workers": 0,
            "batch_type": "tokens",
            "batch_size": task.BATCH,
            "batch_size_multiple": 1,
            "accum_count": [1],
            "normalization": "tokens",
            "train_steps": task.ENDLESS,
            "valid_steps": task.ENDLESS,
            "save_checkpoint_steps": task.ENDLESS,
            "optim": "adam",
            "adam_beta1": task.BETAS[0],
            "adam_beta2": task.BETAS[1],
            "adam_eps": 1e-9,
            "learning_rate": task.RATE * (task.WIDTH * task.WARM_UP) ** 0.5,
            "decay_method": "noam",
            "warmup_steps": task.WARM_UP,
            "max_grad_norm": task.CLIP,
            "dropout": [task.DROPOUT],
            "attention_dropout": [0.0],
            "label_smoothing": task.SMOOTHING,
            "param_init_method": "xavier_uniform",
            "log_attention_entropy": False,
        },
    }
    (path := folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is valid YAML
    return [str(python.with_name("eole")), "train", "--config", str(path)]


def _parse_line(line: str) -> LogEntry | None:
    match = UPDATE.search(line)
    return LogEntry(tokens=int(match[1])) if match else None


EOLE = System("Eole", _command, _parse_line, installs=(("eole==0.6.4", "aiohttp"),))
