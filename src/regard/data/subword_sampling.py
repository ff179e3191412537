"""Subword regularization: the text of a batch is segmented differently each time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from regard.data.batch import Ids
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.random_segmentation import Uniform, make_segmenter
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer

Pairs = Sequence[tuple[Ids, Ids]]


class SubwordSampler:
    """Samples a segmentation of each text of a batch.

    Args:
        tokenizers: Subword tokenizers.
        amount: Alpha of a unigram model (Kudo 2018), or the dropout of BPE (Provilkov et al. 2020); see
            regard.tokenizers.random_segmentation.
        max_length: A sequence that would have more tokens keeps its ids.
    """

    def __init__(self, tokenizers: Tokenizers, amount: float, max_length: int) -> None:
        source, target = _untagged(tokenizers.source), _untagged(tokenizers.target)
        assert isinstance(source, SubwordTokenizer) and isinstance(target, SubwordTokenizer)  # RunConfig checks it
        self._sizes = source.size, target.size
        self._is_tagged = source is not tokenizers.source, target is not tokenizers.target
        source_segmenter = make_segmenter(source, amount)
        target_segmenter = source_segmenter if target is source else make_segmenter(target, amount)
        self._segmenters = source_segmenter, target_segmenter
        self._max_length = max_length

    def __call__(self, pairs: Pairs, seed: Sequence[int]) -> Pairs:
        """Return the same text in other subwords; the result depends only on the pairs and the seed."""
        uniform = random.Random(int(np.random.default_rng(seed).integers(2**63))).random
        return [(self._sample(0, source, uniform), self._sample(1, target, uniform)) for source, target in pairs]

    def _sample(self, side: int, ids: Ids, uniform: Uniform) -> Ids:
        original = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        tags = [id for id in original if id >= self._sizes[side]] if self._is_tagged[side] else []
        sampled = [*tags, *self._segmenters[side].draw(original[len(tags) :], uniform)]
        return sampled if len(tags) < len(sampled) <= self._max_length else ids


def _untagged(tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer.inner if isinstance(tokenizer, TaggedTokenizer) else tokenizer
