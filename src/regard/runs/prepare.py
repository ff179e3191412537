"""From a corpus to what training eats: tokenizers, token arrays, and the dev set's text, all inside the run."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard.checkpoints.run_folder import PREPARED
from regard.config.schema import DATA_PATHS, DataConfig, RunConfig
from regard.corpus.blocks import Blocks, WeightedBlocks, sequential_blocks
from regard.corpus.corpus import Corpus, LineOrigins, Pair, SingleCorpus, SkipReport
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
from regard.text.segments import share_with_several_sentences
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
    origins: LineOrigins = field(default_factory=LineOrigins)  # the corpus of each line
    several_sentences: float | None = None  # share of sources with more than one; None where nobody looked

    @property
    def store(self) -> PairStore:
        """The pairs as ids, of a corpus that is not streamed."""
        assert isinstance(self.train, PairStore)
        return self.train

    def loader(
        self, config: RunConfig, position: Position = Position(0, 0), *, rank: int = 0, size: int = 1
    ) -> BatchSource:
        """Batches as a recipe wants them, from a position on, for a process of so many."""
        amount = config.train.subword_sampling
        resample = None if amount is None else SubwordSampler(self.tokenizers, amount, config.data.max_length)
        given = config.train.tokens_per_batch, config.train.seed, position
        if isinstance(self.train, Stream):
            return StreamLoader(self.train.read, *given, rank=rank, size=size, resample=resample)
        shares = self._shares(config.data, self.train)
        return Loader(self.train, *given, rank=rank, size=size, resample=resample, shares=shares)

    def _shares(self, data: DataConfig, store: PairStore) -> SamplingWeights | None:
        origins = np.searchsorted(np.array(self.origins.starts), store.lines) - 1
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
    too_long = SkipReport()
    texts = tuple((pair.source, pair.target) for pair in _short(dev, tokenizers, config.data.max_length, too_long))
    _refuse_none(len(texts), dev, config.data.max_length)
    say(f"dev: {len(texts):,} pairs from {dev.name}")
    _tell("dev", (dev.skipped, too_long), say)
    if config.data.streaming:
        train.check()
        origins = _counted(train, say)
        stream = _stream(config, train, origins, tokenizers, say)
        say(f"train: {train.name}, as it is read; vocabulary {_sizes(tokenizers)}")
        several = _several(train, config.data)
        _save(folder, texts, stream, origins, several)
        return Prepared(tokenizers, stream, texts, origins, several)
    store, too_long = _stored(config, train, folder)
    origins = train.origins
    _refuse_none(len(store), train, config.data.max_length)
    say(
        f"train: {len(store):,} pairs from {train.name}; "
        f"{int(store.source_lengths.sum()):,} source and {int(store.target_lengths.sum()):,} target tokens, "
        f"vocabulary {_sizes(tokenizers)}"
    )
    _tell("train", (train.skipped, too_long), say)
    if taken_up is not None:
        say(taken_up.fit(store))
    several = _several(train, config.data)
    _save(folder, texts, store, origins, several)
    return Prepared(tokenizers, store, texts, origins, several)


def _several(train: Corpus, data: DataConfig) -> float:
    """Return the share of training sources that hold more than one sentence, of a sample of the first pairs."""
    sample: list[str] = []
    dice = random.Random(1)
    for number, pair in enumerate(islice(train, LOOKED_AT)):  # Algorithm R of Vitter 1985
        place = number if number < SAMPLE else dice.randrange(number + 1)
        if place < SAMPLE:
            sample[place : place + 1] = [pair.source]
    return share_with_several_sentences(sample, data.source_language)


def _sizes(tokenizers: Tokenizers) -> str:
    return f"{tokenizers.source.size:,}" + ("" if tokenizers.joint else f" and {tokenizers.target.size:,}")


def _stream(config: RunConfig, train: Corpus, origins: LineOrigins, tokenizers: Tokenizers, say: Say) -> Stream:
    """The corpus as it is read; what was left aside is told when it has been read from its beginning to its end."""
    blocks = _mixed(config, train, origins) if train.parts else sequential_blocks(train, CHUNK_PAIRS)
    named = bool(train.parts)

    def read(epoch: int, skipped: int) -> Iterator[Chunk]:
        aside = SkipReport()
        for block in blocks(epoch, skipped):
            chunk = encode_in_process(block.pairs, tokenizers)
            yield _fitting(chunk, origins, config.data.max_length, aside, named=named, new=block.new)
        if not skipped and not told:
            told.append(True)
            _tell("train", (aside,) if named else (train.skipped, aside), say)

    told: list[bool] = []
    return Stream(read, hashlib.sha256(_what(config).encode()).hexdigest())


def _mixed(config: RunConfig, train: Corpus, origins: LineOrigins) -> Blocks:
    often = _often(config.data, np.array(origins.sizes))
    return WeightedBlocks(train.parts, origins, often, CHUNK_PAIRS, config.train.seed).blocks


def _counted(train: Corpus, say: Say) -> LineOrigins:
    """What streaming several corpora has to know of them beforehand, told by going through them where nobody has."""
    if not train.parts:
        return train.origins
    if len(train.origins.sizes) < len(train.parts):
        deque(train, maxlen=0)
    found = zip(train.origins.names, train.origins.sizes, strict=True)
    say("train: " + ", ".join(f"{size:,} pairs from {name}" for name, size in found))
    _tell("train", (train.skipped,), say)
    return train.origins


def _fitting(
    chunk: Chunk, origins: LineOrigins, most: int, aside: SkipReport, *, named: bool, new: int | None = None
) -> Chunk:
    """The pairs that are not too long and have a target; the others are left aside, the `new` first ones counted."""
    long = np.maximum(chunk.source_lengths, chunk.target_lengths) > most
    empty = ~long & (chunk.target_lengths == 0)
    for reason, left in ((_too_long(most), long), (TOKENLESS, empty)):
        for line in chunk.lines[:new][left[:new]].tolist():
            _leave(aside, origins, reason, line, named=named)
    return chunk.where(~long & ~empty)


def _learned(config: RunConfig, train: Corpus, folder: Path) -> Tokenizers:
    """Tokenizers for these pairs: those that an earlier try has learned, or new ones, which are saved."""
    learned = folder / LEARNED
    what = _what(config)
    if learned.is_file() and learned.read_text(encoding="utf-8") == what:
        return Tokenizers.load(folder)
    few = config.data.streaming and not train.parts  # several are gone through anyway, to be counted
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


def _stored(config: RunConfig, train: Corpus, folder: Path) -> tuple[PairStore, SkipReport]:
    """The pairs of the corpus as ids, and what was left aside for its number of tokens."""
    most = config.data.max_length
    with open_writer(folder, "train", _what(config)) as writer:
        aside = SkipReport(writer.done.notes.get("aside"))
        read = writer.done.read
        for chunk in encode(islice(train, read, None), folder):
            writer.add(_fitting(chunk, train.origins, most, aside, named=bool(train.parts)))
            read += len(chunk)
            writer.note(read=read, aside=aside.table())
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
        sizes = tuple(int(size) for size in table.get("sizes", []))
        several = None if table.get("several") is None else float(table["several"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the file cannot be read: {error!r}", where=folder / PREPARED, fix=NEW_RUN) from None
    tokenizers = Tokenizers.load(folder)
    train: PairStore | Stream
    if config.data.streaming:
        corpus, _ = split(config)
        if len(sizes) != len(corpus.parts):
            raise DataError("it does not say how large the corpora are", where=folder / PREPARED, fix=NEW_RUN)
        origins = LineOrigins(corpus.origins.names, starts, sizes)
        train = _stream(config, corpus, origins, tokenizers, say)
    else:
        names = open_corpora(config.data, config.train.seed)[0].origins.names
        origins = LineOrigins(names, starts, sizes)
        train = PairStore.open(folder, "train")
    if train.fingerprint != fingerprint:
        raise DataError("the training data is not what was prepared", where=folder, fix=NEW_RUN)
    return Prepared(tokenizers, train, dev, origins, several)


def _save(
    folder: Path, dev: Sequence[tuple[str, str]], train: PairStore | Stream, origins: LineOrigins, several: float
) -> None:
    lines = {"starts": origins.starts, "sizes": origins.sizes}
    table = {"dev": dev, "train": train.fingerprint, "several": several, **lines}
    write_atomic(folder / PREPARED, json.dumps(table, ensure_ascii=False))


def _tell(name: str, asides: Iterable[SkipReport], say: Say) -> None:
    for aside in asides:
        for sentence in aside.sentences():
            say(f"{name}: {sentence}")


def _leave(aside: SkipReport, origins: LineOrigins, reason: str, line: int, *, named: bool) -> None:
    """One more pair left aside, by the line of the very corpus that it is of, and its name where there are several."""
    origin = origins.locate(line)
    aside.add(f"{origin.name}: {reason}" if named else reason, origin.line)


def _too_long(most: int) -> str:
    return f"longer than data.max_length, {most} tokens,"


def _short(pairs: Corpus, tokenizers: Tokenizers, most: int, aside: SkipReport) -> Iterator[Pair]:
    for pair in pairs:
        source, target = tokenizers.source.encode(pair.source), tokenizers.target.encode(pair.target)
        if max(len(source), len(target)) > most:
            _leave(aside, pairs.origins, _too_long(most), pair.line, named=bool(pairs.parts))
        elif not target:
            _leave(aside, pairs.origins, TOKENLESS, pair.line, named=bool(pairs.parts))
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
    def skipped(self) -> SkipReport:
        """What the whole corpus left aside."""
        return self.corpus.skipped

    @property
    def parts(self) -> Sequence[Corpus]:
        """Those of the whole corpus."""
        return self.corpus.parts

    @property
    def origins(self) -> LineOrigins:
        """Those of the whole corpus."""
        return self.corpus.origins

    def check(self) -> None:
        """Check the whole corpus."""
        self.corpus.check()

    def __iter__(self) -> Iterator[Pair]:
        held = []
        for place, pair in enumerate(self.corpus):
            if place in self._places:
                held.append(pair)
            else:
                yield pair
        self.held = held


class _HeldOut(SingleCorpus):
    """What a corpus is without: taken from it as it is gone through for something else, or else for this."""

    def __init__(self, without: _Without) -> None:
        self.name, self.skipped = f"{without.name}, held out of training", SkipReport()
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
