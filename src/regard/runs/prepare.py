"""Prepare the data of a run: learn the tokenizers, encode the training pairs, and filter the dev set."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from regard.checkpoints.run_folder import PREPARED
from regard.config.schema import RunConfig
from regard.console import Say
from regard.corpus.corpus import Corpus, LineOrigins, Pair, SkipReport
from regard.corpus.paths import open_corpora
from regard.data.encoding import Encode, encode
from regard.data.encoding_on_ray import encode_on_ray
from regard.data.store import PairStore, open_writer
from regard.errors import ConfigError, DataError
from regard.files import write_atomic
from regard.ray_cluster import OPTION, connect
from regard.runs.corpus_scan import forget_scan
from regard.runs.holdout import split_corpus
from regard.runs.length_filter import LengthFilter, print_skipped
from regard.runs.length_limit import length_limit_warning
from regard.runs.prepared import IdPair, Prepared, TextPair, describe_inputs
from regard.runs.stream import count_parts, open_stream
from regard.runs.warm_start import STARTED, load_warm_start
from regard.terms.learned import learn_terms
from regard.terms.tagging import MARKERS
from regard.text.segments import share_with_several_sentences
from regard.tokenizers.base import Tokenizers, train_tokenizers

STREAM_TOKENIZER_PAIRS = 200_000  # tokenizers of a streamed corpus are learned from this many first pairs
TOKENIZER_INPUTS = "learned.json"  # describes what the tokenizers next to it were learned from
SAMPLED_PAIRS = 200_000  # several sentences per source are looked for in a sample of this many first pairs
SAMPLE_SIZE = 2000  # pairs
NEW_RUN = "start a new run"


def prepare(config: RunConfig, folder: Path, say: Say, *, ray: str = "") -> Prepared:
    """Prepare the data of a recipe in `folder`, or load what is already prepared there.

    A preparation that was interrupted continues where it stopped, if neither recipe nor files have changed.

    Args:
        config: The recipe.
        folder: The `data` folder of a run.
        say: Prints how many pairs there are, and what was skipped.
        ray: The address of a Ray cluster that encodes the pairs; empty: the cores of this machine do.

    Raises:
        DataError: The corpus cannot be read, or nothing is left of it.
        WorkerLost: A process or the cluster that encodes is lost; preparing can be continued.
        ConfigError: The tokenizer does not suit the corpus, or there is no such cluster.
    """
    if (folder / PREPARED).is_file():
        return load_prepared(config, folder, say)
    if not ray:
        return _prepare(config, folder, say, encode)
    if config.data.streaming:
        fix = f"leave {OPTION} out, or set data.streaming=false"
        raise ConfigError("a streamed corpus is encoded while training", where=OPTION, fix=fix)
    with connect(ray):
        return _prepare(config, folder, say, encode_on_ray)


def _prepare(config: RunConfig, folder: Path, say: Say, encode_pairs: Encode) -> Prepared:
    folder.mkdir(parents=True, exist_ok=True)
    train, dev_corpus = split_corpus(config)
    forget_scan()
    sample = SourceSample()
    warm_start = None
    if config.start is None:
        tokenizers = _learn_tokenizers(config, train, folder, sample)
    else:
        warm_start = load_warm_start(config, config.start, train, folder / STARTED, say)
        tokenizers = warm_start.tokenizers
        tokenizers.save(folder)
    dev = _encode_dev(dev_corpus, tokenizers, config.data.max_length, say)
    if config.data.streaming:
        return _prepare_stream(config, folder, train, dev, tokenizers, sample, say)
    store, length_filter = _encode_training_pairs(config, train, folder, sample, encode_pairs)
    length_filter.require_any(len(store))
    say(
        f"train: {len(store):,} pairs from {train.name}; "
        f"{int(store.source_lengths.sum()):,} source and {int(store.target_lengths.sum()):,} target tokens, "
        f"vocabulary {tokenizers.describe_sizes()}"
    )
    print_skipped("train", (train.skipped, length_filter.report), say)
    if warning := length_limit_warning(config.search, store):
        say(warning)
    if warm_start is not None:
        say(warm_start.describe_fit(store))
    origins = train.origins
    share = sample.multi_sentence_share(train, config.data.source_language)
    terms = learn_terms(folder, store, tokenizers, say) if config.train.terms else None
    skipped = Counter(train.skipped.counts) + Counter(length_filter.report.counts)
    _write_prepared(folder, dev, store.fingerprint, origins, share, skipped)
    return Prepared(tokenizers, store, dev.texts, dev.ids, origins, share, terms)


@dataclass(frozen=True)
class _Dev:
    """The dev set as text and as token ids."""

    texts: tuple[TextPair, ...]
    ids: tuple[IdPair, ...]


class SourceSample:
    """A random sample of the sources among the first pairs of a corpus, taken while the pairs are read.

    Attributes:
        sources: The sampled sources.
        is_complete: Whether all of the first pairs have been read.
    """

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.is_complete = False

    def observe(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield all pairs, and start a new sample with them."""
        self.sources, self.is_complete = [], False
        rng = random.Random(1)
        for index, pair in enumerate(pairs):
            if index < SAMPLED_PAIRS:  # Algorithm R (Vitter 1985)
                slot = index if index < SAMPLE_SIZE else rng.randrange(index + 1)
                if slot < SAMPLE_SIZE:
                    self.sources[slot : slot + 1] = [pair.source]
            self.is_complete = index + 1 >= SAMPLED_PAIRS
            yield pair
        self.is_complete = True

    def multi_sentence_share(self, corpus: Corpus, language: str) -> float:
        """Return the share of sampled sources with more than one sentence; read the corpus if that was not done yet."""
        if not self.is_complete:
            for _ in islice(self.observe(corpus), SAMPLED_PAIRS):
                pass
        return share_with_several_sentences(self.sources, language)


def _learn_tokenizers(config: RunConfig, train: Corpus, folder: Path, sample: SourceSample) -> Tokenizers:
    """Return tokenizers that an interrupted preparation has learned from the same inputs, or learn and save them."""
    inputs_file = folder / TOKENIZER_INPUTS
    inputs = describe_inputs(config)
    if inputs_file.is_file() and inputs_file.read_text(encoding="utf-8") == inputs:
        return Tokenizers.load(folder)
    # The parts of a concatenation must be counted anyway, so all of them are read.
    is_limited = config.data.streaming and not train.parts
    pairs = islice(sample.observe(train), STREAM_TOKENIZER_PAIRS if is_limited else None)
    tokenizers = train_tokenizers(config.tokenizer, ((pair.source, pair.target) for pair in pairs))
    if tags := [*config.data.all_tags, *(MARKERS if config.train.terms else ())]:
        tokenizers = tokenizers.with_tags(tags)
    tokenizers.save(folder)
    inputs_file.write_text(inputs, encoding="utf-8")
    return tokenizers


def _encode_dev(corpus: Corpus, tokenizers: Tokenizers, max_length: int, say: Say) -> _Dev:
    """Encode the dev set, without the pairs that are too long."""
    length_filter = LengthFilter(corpus, max_length)
    texts: list[TextPair] = []
    ids: list[IdPair] = []
    for pair in corpus:
        source, target = tokenizers.source.encode(pair.source), tokenizers.target.encode(pair.target)
        if length_filter.keeps(len(source), len(target), pair.line):
            texts.append((pair.source, pair.target))
            ids.append((source, target))
    length_filter.require_any(len(texts))
    say(f"dev: {len(texts):,} pairs from {corpus.name}")
    print_skipped("dev", (corpus.skipped, length_filter.report), say)
    return _Dev(tuple(texts), tuple(ids))


def _encode_training_pairs(
    config: RunConfig, train: Corpus, folder: Path, sample: SourceSample, encode_pairs: Encode
) -> tuple[PairStore, LengthFilter]:
    """Store the training pairs as token ids, without those that are too long; continue an interrupted store."""
    with open_writer(folder, "train", describe_inputs(config)) as writer:
        report = SkipReport(writer.progress.notes.get("aside"))
        length_filter = LengthFilter(train, config.data.max_length, report)
        read = writer.progress.read
        pairs = train if sample.is_complete else sample.observe(train)
        for chunk in encode_pairs(islice(pairs, read, None), folder):
            writer.add(length_filter.filter(chunk))
            read += len(chunk)
            writer.update_progress(read=read, aside=report.table())
        writer.finish()
    return PairStore.open(folder, "train", train.origins), length_filter


def _prepare_stream(
    config: RunConfig,
    folder: Path,
    train: Corpus,
    dev: _Dev,
    tokenizers: Tokenizers,
    sample: SourceSample,
    say: Say,
) -> Prepared:
    train.check()
    origins = count_parts(train, say)
    stream = open_stream(config, train, origins, tokenizers, say)
    say(f"train: {train.name}, as it is read; vocabulary {tokenizers.describe_sizes()}")
    share = sample.multi_sentence_share(train, config.data.source_language)
    _write_prepared(folder, dev, stream.fingerprint, origins, share)
    return Prepared(tokenizers, stream, dev.texts, dev.ids, origins, share)


def _write_prepared(
    folder: Path,
    dev: _Dev,
    fingerprint: str,
    origins: LineOrigins,
    share: float,
    skipped: Mapping[str, int] | None = None,
) -> None:
    """Write the file that completes the preparation. `skipped` is for the model card: pairs by reason, if known."""
    lines = {"starts": origins.starts, "sizes": origins.sizes}
    table: dict[str, object] = {"dev": dev.texts, "train": fingerprint, "several": share, **lines}
    if skipped is not None:
        table["skipped"] = skipped
    write_atomic(folder / PREPARED, json.dumps(table, ensure_ascii=False))


def load_prepared(config: RunConfig, folder: Path, say: Say) -> Prepared:
    """Load what `prepare` has written into `folder`. Raise DataError if it is damaged or the corpus has changed."""
    try:
        table = json.loads((folder / PREPARED).read_text(encoding="utf-8"))
        fingerprint, dev = table["train"], tuple((source, target) for source, target in table["dev"])
        starts = tuple(int(start) for start in table.get("starts", [0]))
        sizes = tuple(int(size) for size in table.get("sizes", []))
        share = None if table.get("several") is None else float(table["several"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the file cannot be read: {error!r}", where=folder / PREPARED, fix=NEW_RUN) from None
    tokenizers = Tokenizers.load(folder)
    corpus, _ = open_corpora(config.data, config.train.seed, len(config.tokenizer.source_columns))
    origins = LineOrigins(corpus.origins.names, starts, sizes)
    if config.data.streaming and len(sizes) != len(corpus.parts):
        raise DataError("the sizes of the corpora are missing", where=folder / PREPARED, fix=NEW_RUN)
    train = (
        open_stream(config, corpus, origins, tokenizers, say)
        if config.data.streaming
        else PairStore.open(folder, "train", origins)
    )
    if train.fingerprint != fingerprint:
        raise DataError("the training data is not what was prepared", where=folder, fix=NEW_RUN)
    dev_ids = tuple((tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in dev)
    terms = None
    if config.train.terms > 0 and isinstance(train, PairStore):
        terms = learn_terms(folder, train, tokenizers, say)
    return Prepared(tokenizers, train, dev, dev_ids, origins, share, terms)
