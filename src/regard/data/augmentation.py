"""Augmentation: some pairs of a batch are changed as people change text, differently each time they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np

from regard.data.batch import Ids
from regard.special_tokens import UNK
from regard.text.perturbations import TRAINING
from regard.tokenizers.base import Tokenizer, Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

Pairs = Sequence[tuple[Ids, Ids]]
MAX_GROWTH, MAX_ADDED = 1.25, 10  # a changed sequence has at most 1.25 * L + 10 tokens in a batch of length L
STREAM = 2  # appended to the seed, so that the draws are not those of subword sampling and of terms


class Augmenter:
    """Changes the text of some pairs of a batch, by decoding and encoding their ids.

    Args:
        tokenizers: The tokenizers of both sides.
        rates: The share of pairs that get each change of regard.text.perturbations.TRAINING, by its name.
        max_length: A pair in which a side would have more tokens keeps its ids.

    A pair also keeps its ids if it would make the batch much longer, because all shorter rows would be padded. Examples
    are capitals that the vocabulary spells letter by letter; regard.text.capitals makes a translator handle these.
    """

    def __init__(self, tokenizers: Tokenizers, rates: Mapping[str, float], max_length: int) -> None:
        self._tokenizers = tokenizers
        self._changes = [change for name, change in TRAINING.items() if rates.get(name)]
        self._rates = np.array([rates[name] for name in TRAINING if rates.get(name)])
        self._max_length = max_length

    def __call__(self, pairs: Pairs, seed: Sequence[int]) -> Pairs:
        """Return the pairs with some of them changed; the result depends only on the pairs and the seed."""
        generator = np.random.default_rng([*seed, STREAM])
        is_chosen = generator.random((len(pairs), len(self._changes))) < self._rates  # (pairs, changes)
        seeds = generator.integers(2**63, size=len(pairs))
        longest = max((len(ids) for pair in pairs for ids in pair), default=0)
        limit = min(self._max_length, int(MAX_GROWTH * longest) + MAX_ADDED)
        changed = list(pairs)
        for row in np.flatnonzero(is_chosen.any(1)).tolist():
            chosen = np.flatnonzero(is_chosen[row]).tolist()
            changed[row] = self._change(pairs[row], chosen, Random(int(seeds[row])), limit)
        return changed

    def _change(self, pair: tuple[Ids, Ids], chosen: Sequence[int], random: Random, limit: int) -> tuple[Ids, Ids]:
        sides = [list(map(int, ids)) for ids in pair]
        if any(UNK in ids for ids in sides):  # the text is not known
            return pair
        tokenizers = self._tokenizers.source, self._tokenizers.target
        source, target = (tokenizer.decode(ids) for tokenizer, ids in zip(tokenizers, sides, strict=True))
        for index in chosen:
            source, target = self._changes[index](source, target, random)
        encoded = [
            _encode(tokenizer, text, ids)
            for tokenizer, text, ids in zip(tokenizers, (source, target), sides, strict=True)
        ]
        if not all(encoded) or max(map(len, encoded)) > limit:
            return pair
        return encoded[0], encoded[1]


def _encode(tokenizer: Tokenizer, text: str, original: Sequence[int]) -> list[int]:
    """Return the ids of a text with the tags of the original ids."""
    if not isinstance(tokenizer, TaggedTokenizer):
        return tokenizer.encode(text)
    inner = tokenizer.inner
    return [*(id for id in original if id >= inner.size), *inner.encode(text)]
