"""Label the sources of a test set by which of their columns do not occur in the training data of a run.

For lemma and features, these are the classes of the shared task on inflection of SIGMORPHON 2022: both occur in
training, though perhaps never together; only the lemma is new; only the features are; or both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regard.checkpoints.checkpoint import load_config
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.data import CorpusConfig, DataConfig, column_names
from regard.console import track
from regard.corpus.source_columns import SEPARATOR
from regard.data.store import PairStore
from regard.runs.training_data import find_training_data
from regard.tokenizers.base import Tokenizers

SEEN = "seen"
BLANK = "blank"


def label_novelty(run: Path, sources: Sequence[str]) -> list[str]:
    """Return the label of each source: `seen`, or for example `new lemma` or `new lemma, features`.

    A source without several columns is `seen` if it occurs in training as a whole, else `new source`; one without text
    is `blank`.

    Args:
        run: A run's folder, or a checkpoint in it.
        sources: The sources of a test set; columns are separated by tabs.

    Raises:
        DataError: The run has no training data.
        CheckpointError: The run cannot be read.
    """
    data = load_config(resolve_checkpoint(run)).data
    labels = []
    for source, new in zip(sources, find_new_columns(find_training_data(run), sources), strict=True):
        columns = source_column_names(data, 1 + source.count(SEPARATOR))
        known = SEEN if source.strip() else BLANK
        labels.append(f"new {', '.join(columns[number] for number in new)}" if new else known)
    return labels


def find_new_columns(folder: Path, sources: Sequence[str]) -> list[list[int]]:
    """Return the numbers, from 0, of the columns of each source that do not occur in this column of training sources.

    Sources are compared as the tokenizer restores them from their tokens, without tags. A blank source has no columns.

    Args:
        folder: The folder of the tokenizers and the store of training pairs.
        sources: Sources; columns are separated by tabs.

    Raises:
        DataError: The store is damaged.
        CheckpointError: The tokenizers are.
    """
    tokenizers = Tokenizers.load(folder)
    plain = tokenizers.without_tags().source
    stripped = [source.strip() for source in sources]
    restored = [plain.decode(plain.encode(source)).split(SEPARATOR) if source else [] for source in stripped]
    unseen = {(number, column) for columns in restored for number, column in enumerate(columns)}
    store = PairStore.open(folder, "train")
    for index in track(range(len(store)), "reading the training data", len(store)):
        training_source = tokenizers.source.decode(store.source(index).tolist())
        unseen.difference_update(enumerate(training_source.split(SEPARATOR)))
    return [[number for number, column in enumerate(columns) if (number, column) in unseen] for columns in restored]


def source_column_names(data: DataConfig, count: int) -> tuple[str, ...]:
    """Return the names of `count` columns of the source, as the recipe has them; `column 3` for a number."""
    if count == 1:
        return ("source",)
    names = next((names for names in map(_source_columns, (data, *data.corpora)) if len(names) == count), ())
    names = names or tuple(str(number) for number in range(1, count + 1))
    return tuple(f"column {name}" if name.isdecimal() else name for name in names)


def _source_columns(corpus: CorpusConfig) -> tuple[str, ...]:
    return column_names(corpus.source_column)
