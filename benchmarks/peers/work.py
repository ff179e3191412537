"""The files of the task, which `make` creates, and the systems that train on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import task


@dataclass(frozen=True)
class Work:
    """The files of the task and the number of threads.

    Attributes:
        folder: A folder filled by `make`. Its files train.en, train.de, dev.en and dev.de contain token ids as
            numbers separated by spaces, without BOS and EOS. The special ids 0 to 3 do not occur.
        threads: The number of threads that a system uses.
    """

    folder: Path
    threads: int

    def text(self, part: str, language: str) -> Path:
        """Return the path of an encoded text; `part` is "train" or "dev"."""
        return self.folder / f"{part}.{language}"

    @property
    def tokens(self) -> list[str]:
        """All tokens that can occur in the texts."""
        return [str(id) for id in range(4, task.VOCABULARY)]


@dataclass(frozen=True)
class LogEntry:
    """The target tokens of an update, or the target tokens per second since the previous update.

    The end of each sentence is counted; padding is not.
    """

    tokens: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class System:
    """A system that trains.

    Attributes:
        name: The name in tables.
        command: Returns the command line for an interpreter, a task, and a scratch folder that is the working
            directory.
        parse_line: Parses a line of output. Returns None if the line does not report an update.
        installs: The arguments of each `pip install` call for a separate environment. If empty, the system runs in
            this environment.
        torch: Whether to install PyTorch into the separate environment.
        startup: Python code that the interpreter of the environment runs when it starts.
    """

    name: str
    command: Callable[[Path, Work, Path], list[str]]
    parse_line: Callable[[str], LogEntry | None]
    installs: tuple[tuple[str, ...], ...] = ()
    torch: bool = True
    startup: str = ""


def recipe(data: Path) -> dict[str, Any]:
    """Return the task as a recipe of regard; `data` is the folder of Multi30k."""
    return {
        "data": {
            "source": str(data / f"train.{task.SOURCE}.gz"),
            "target": str(data / f"train.{task.TARGET}.gz"),
            "dev_source": str(data / f"val.{task.SOURCE}.gz"),
            "dev_target": str(data / f"val.{task.TARGET}.gz"),
            "source_language": task.SOURCE,
            "target_language": task.TARGET,
        },
        "tokenizer": {"kind": "unigram", "vocabulary_size": task.VOCABULARY, "joint": True},
        "model": {
            "architecture": "transformer2017",
            "encoder_layers": task.LAYERS,
            "decoder_layers": task.LAYERS,
            "hidden_size": task.WIDTH,
            "ffn_size": task.INNER,
            "num_heads": task.HEADS,
            "dropout": task.DROPOUT,
        },
        "train": {
            "max_steps": task.ENDLESS,
            "tokens_per_batch": task.BATCH,
            "optimizer": "adam",
            "learning_rate": task.RATE,
            "schedule": "inverse_sqrt",
            "warmup_steps": task.WARM_UP,
            "clip_norm": task.CLIP,
            "label_smoothing": task.SMOOTHING,
            "checkpoint_every": task.ENDLESS,
            "device": "cpu",
        },
    }


def make(data: Path, folder: Path) -> None:
    """Learn the vocabulary and encode the corpus.

    Raises:
        DataError: If the corpus cannot be read.
    """
    from regard.config.recipe import parse_config, to_toml
    from regard.data.store import PairStore
    from regard.models import ARCHITECTURES
    from regard.runs.prepare import prepare

    config = parse_config(recipe(data), ARCHITECTURES, where="the benchmark's recipe")
    (folder / "recipe.toml").write_text(to_toml(config), encoding="utf-8")
    prepared = prepare(config, folder / "data", lambda _: None)
    assert isinstance(prepared.train, PairStore)
    train, tokenizers = prepared.train, prepared.tokenizers
    source, target = tokenizers.source, tokenizers.target
    texts = {
        f"train.{task.SOURCE}": (train.source(index).tolist() for index in range(len(train))),
        f"train.{task.TARGET}": (train.target(index).tolist() for index in range(len(train))),
        f"dev.{task.SOURCE}": (source.encode(line) for line, _ in prepared.dev),
        f"dev.{task.TARGET}": (target.encode(line) for _, line in prepared.dev),
    }
    for name, rows in texts.items():
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(" ".join(map(str, ids)) + "\n" for ids in rows)
