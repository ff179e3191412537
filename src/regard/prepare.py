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
from regard.text.builtin import BUILTIN
from regard.text.corpus import Aside, Corpus, Pair, PairList, ParallelText
from regard.text.tokenizer import Tokenizers, train_tokenizers

MOST_HELD_OUT = 1000  # pairs, where the recipe leaves it open
DONE = "prepared.json"  # written last: without it, preparing starts over

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
    train = ParallelText(Path(data.source or ""), Path(data.target or ""))
    if data.dev_source is None or data.dev_target is None:
        return train, None
    return train, ParallelText(Path(data.dev_source), Path(data.dev_target))


def prepare(config: RunConfig, folder: Path, say: Say) -> Prepared:
    """Read the corpus of a recipe into `folder`, or take up what is already there.

    `say` is told what was read and what was left aside. Raises DataError and ConfigError.
    """
    if (folder / DONE).is_file():
        return _open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    train, dev = open_corpora(config.data, config.train.seed)
    if dev is None:
        train, dev = _hold_out(train, config)
        say(f"dev: {len(dev):,} pairs held out of training, whose sources occur once")
    texts = tuple((pair.source, pair.target) for pair in dev)
    say(f"dev: {len(texts):,} pairs from {dev.name}")
    _tell(dev.aside, say)
    tokenizers = train_tokenizers(config.tokenizer, ((pair.source, pair.target) for pair in train))
    _tell(train.aside, say)
    tokenizers.save(folder)
    too_long = Aside()
    store = PairStore.write(folder, "train", _encode(train, tokenizers, config.data.max_length, too_long))
    if not len(store):
        raise DataError(
            f"every pair is longer than {config.data.max_length} tokens", where=train.name, fix="raise data.max_length"
        )
    say(
        f"train: {len(store):,} pairs from {train.name}; "
        f"{int(store.source_lengths.sum()):,} source and {int(store.target_lengths.sum()):,} target tokens, "
        f"vocabulary {tokenizers.source.size:,}" + ("" if tokenizers.joint else f" and {tokenizers.target.size:,}")
    )
    _tell(too_long, say)
    _write_whole(folder / DONE, {"dev": texts, "train": store.fingerprint})
    return Prepared(tokenizers, store, texts)


def _open(folder: Path) -> Prepared:
    table = json.loads((folder / DONE).read_text(encoding="utf-8"))
    store = PairStore.open(folder, "train")
    if store.fingerprint != table["train"]:
        raise DataError("the training data is not what was prepared", where=folder, fix="start a new run")
    return Prepared(Tokenizers.load(folder), store, tuple((source, target) for source, target in table["dev"]))


def _write_whole(path: Path, table: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    temporary.replace(path)


def _tell(aside: Aside, say: Say) -> None:
    for sentence in aside.report():
        say(sentence)


def _encode(
    pairs: Iterable[Pair], tokenizers: Tokenizers, max_length: int, aside: Aside
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    for pair in pairs:
        source, target = tokenizers.source.encode(pair.source), tokenizers.target.encode(pair.target)
        if max(len(source), len(target)) > max_length:
            aside.add(f"longer than data.max_length, {max_length} tokens,", pair.line)
        elif not target:
            aside.add("the target has no token", pair.line)
        else:
            yield source, target


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


def _hold_out(corpus: Corpus, config: RunConfig) -> tuple[Corpus, PairList]:
    """Part off a dev set by chance, of pairs whose source occurs only once: none of it is in training."""
    digests = np.fromiter((_digest(pair.source) for pair in corpus), dtype=np.uint64)
    count = config.data.held_out or held_out_size(len(digests))
    if count >= len(digests):
        raise DataError(
            f"{count} pairs are to be held out of {len(digests)}", where=corpus.name, fix="lower data.held_out"
        )
    single = _singles(digests)
    if not len(single):
        raise DataError("no source occurs only once", where=corpus.name, fix="give data.dev_source and dev_target")
    chosen = np.random.default_rng(config.train.seed).choice(single, size=min(count, len(single)), replace=False)
    places = frozenset(chosen.tolist())
    held = [pair for place, pair in enumerate(corpus) if place in places]
    return _Without(corpus, places), PairList(corpus.name, held)


def held_out_size(pairs: int) -> int:
    """A twentieth, at least one and at most MOST_HELD_OUT."""
    return max(1, min(MOST_HELD_OUT, pairs // 20))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _singles(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    _, first, counts = np.unique(digests, return_index=True, return_counts=True)
    return np.sort(first[counts == 1])
