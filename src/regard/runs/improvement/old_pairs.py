"""The pairs that a run was trained on, and its dev set: from its data folder, or else from its corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regard.checkpoints.checkpoint import load_config
from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
from regard.config.schema import RunConfig
from regard.corpus.tagged import split_tags
from regard.data.store import PairStore
from regard.errors import CheckpointError, ConfigError, DataError
from regard.runs.confidence import load_dev_pairs
from regard.runs.holdout import split_corpus
from regard.runs.improvement.corrections import HELD_OUT, MIN_HELD_OUT, is_held_out
from regard.runs.improvement.record import Tags, TextPair, latest_record, read_pairs
from regard.runs.improvement.tag_sets import TagSet, tag_sets
from regard.special_tokens import UNK
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

Exclude = Callable[[str], bool]

MAX_DEV = 1000  # pairs, if the dev set is taken from provided pairs
FIX = (
    "give the run with the data folder that it was trained with, copy its corpora to where its recipe names them, or "
    "give pairs that it translates well by --old-data"
)


@dataclass(frozen=True)
class OldRun:
    """A run that is to be improved.

    Attributes:
        folder: Its folder.
        checkpoint: The checkpoint.
        config: The recipe of the checkpoint.
        pool: The run whose data holds the old pairs: this one, or the first one of a chain of improvements.
        corrections: What it was improved with before, for training.
        held_out: What was held out then.
        provided: Pairs that are used instead of those that the run was trained on, and instead of its dev set.
    """

    folder: Path
    checkpoint: Path
    config: RunConfig
    pool: Path
    corrections: tuple[TextPair, ...] = ()
    held_out: tuple[TextPair, ...] = ()
    provided: tuple[TextPair, ...] = ()

    @classmethod
    def load(cls, path: Path) -> OldRun:
        """Return the run at a path, which may also be one of its checkpoints.

        Raises:
            CheckpointError: There is no checkpoint, or the record of an earlier improvement is damaged.
        """
        checkpoint = resolve_checkpoint(path).resolve()
        folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint
        config = load_config(checkpoint, for_training=True)
        latest = latest_record(folder) if folder != checkpoint else None
        if latest is None:
            return cls(folder, checkpoint, config, folder)
        record = latest.read()
        pool = Path(record.pool)
        pairs = (tuple(read_pairs(file, record.tags)) for file in (latest.corrections, latest.held_out))
        return cls(folder, checkpoint, config, pool if pool.is_dir() else folder, *pairs)

    @property
    def tag_sets(self) -> tuple[TagSet, ...]:
        """The sets of tags of its corpora, and their languages; one without tags if it was trained without."""
        return tag_sets(self.config.data)

    def sample(self, count: int, seed: int, exclude: Exclude, required: Iterable[Tags] = ()) -> list[TextPair]:
        """Return a random sample of at most `count` of the pairs that the run was trained on.

        Args:
            count: The number of pairs.
            seed: Determines the sample.
            exclude: Returns whether a source is left out.
            required: Tags of which there is at least one pair, even if there are then more than `count`.

        Raises:
            CheckpointError: Neither the data of the run nor its corpora are there.
        """
        if self.provided:
            pairs = [pair for pair in self.provided if not is_held_out(pair[0]) and not exclude(pair[0])]
            return _choose(
                (pairs[index] for index in np.random.default_rng(seed).permutation(len(pairs))), count, required
            )
        with suppress(DataError, CheckpointError, OSError, KeyError, ValueError):
            return _choose(_shuffled_store(self.pool / "data", seed, exclude), count, required)
        folder = latest_record(self.folder) if self.folder != self.checkpoint else None
        if folder is not None and (pairs := read_pairs(folder.old_pairs, folder.read().tags)):
            order = np.random.default_rng(seed).permutation(len(pairs))
            return _choose((pairs[index] for index in order if not exclude(pairs[index][0])), count, required)
        try:
            return _sample_corpora(self._pool_config(), count, seed, exclude, required)
        except (DataError, ConfigError) as error:
            raise self._missing("the pairs that the run was trained on", error) from None

    def dev(self) -> list[TextPair]:
        """Return the dev set.

        Raises:
            CheckpointError: Neither the data of the run nor its corpora are there.
            DataError: There are too few provided pairs.
        """
        if self.provided:
            dev = [pair for pair in self.provided if is_held_out(pair[0])][:MAX_DEV]
            if len(dev) < MIN_HELD_OUT:
                raise DataError(
                    f"there are too few pairs: of {len(self.provided):,}, {len(dev):,} are held out as the old dev "
                    f"set; {MIN_HELD_OUT} are needed",
                    where="--old-data",
                    fix=f"give {HELD_OUT * MAX_DEV:,} pairs if you can",
                )
            return dev
        with suppress(DataError):
            return list(load_dev_pairs(self.folder))
        try:
            _, dev_corpus = split_corpus(self._pool_config())
            return [(pair.source, pair.target) for pair in dev_corpus]
        except (DataError, ConfigError) as error:
            raise self._missing("the dev set of the run", error) from None

    def _pool_config(self) -> RunConfig:
        return (
            load_config(resolve_checkpoint(self.pool), for_training=True) if self.pool != self.folder else self.config
        )

    def _missing(self, name: str, error: DataError | ConfigError) -> CheckpointError:
        return CheckpointError(
            f"{name} cannot be found: {self.pool / 'data'} has none, and the corpora cannot be read: {error.message}",
            where=self.folder,
            fix=FIX,
        )


def _shuffled_store(data: Path, seed: int, exclude: Exclude) -> Iterator[TextPair]:
    """Yield the pairs of a token store as text, shuffled. Raise DataError if the store is missing or damaged."""
    store = PairStore.open(data, "train")
    tokenizers = Tokenizers.load(data)
    side = tokenizers.source
    decode = side.decode_with_tags if isinstance(side, TaggedTokenizer) else side.decode
    for index in np.random.default_rng(seed).permutation(len(store)).tolist():
        source_ids, target_ids = store.source(index).tolist(), store.target(index).tolist()
        if UNK in source_ids or UNK in target_ids:
            continue  # its text is not known
        source, target = decode(source_ids), tokenizers.target.decode(target_ids)
        if split_tags(source)[1].strip() and target.strip() and not exclude(source):
            yield source, target


def _choose(pairs: Iterable[TextPair], count: int, required: Iterable[Tags]) -> list[TextPair]:
    """Return the first `count` pairs, and the first one of required tags that none of them has."""
    chosen: list[TextPair] = []
    missing = set(required)
    for pair in pairs:
        if len(chosen) < count or (missing and _tags(pair) in missing):
            chosen.append(pair)
            if missing:
                missing.discard(_tags(pair))
        elif not missing:
            break
    return chosen


def _tags(pair: TextPair) -> Tags:
    return tuple(split_tags(pair[0])[0])


def _sample_corpora(
    config: RunConfig, count: int, seed: int, exclude: Exclude, required: Iterable[Tags]
) -> list[TextPair]:
    """Return a sample of the training corpora, read once (Algorithm R, Vitter 1985). Raise DataError."""
    corpus, _ = split_corpus(config)
    random = np.random.default_rng(seed)
    pairs: list[TextPair] = []
    first: dict[Tags, TextPair] = {}
    texts: Iterator[TextPair] = ((pair.source, pair.target) for pair in corpus)
    for number, pair in enumerate(pair for pair in texts if not exclude(pair[0])):
        first.setdefault(_tags(pair), pair)
        slot = number if number < count else int(random.integers(number + 1))
        if slot < count:
            pairs[slot : slot + 1] = [pair]
    return pairs + [first[tags] for tags in sorted(set(required) & first.keys() - set(map(_tags, pairs)))]


def run_folder(run: OldRun) -> RunFolder:
    """Return the folder of a run, for changes. Raise CheckpointError if there is only a checkpoint."""
    if run.folder == run.checkpoint:
        raise CheckpointError(
            "this is a checkpoint without a run",
            where=run.folder,
            fix="give the folder of the run, or leave out --replace",
        )
    return RunFolder(run.folder)
