"""The prepared data of a run: tokenizers, training pairs as token ids, and the dev set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from regard.config.schema import DataConfig, RunConfig
from regard.corpus.corpus import LineOrigins
from regard.data.augmentation import Augmenter
from regard.data.loader import BatchSize, BatchSource, Loader, Position, Resample, ResampleSteps, SamplingWeights
from regard.data.store import PairStore
from regard.data.streaming import Stream, StreamLoader
from regard.data.subword_sampling import SubwordSampler
from regard.runs.corpus_scan import file_states
from regard.terms.learned import LearnedTerms
from regard.terms.tagging import TermSampler
from regard.tokenizers.base import Tokenizers

TextPair = tuple[str, str]  # source, target
IdPair = tuple[Sequence[int], Sequence[int]]  # source, target, without BOS and EOS


@dataclass(frozen=True)
class Prepared:
    """What `prepare` writes into the `data` folder of a run.

    Attributes:
        tokenizers: The tokenizers of both sides.
        train: The training pairs as token ids; for a streamed corpus, its reader.
        dev: The dev set as text.
        dev_ids: The dev set as token ids.
        origins: The corpus that each training line comes from.
        multi_sentence_share: Share of a sample of training sources that hold several sentences; None if unknown.
        terms: The terms of the training pairs, if the recipe trains with terms.
    """

    tokenizers: Tokenizers
    train: PairStore | Stream
    dev: tuple[TextPair, ...]
    dev_ids: tuple[IdPair, ...] = field(repr=False)
    origins: LineOrigins = field(default_factory=LineOrigins)
    multi_sentence_share: float | None = None
    terms: LearnedTerms | None = field(default=None, repr=False)

    @property
    def store(self) -> PairStore:
        """The training pairs of a corpus that is not streamed."""
        assert isinstance(self.train, PairStore)
        return self.train

    def limit_dev(self, count: int) -> Prepared:
        """Return the same with only the first `count` pairs of the dev set."""
        return replace(self, dev=self.dev[:count], dev_ids=self.dev_ids[:count])

    def loader(
        self, config: RunConfig, position: Position = Position(0, 0), *, rank: int = 0, size: int = 1
    ) -> BatchSource:
        """Return the training batches of a recipe.

        Args:
            config: The recipe.
            position: Where in the batches to start.
            rank: The number of this process; it gets its share of each batch.
            size: The number of processes.
        """
        resample = self._resample(config)
        batch_size = BatchSize(config.train.tokens_per_batch, config.train.pairs_per_batch)
        batching = batch_size, config.train.seed, position
        if isinstance(self.train, Stream):
            return StreamLoader(
                self.train.read, *batching, rank=rank, size=size, resample=resample, origins=self.origins
            )
        weights = self._sampling_weights(config.data, self.train)
        loader = Loader(self.train, *batching, rank=rank, size=size, resample=resample, weights=weights)
        loader.tag_terms = None if self.terms is None else self._term_sampler(config, self.terms)
        return loader

    def _term_sampler(self, config: RunConfig, terms: LearnedTerms) -> TermSampler:
        share, max_length = config.train.terms, config.data.max_length
        return TermSampler(self.tokenizers, terms.spans, terms.forms.target, share, max_length)

    def _resample(self, config: RunConfig) -> Resample | None:
        """Return what changes the pairs of a batch: augmentation, then subword sampling; None if both are off."""
        steps: list[Resample] = []
        if rates := config.augmentation.rates:
            steps.append(Augmenter(self.tokenizers, rates, config.data.max_length))
        if config.train.subword_sampling is not None:
            steps.append(SubwordSampler(self.tokenizers, config.train.subword_sampling, config.data.max_length))
        return steps[0] if len(steps) == 1 else ResampleSteps(steps) if steps else None

    def _sampling_weights(self, data: DataConfig, store: PairStore) -> SamplingWeights | None:
        corpus_indices = np.searchsorted(np.array(self.origins.starts), store.lines) - 1  # (pairs,)
        weights = sampling_weights(data, np.bincount(corpus_indices, minlength=len(data.corpora)))
        return None if all(weight == 1 for weight in weights) else SamplingWeights(corpus_indices, weights)


def sampling_weights(data: DataConfig, sizes: NDArray[np.int64]) -> list[float]:
    """Return how often each pair of each corpus occurs in an epoch.

    Args:
        data: The [data] section, with the weight of each corpus and the temperature.
        sizes: The number of pairs of each corpus, (corpora,).
    """
    weights = [corpus.weight for corpus in data.corpora or (data,)]
    if data.temperature > 1:
        flattened = np.where(sizes > 0, sizes, 1) ** (1 / data.temperature)
        factors = flattened / flattened.sum() * sizes.sum() / np.maximum(sizes, 1)
        weights = [weight * float(factor) for weight, factor in zip(weights, factors, strict=True)]
    return weights


def describe_inputs(config: RunConfig) -> str:
    """Return everything that determines the prepared data, as JSON: parts of the recipe, and the state of its files.

    It is stored next to what was prepared. If it differs later, that part is prepared again.
    """
    start = None if config.start is None else config.start.model_dump(mode="json")
    sections = [config.data.model_dump(mode="json"), config.tokenizer.model_dump(mode="json"), config.train.seed]
    terms = ["terms"] if config.train.terms else []
    return json.dumps([*sections, file_states(config.data), start, *terms], ensure_ascii=False)
