"""The work that every system of train_cpu.py is given, and how its files are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VOCABULARY = 8000  # both languages together, with four special tokens
WIDTH = 256
LAYERS = 3  # of each side
INNER = 1024
HEADS = 4
DROPOUT = 0.1  # on what sub-layers give and on embeddings; not inside attention
SMOOTHING = 0.1  # of labels
BATCH = 4096  # tokens of the longer side, or what a system has that comes near to it
RATE, WARM_UP = 1e-3, 1000  # the learning rate's peak and the updates before it; then the inverse square root
BETAS = (0.9, 0.98)
CLIP = 1.0
ENDLESS = 1_000_000  # updates, more than any window has

SOURCE, TARGET = "en", "de"


@dataclass(frozen=True)
class Work:
    """What is to be done, by how many threads.

    folder: what `make` filled. Its train.en, train.de, dev.en and dev.de have the ids of the tokens, divided by
    spaces and written as numbers, without BOS and EOS; the special ids 0 to 3 are not among them.
    """

    folder: Path
    threads: int

    def text(self, part: str, language: str) -> Path:
        """The encoded text of "train" or "dev"."""
        return self.folder / f"{part}.{language}"

    @property
    def tokens(self) -> list[str]:
        """All that the texts may have, as they write it."""
        return [str(id) for id in range(4, VOCABULARY)]


@dataclass(frozen=True)
class Heard:
    """What a line of a log tells of one update: its target tokens, or the target tokens a second since the last one.

    Padding is not counted, and the end of a sentence is.
    """

    tokens: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class System:
    """One that trains.

    installs: the arguments of `pip install`, call by call, for an environment of its own that has torch where
    `torch` is true; without them it runs in this one. command: how it is called, with a folder that it may write to
    and is called in. heard: what a line of its output tells, if that is about an update. startup: Python that its
    interpreter runs whenever it starts.
    """

    name: str
    command: Callable[[Path, Work, Path], list[str]]
    heard: Callable[[str], Heard | None]
    installs: tuple[tuple[str, ...], ...] = ()
    torch: bool = True
    startup: str = ""


def recipe(data: Path) -> dict[str, Any]:
    """The work as regard's recipe; `data` is the folder of Multi30k."""
    return {
        "data": {
            "source": str(data / f"train.{SOURCE}.gz"),
            "target": str(data / f"train.{TARGET}.gz"),
            "dev_source": str(data / f"val.{SOURCE}.gz"),
            "dev_target": str(data / f"val.{TARGET}.gz"),
            "source_language": SOURCE,
            "target_language": TARGET,
        },
        "tokenizer": {"kind": "unigram", "vocabulary_size": VOCABULARY, "joint": True},
        "model": {
            "architecture": "transformer2017",
            "encoder_layers": LAYERS,
            "decoder_layers": LAYERS,
            "hidden_size": WIDTH,
            "ffn_size": INNER,
            "num_heads": HEADS,
            "dropout": DROPOUT,
        },
        "train": {
            "max_steps": ENDLESS,
            "tokens_per_batch": BATCH,
            "optimizer": "adam",
            "learning_rate": RATE,
            "schedule": "inverse_sqrt",
            "warmup_steps": WARM_UP,
            "clip_norm": CLIP,
            "label_smoothing": SMOOTHING,
            "checkpoint_every": ENDLESS,
            "device": "cpu",
        },
    }


def make(data: Path, folder: Path) -> None:
    """Learn the vocabulary and encode the corpus. Raises DataError."""
    from regard.config.recipe import parse_config, to_toml
    from regard.models import ARCHITECTURES
    from regard.runs.prepare import prepare

    config = parse_config(recipe(data), ARCHITECTURES, where="the benchmark's recipe")
    (folder / "recipe.toml").write_text(to_toml(config), encoding="utf-8")
    prepared = prepare(config, folder / "data", lambda _: None)
    train, tokenizers = prepared.train, prepared.tokenizers
    source, target = tokenizers.source, tokenizers.target
    texts = {
        f"train.{SOURCE}": (train.source(place).tolist() for place in range(len(train))),
        f"train.{TARGET}": (train.target(place).tolist() for place in range(len(train))),
        f"dev.{SOURCE}": (source.encode(line) for line, _ in prepared.dev),
        f"dev.{TARGET}": (target.encode(line) for _, line in prepared.dev),
    }
    for name, rows in texts.items():
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(" ".join(map(str, ids)) + "\n" for ids in rows)
