"""Subword regularisation: the text of a batch is cut into other pieces each time it comes."""

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
    """Draws the segmentation of each text of a batch.

    amount: alpha of a unigram model (Kudo 2018), or the dropout of BPE (Provilkov et al. 2020); see
    regard.tokenizers.random_segmentation. A sequence that would be longer than `longest` tokens is left as it is.
    """

    def __init__(self, tokenizers: Tokenizers, amount: float, longest: int) -> None:
        source, target = _inner(tokenizers.source), _inner(tokenizers.target)
        assert isinstance(source, SubwordTokenizer) and isinstance(target, SubwordTokenizer)  # see RunConfig
        self._sizes = source.size, target.size
        self._tagged = source is not tokenizers.source, target is not tokenizers.target
        first = make_segmenter(source, amount)
        self._segmenters = first, first if target is source else make_segmenter(target, amount)
        self._longest = longest

    def __call__(self, pairs: Pairs, seed: Sequence[int]) -> Pairs:
        """Return the same text in other pieces: a function of the pairs and the seed alone, in every process."""
        uniform = random.Random(int(np.random.default_rng(seed).integers(2**63))).random
        return [(self._draw(0, source, uniform), self._draw(1, target, uniform)) for source, target in pairs]

    def _draw(self, side: int, ids: Ids, uniform: Uniform) -> Ids:
        kept = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        tags = [id for id in kept if id >= self._sizes[side]] if self._tagged[side] else []
        drawn = [*tags, *self._segmenters[side].draw(kept[len(tags) :], uniform)]
        return drawn if len(tags) < len(drawn) <= self._longest else ids


def _inner(tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer.inner if isinstance(tokenizer, TaggedTokenizer) else tokenizer
