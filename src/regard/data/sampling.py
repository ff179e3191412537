"""Subword regularisation: the text of a batch is cut into other pieces each time it comes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sentencepiece

from regard.data.batch import Ids
from regard.text.subword import SubwordTokenizer
from regard.text.tagged import TaggedTokenizer
from regard.text.tokenizer import Tokenizer, Tokenizers

Pairs = Sequence[tuple[Ids, Ids]]


class Sampler:
    """Draws how text is cut: by a unigram's probabilities to the power of `amount` (Kudo 2018, section 3.3, alpha).

    For BPE, `amount` is the probability with which a merge is left out (Provilkov et al. 2020). What is drawn is a
    function of the numbers in `seed` alone. A sequence that would be longer than `longest` is left as it is.
    """

    def __init__(self, tokenizers: Tokenizers, amount: float, longest: int) -> None:
        source, target = _inner(tokenizers.source), _inner(tokenizers.target)
        assert isinstance(source, SubwordTokenizer) and isinstance(target, SubwordTokenizer)  # see RunConfig
        self._sides = source, target
        self._amount, self._longest = amount, longest

    def __call__(self, pairs: Pairs, seed: Sequence[int]) -> Pairs:
        """The same text in other pieces."""
        sentencepiece.set_random_generator_seed(int(np.random.default_rng(seed).integers(2**32)))
        return [(self._other(0, source), self._other(1, target)) for source, target in pairs]

    def _other(self, side: int, ids: Ids) -> Ids:
        tokenizer = self._sides[side]
        tags = [int(id) for id in ids if id >= tokenizer.size]
        found = [*tags, *tokenizer.sample(ids[len(tags) :], self._amount)]
        return found if len(tags) < len(found) <= self._longest else ids


def _inner(tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer.inner if isinstance(tokenizer, TaggedTokenizer) else tokenizer
