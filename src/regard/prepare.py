"""From a corpus to what training eats: tokenizers, token arrays, and the dev set's text, all inside the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.config import DataConfig, RunConfig
from regard.data.store import PairStore
from regard.errors import DataError
from regard.start import STARTED, take_up
from regard.text.bilingual import BilingualFile
from regard.text.builtin import BUILTIN
from regard.text.corpus import Aside, Corpus, Pair, PairList, ParallelText
from regard.text.formats.sides import Sides
from regard.text.tokenizer import Tokenizers, train_tokenizers

MOST_HELD_OUT = 1000  # pairs, where the recipe leaves it open
DONE = "prepared.json"  # written last: without it, preparing starts over
NEW_RUN = "start a new run"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """What `prepare` leaves in a run's `data` folder."""

    tokenizers: Tokenizers
    train: PairStore
    dev: tuple[tuple[str, str], ...]  # source and reference, as text


def open_corpora(data: DataConfig, seed: int) -> tuple[Corpus, Corpus | None]:
    """The training corpus and the dev corpus, if the recipe names one. Raises DataError when they are read."""
    if data.corpus is not None:
        corpora = BUILTIN[data.corpus](seed)
        return corpora.train, corpora.dev
    train = _corpus(data, data.file, data.source, data.target)
    if data.dev_file is None and data.dev_source is None:
        return train, None
    return train, _corpus(data, data.dev_file, data.dev_source, data.dev_target)


def _corpus(data: DataConfig, file: str | None, source: str | None, target: str | None) -> Corpus:
    if file is None:
        return ParallelText(Path(source or ""), Path(target or ""))
    languages, columns = (data.source_language, data.target_language), (data.source_column, data.target_column)
    return BilingualFile(Path(file), Sides(*languages, *columns))


def split(config: RunConfig) -> tuple[Corpus, Corpus]:
    """What a recipe trains on, and the dev set: its own, or pairs held out of training. Raises DataError."""
    train, dev = open_corpora(config.data, config.train.seed)
    return _hold_out(train, config) if dev is None else (train, dev)


def prepare(config: RunConfig, folder: Path, say: Say) -> Prepared:
    """Read the corpus of a recipe into `folder`, or take up what is already there.

    `say` is told what was read and what was left aside. Raises DataError and ConfigError.
    """
    if (folder / DONE).is_file():
        return _open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    train, dev = split(config)
    if config.start is None:
        taken_up = None
        tokenizers = train_tokenizers(config.tokenizer, ((pair.source, pair.target) for pair in train))
    else:
        taken_up = take_up(config, config.start, train, folder / STARTED, say)
        tokenizers = taken_up.tokenizers
    tokenizers.save(folder)
    max_length, too_long = config.data.max_length, Aside()
    texts = tuple((pair.source, pair.target) for pair, _ in _encode(dev, tokenizers, max_length, too_long))
    _refuse_none(len(texts), dev, max_length)
    say(f"dev: {len(texts):,} pairs from {dev.name}")
    _tell("dev", (dev.aside, too_long), say)
    too_long = Aside()
    encoded = _encode(train, tokenizers, max_length, too_long)
    store = PairStore.write(folder, "train", ((*ids, pair.line) for pair, ids in encoded))
    _refuse_none(len(store), train, max_length)
    say(
        f"train: {len(store):,} pairs from {train.name}; "
        f"{int(store.source_lengths.sum()):,} source and {int(store.target_lengths.sum()):,} target tokens, "
        f"vocabulary {tokenizers.source.size:,}" + ("" if tokenizers.joint else f" and {tokenizers.target.size:,}")
    )
    _tell("train", (train.aside, too_long), say)
    if taken_up is not None:
        say(taken_up.fit(store))
    _write_whole(folder / DONE, {"dev": texts, "train": store.fingerprint})
    return Prepared(tokenizers, store, texts)


def _refuse_none(pairs: int, corpus: Corpus, max_length: int) -> None:
    if not pairs:
        raise DataError(
            f"every pair is longer than {max_length} tokens", where=corpus.name, fix="raise data.max_length"
        )


def _open(folder: Path) -> Prepared:
    try:
        table = json.loads((folder / DONE).read_text(encoding="utf-8"))
        fingerprint, dev = table["train"], tuple((source, target) for source, target in table["dev"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the file cannot be read: {error!r}", where=folder / DONE, fix=NEW_RUN) from None
    store = PairStore.open(folder, "train")
    if store.fingerprint != fingerprint:
        raise DataError("the training data is not what was prepared", where=folder, fix=NEW_RUN)
    return Prepared(Tokenizers.load(folder), store, dev)


def _write_whole(path: Path, table: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    temporary.replace(path)


def _tell(name: str, asides: Iterable[Aside], say: Say) -> None:
    for aside in asides:
        for sentence in aside.report():
            say(f"{name}: {sentence}")


def _encode(
    pairs: Iterable[Pair], tokenizers: Tokenizers, max_length: int, aside: Aside
) -> Iterator[tuple[Pair, tuple[Sequence[int], Sequence[int]]]]:
    for pair in pairs:
        source, target = tokenizers.source.encode(pair.source), tokenizers.target.encode(pair.target)
        if max(len(source), len(target)) > max_length:
            aside.add(f"longer than data.max_length, {max_length} tokens,", pair.line)
        elif not target:
            aside.add("the target has no token", pair.line)
        else:
            yield pair, (source, target)


class _Without:
    """A corpus without the pairs of some places."""

    def __init__(self, corpus: Corpus, places: frozenset[int]) -> None:
        self._corpus, self._places = corpus, places

    @property
    def name(self) -> str:
        """The whole corpus' name."""
        return self._corpus.name

    @property
    def aside(self) -> Aside:
        """What the whole corpus left aside."""
        return self._corpus.aside

    def __iter__(self) -> Iterator[Pair]:
        return (pair for place, pair in enumerate(self._corpus) if place not in self._places)


def _hold_out(corpus: Corpus, config: RunConfig) -> tuple[Corpus, Corpus]:
    """Part off a dev set by chance, of pairs whose source occurs only once: none of it is in training."""
    digests = np.fromiter((_digest(pair.source) for pair in corpus), dtype=np.uint64)
    count = config.data.held_out or held_out_size(len(digests))
    if count >= len(digests):
        raise DataError(
            f"a dev set of {count:,} is to be held out of {len(digests):,} in all",
            where=corpus.name,
            fix="lower data.held_out" if config.data.held_out else "give more pairs, or a dev set",
        )
    single = _singles(digests)
    if not len(single):
        raise DataError("no source occurs only once", where=corpus.name, fix="give a dev set")
    chosen = np.random.default_rng(config.train.seed).choice(single, size=min(count, len(single)), replace=False)
    places = frozenset(chosen.tolist())
    held = [pair for place, pair in enumerate(corpus) if place in places]
    return _Without(corpus, places), PairList(f"{corpus.name}, held out of training", held)


def held_out_size(pairs: int) -> int:
    """A twentieth, at least one and at most MOST_HELD_OUT."""
    return max(1, min(MOST_HELD_OUT, pairs // 20))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _singles(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    _, first, counts = np.unique(digests, return_index=True, return_counts=True)
    return np.sort(first[counts == 1])
