"""How often each word occurs on the target side of a run's training data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from regard.data.store import PairStore
from regard.errors import DataError
from regard.evaluation.by_frequency import split_words
from regard.reports.analyze.progress import ProgressHook, no_progress
from regard.runs.training_data import find_training_data
from regard.tokenizers.base import Tokenizers

MAX_TRAINING_PAIRS = 500_000  # counted at most; of more pairs, this many at equal distances


@dataclass(frozen=True)
class TrainingCounts:
    """Counts of words in training targets.

    Attributes:
        counts: How often each word occurs.
        pairs_counted: Pairs whose targets were counted.
        pairs: Pairs of the training data.
    """

    counts: Counter[str]
    pairs_counted: int
    pairs: int


def count_training_words(run: Path, metric: BLEU, track: ProgressHook = no_progress) -> TrainingCounts:
    """Count the words of the training targets.

    Args:
        run: A run's folder, or a checkpoint in it.
        metric: Splits text into words.
        track: Shows progress.

    Raises:
        DataError: The run has no data, for example because it streamed its corpus or was copied without it.
    """
    folder = find_training_data(run)
    store = PairStore.open(folder, "train")
    if not len(store):
        raise DataError("the stored training data is empty", where=folder, fix="prepare the corpus again")
    tokenizer = Tokenizers.load(folder).target
    indices = np.unique(np.linspace(0, len(store) - 1, min(len(store), MAX_TRAINING_PAIRS)).astype(np.int64)).tolist()
    counts: Counter[str] = Counter()
    for index in track("counting words in the training data", indices, len(indices)):
        counts.update(split_words(tokenizer.decode(store.target(index).tolist()), metric))
    return TrainingCounts(counts, len(indices), len(store))
