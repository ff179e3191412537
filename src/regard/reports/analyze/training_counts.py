"""How often a run has seen each word in training, on the target side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.data.store import PairStore
from regard.errors import DataError
from regard.evaluation.by_frequency import words
from regard.reports.analyze.progress import Watch, unwatched
from regard.tokenizers.base import Tokenizers

MOST_PAIRS = 500_000  # that are counted; of more, so many at equal distances


@dataclass(frozen=True)
class TrainingWords:
    """How often each word stands in the targets of `pairs` of the `of` pairs that the run was trained on."""

    counts: Counter[str]
    pairs: int
    of: int


def training_words(run: Path, metric: BLEU, watch: Watch = unwatched) -> TrainingWords:
    """Words as the metric counts them, in the data/ of a run's folder, of which a checkpoint's path will do.

    Raises DataError where there is none, as of a run that streams its corpus or was copied without it.
    """
    folder = _data(run)
    store = PairStore.open(folder, "train")
    if not len(store):
        raise DataError("the store of pairs is empty", where=folder, fix="prepare the corpus again")
    target = Tokenizers.load(folder).target
    chosen = np.unique(np.linspace(0, len(store) - 1, min(len(store), MOST_PAIRS)).astype(np.int64)).tolist()
    counts: Counter[str] = Counter()
    for index in watch("counting words of the training data", chosen, len(chosen)):
        counts.update(words(target.decode(store.target(index).tolist()), metric))
    return TrainingWords(counts, len(chosen), len(store))


def _data(run: Path) -> Path:
    folders = [run, resolve_checkpoint(run).resolve().parent.parent] if (run / "config.json").is_file() else [run]
    for folder in folders:
        data = RunFolder(folder).data
        if (data / "train.json").is_file():
            return data
    raise DataError(
        "the training data of the run is not there",
        where=RunFolder(run).data,
        fix="give the folder of a run that was not streamed, with its data/",
    )
