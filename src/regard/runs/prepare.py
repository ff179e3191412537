"""From a corpus to what training eats: tokenizers, token arrays, and the dev set's text, all inside the run."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.checkpoints.run_folder import PREPARED
from regard.config.schema import DATA_PATHS, DataConfig, RunConfig
from regard.corpus.blocks import Blocks, Mixed, blocks_of
from regard.corpus.concat import Origins, Together
from regard.corpus.corpus import Aside, Corpus, Pair
from regard.corpus.paths import open_corpora
from regard.data.encoding import encode, encode_in_process
from regard.data.loader import BatchSource, Loader, Position, SamplingWeights
from regard.data.store import PairStore, open_writer
from regard.data.store_writer import CHUNK_PAIRS, Chunk
from regard.data.streaming import Stream, StreamLoader
from regard.data.subword_sampling import SubwordSampler
from regard.errors import DataError
from regard.files import write_atomic
from regard.runs.warm_start import STARTED, take_up
from regard.text.segments import share_of_several
from regard.tokenizers.base import Tokenizers, train_tokenizers

MOST_HELD_OUT = 1000  # pairs, where the recipe leaves it open
LEARNED_FROM = 200_000  # pairs, the first ones, of a corpus that is streamed
LEARNED = "learned.json"  # of which text, and how, the tokenizers beside it were learned
LOOKED_AT = 200_000  # pairs, the first ones, of which a sample is looked at for sentences
SAMPLE = 2000  # pairs
NEW_RUN = "start a new run"
TOKENLESS = "the target has no token"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """What `prepare` leaves in a run's `data` folder."""

    tokenizers: Tokenizers
    train: PairStore | Stream  # the pairs as ids, or the corpus as it is read
    dev: tuple[tuple[str, str], ...]  # source and reference, as text
    starts: tuple[int, ...] = (0,)  # how many lines there are before each corpus of several, whose lines go on
    names: tuple[str, ...] = Origins.names  # of each
    several_sentences: float | None = None  # share of sources with more than one; None where nobody looked

    @property
    def store(self) -> PairStore:
        """The pairs as ids, of a corpus that is not streamed."""
        assert isinstance(self.train, PairStore)
        return self.train

    @property
    def origins(self) -> Origins:
        """Which corpus a line is of."""
        return Origins(self.names, self.starts)

    def loader(
        self, config: RunConfig, position: Position = Position(0, 0), *, rank: int = 0, size: int = 1
    ) -> BatchSource:
        """Batches as a recipe wants them, from a position on, for a process of so many."""
        amount = config.train.subword_sampling
        resample = None if amount is None else SubwordSampler(self.tokenizers, amount, config.data.max_length)
        given = config.train.tokens_per_batch, config.train.seed, position
        if isinstance(self.train, Stream):
            return StreamLoader(self.train.read, *given, rank=rank, size=size, resample=resample)
        weights = self._sampling_weights(config.data, self.train)
        return Loader(self.train, *given, rank=rank, size=size, resample=resample, weights=weights)

    def _sampling_weights(self, data: DataConfig, store: PairStore) -> SamplingWeights | None:
        origins = np.searchsorted(np.array(self.starts), store.lines) - 1
        often = _often(data, np.bincount(origins, minlength=len(data.corpora)))
        return None if all(one == 1 for one in often) else SamplingWeights(origins, often)


def _often(data: DataConfig, sizes: NDArray[np.int64]) -> list[float]:
    """How often each pair of each corpus comes in an epoch."""
    often = [corpus.weight for corpus in data.corpora or (data,)]
    if data.temperature > 1:
        wanted = np.where(sizes > 0, sizes, 1) ** (1 / data.temperature)
        factors = wanted / wanted.sum() * sizes.sum() / np.maximum(sizes, 1)
        often = [one * float(factor) for one, factor in zip(often, factors, strict=True)]
    return often


def split(config: RunConfig) -> tuple[Corpus, Corpus]:
    """What a recipe trains on, and the dev set: its own, or pairs held out of training. Raises DataError."""
    train, dev = open_corpora(config.data, config.train.seed)
    return _hold_out(train, config) if dev is None else (train, dev)


def prepare(config: RunConfig, folder: Path, say: Say) -> Prepared:
    """Read the corpus of a recipe into `folder`, or take up what is already there.

    A preparation that was killed goes on where it was. `say` is told what was read and what was left aside. Raises
    DataError and ConfigError.
    """
    if (folder / PREPARED).is_file():
        return _open(config, folder, say)
    folder.mkdir(parents=True, exist_ok=True)
    train, dev = split(config)
    taken_up = None if config.start is None else take_up(config, config.start, train, folder / STARTED, say)
    tokenizers = _learned(config, train, folder) if taken_up is None else taken_up.tokenizers
    if taken_up is not None:
        tokenizers.save(folder)
    too_long = Aside()
    texts = tuple((pair.source, pair.target) for pair in _short(dev, tokenizers, config.data.max_length, too_long))
    _refuse_none(len(texts), dev, config.data.max_length)
    say(f"dev: {len(texts):,} pairs from {dev.name}")
    _tell("dev", (dev.aside, too_long), say)
    if config.data.streaming:
        counted = _counted(train, say)
        stream = _stream(config, train, tokenizers, say)
        say(f"train: {train.name}, as it is read; vocabulary {_sizes(tokenizers)}")
        several = _several(train, config.data)
        _write_whole(folder / PREPARED, {"dev": texts, "train": stream.fingerprint, "several": several, **counted})
        return Prepared(tokenizers, stream, texts, tuple(counted.get("starts", [0])), _names(train), several)
    store, too_long = _stored(config, train, folder)
    together = _together(train)
    starts = (0,) if together is None else tuple(together.starts)
    _refuse_none(len(store), train, config.data.max_length)
    say(
        f"train: {len(store):,} pairs from {train.name}; "
        f"{int(store.source_lengths.sum()):,} source and {int(store.target_lengths.sum()):,} target tokens, "
        f"vocabulary {_sizes(tokenizers)}"
    )
    _tell("train", (train.aside, too_long), say)
    if taken_up is not None:
        say(taken_up.fit(store))
    several = _several(train, config.data)
    _write_whole(folder / PREPARED, {"dev": texts, "train": store.fingerprint, "starts": starts, "several": several})
    return Prepared(tokenizers, store, texts, starts, _names(train), several)


def _several(train: Corpus, data: DataConfig) -> float:
    """Return the share of training sources that hold more than one sentence, of a sample of the first pairs."""
    sample: list[str] = []
    dice = random.Random(1)
    for number, pair in enumerate(islice(train, LOOKED_AT)):  # Algorithm R of Vitter 1985
        place = number if number < SAMPLE else dice.randrange(number + 1)
        if place < SAMPLE:
            sample[place : place + 1] = [pair.source]
    return share_of_several(sample, data.source_language)


def _sizes(tokenizers: Tokenizers) -> str:
    return f"{tokenizers.source.size:,}" + ("" if tokenizers.joint else f" and {tokenizers.target.size:,}")


def _stream(config: RunConfig, train: Corpus, tokenizers: Tokenizers, say: Say) -> Stream:
    """The corpus as it is read; what was left aside is told when it has been read from its beginning to its end."""
    together = _together(train)
    blocks = blocks_of(train, CHUNK_PAIRS) if together is None else _mixed(config, together)

    def read(epoch: int, skipped: int) -> Iterator[Chunk]:
        aside = Aside()
        for block in blocks(epoch, skipped):
            chunk = encode_in_process(block.pairs, tokenizers)
            yield _fitting(chunk, train, config.data.max_length, aside, new=block.new)
        if not skipped and not told:
            told.append(True)
            _tell("train", (aside,) if together else (train.aside, aside), say)

    told: list[bool] = []
    return Stream(read, hashlib.sha256(_what(config).encode()).hexdigest())


def _mixed(config: RunConfig, together: Together) -> Blocks:
    often = _often(config.data, np.array(together.sizes))
    return Mixed(together, often, CHUNK_PAIRS, config.train.seed).blocks


def _counted(train: Corpus, say: Say) -> dict[str, list[int]]:
    """What streaming several corpora has to know of them beforehand, told by going through them where nobody has."""
    together = _together(train)
    if together is None:
        return {}
    if len(together.sizes) < len(together.corpora):
        deque(together, maxlen=0)
    found = zip(together.names, together.sizes, strict=True)
    say("train: " + ", ".join(f"{size:,} pairs from {name}" for name, size in found))
    _tell("train", (together.aside,), say)
    return {"starts": together.starts, "sizes": together.sizes}


def _fitting(chunk: Chunk, corpus: Corpus, most: int, aside: Aside, *, new: int | None = None) -> Chunk:
    """The pairs that are not too long and have a target; the others are left aside, the `new` first ones counted."""
    long = np.maximum(chunk.source_lengths, chunk.target_lengths) > most
    empty = ~long & (chunk.target_lengths == 0)
    for reason, left in ((_too_long(most), long), (TOKENLESS, empty)):
        for line in chunk.lines[:new][left[:new]].tolist():
            _leave(aside, corpus, reason, line)
    return chunk.where(~long & ~empty)


def _learned(config: RunConfig, train: Corpus, folder: Path) -> Tokenizers:
    """Tokenizers for these pairs: those that an earlier try has learned, or new ones, which are saved."""
    learned = folder / LEARNED
    what = _what(config)
    if learned.is_file() and learned.read_text(encoding="utf-8") == what:
        return Tokenizers.load(folder)
    few = config.data.streaming and _together(train) is None  # several are gone through anyway, to be counted
    some = islice(train, LEARNED_FROM if few else None)
    tokenizers = train_tokenizers(config.tokenizer, ((pair.source, pair.target) for pair in some))
    if tags := config.data.all_tags:
        tokenizers = tokenizers.with_tags(tags)
    tokenizers.save(folder)
    learned.write_text(what, encoding="utf-8")
    return tokenizers


def _what(config: RunConfig) -> str:
    """What decides which pairs and tokens there are: the recipe, and the files as they are now."""
    corpora = (config.data, *config.data.corpora)
    files = [value for one in corpora for name in DATA_PATHS if (value := getattr(one, name)) is not None]
    now = [(file, stat.st_size, stat.st_mtime_ns) for file in files if (stat := _stat(Path(file)))]
    sections = [config.data.model_dump(mode="json"), config.tokenizer.model_dump(mode="json"), config.train.seed]
    return json.dumps([*sections, now, config.start and config.start.model_dump(mode="json")], ensure_ascii=False)


def _stat(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        return path.stat()
    return None  # whoever reads it says why


def _stored(config: RunConfig, train: Corpus, folder: Path) -> tuple[PairStore, Aside]:
    """The pairs of the corpus as ids, and what was left aside for its number of tokens."""
    most = config.data.max_length
    with open_writer(folder, "train", _what(config)) as writer:
        aside = Aside(writer.progress.notes.get("aside"))
        read = writer.progress.read
        for chunk in encode(islice(train, read, None), folder):
            writer.add(_fitting(chunk, train, most, aside))
            read += len(chunk)
            writer.update_progress(read=read, aside=aside.table())
        writer.finish()
    return PairStore.open(folder, "train"), aside


def _refuse_none(pairs: int, corpus: Corpus, max_length: int) -> None:
    if not pairs:
        raise DataError(
            f"every pair is longer than {max_length} tokens", where=corpus.name, fix="raise data.max_length"
        )


def _open(config: RunConfig, folder: Path, say: Say) -> Prepared:
    try:
        table = json.loads((folder / PREPARED).read_text(encoding="utf-8"))
        fingerprint, dev = table["train"], tuple((source, target) for source, target in table["dev"])
        starts = tuple(int(start) for start in table.get("starts", [0]))
        sizes = [int(size) for size in table.get("sizes", [])]
        several = None if table.get("several") is None else float(table["several"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the file cannot be read: {error!r}", where=folder / PREPARED, fix=NEW_RUN) from None
    tokenizers = Tokenizers.load(folder)
    train: PairStore | Stream
    if config.data.streaming:
        corpus, _ = split(config)
        if (together := _together(corpus)) is not None:
            if len(sizes) != len(together.corpora):
                raise DataError("it does not say how large the corpora are", where=folder / PREPARED, fix=NEW_RUN)
            together.starts, together.sizes = list(starts), sizes
        train = _stream(config, corpus, tokenizers, say)
    else:
        train = PairStore.open(folder, "train")
    if train.fingerprint != fingerprint:
        raise DataError("the training data is not what was prepared", where=folder, fix=NEW_RUN)
    names = _names(open_corpora(config.data, config.train.seed)[0])
    return Prepared(tokenizers, train, dev, starts, names, several)


def _write_whole(path: Path, table: object) -> None:
    write_atomic(path, json.dumps(table, ensure_ascii=False))


def _tell(name: str, asides: Iterable[Aside], say: Say) -> None:
    for aside in asides:
        for sentence in aside.report():
            say(f"{name}: {sentence}")


def _leave(aside: Aside, corpus: Corpus, reason: str, line: int) -> None:
    """One more pair left aside, by the name and the line of the very corpus that it is of."""
    if (together := _together(corpus)) is not None:
        name, line = together.place(line)
        reason = f"{name}: {reason}"
    aside.add(reason, line)


def _together(corpus: Corpus) -> Together | None:
    inner = corpus.corpus if isinstance(corpus, _Without) else corpus
    return inner if isinstance(inner, Together) else None


def _names(corpus: Corpus) -> tuple[str, ...]:
    together = _together(corpus)
    return Origins.names if together is None else together.names


def _too_long(most: int) -> str:
    return f"longer than data.max_length, {most} tokens,"


def _short(pairs: Corpus, tokenizers: Tokenizers, most: int, aside: Aside) -> Iterator[Pair]:
    for pair in pairs:
        source, target = tokenizers.source.encode(pair.source), tokenizers.target.encode(pair.target)
        if max(len(source), len(target)) > most:
            _leave(aside, pairs, _too_long(most), pair.line)
        elif not target:
            _leave(aside, pairs, TOKENLESS, pair.line)
        else:
            yield pair


class _Without:
    """A corpus without the pairs of some places; held: those, once it has been gone through."""

    def __init__(self, corpus: Corpus, places: frozenset[int]) -> None:
        self.corpus, self._places = corpus, places
        self.held: list[Pair] | None = None

    @property
    def name(self) -> str:
        """The whole corpus' name."""
        return self.corpus.name

    @property
    def aside(self) -> Aside:
        """What the whole corpus left aside."""
        return self.corpus.aside

    def __iter__(self) -> Iterator[Pair]:
        held = []
        for place, pair in enumerate(self.corpus):
            if place in self._places:
                held.append(pair)
            else:
                yield pair
        self.held = held


class _HeldOut:
    """What a corpus is without: taken from it as it is gone through for something else, or else for this."""

    def __init__(self, without: _Without) -> None:
        self.name, self.aside = f"{without.name}, held out of training", Aside()
        self._without = without

    def __iter__(self) -> Iterator[Pair]:
        if self._without.held is None:
            deque(self._without, maxlen=0)
        return iter(self._without.held or ())


def _hold_out(corpus: Corpus, config: RunConfig) -> tuple[Corpus, Corpus]:
    """Part off a dev set by chance, of pairs whose source occurs only once: none of it is in training."""
    found = bytearray()
    for pair in corpus:
        found += hashlib.blake2b(pair.source.encode(), digest_size=8).digest()
    digests = np.frombuffer(found, np.uint64)
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
    without = _Without(corpus, frozenset(chosen.tolist()))
    return without, _HeldOut(without)


def held_out_size(pairs: int) -> int:
    """A twentieth, at least one and at most MOST_HELD_OUT."""
    return max(1, min(MOST_HELD_OUT, pairs // 20))


def _singles(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    _, first, counts = np.unique(digests, return_index=True, return_counts=True)
    return np.sort(first[counts == 1])
