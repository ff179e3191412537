"""Read a corpus block by block, starting at any block: one corpus in order, or several mixed by weight."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from regard.corpus.corpus import Corpus, LineOrigins, Pair
from regard.errors import DataError


@dataclass(frozen=True)
class Block:
    """Pairs; the first `new` of them appear for the first time in this epoch."""

    pairs: Sequence[Pair]
    new: int


Blocks = Callable[[int, int], Iterator[Block]]
"""Return the blocks of an epoch, starting at a block; both are counted from 0."""


def sequential_blocks(corpus: Corpus, block_size: int) -> Blocks:
    """Return blocks of `block_size` pairs in the corpus' order; each pair appears once per epoch."""

    def blocks(_: int, first_block: int) -> Iterator[Block]:
        pairs = islice(corpus, first_block * block_size, None)
        while block := list(islice(pairs, block_size)):
            yield Block(block, len(block))

    return blocks


class WeightedBlocks:
    """Several corpora mixed: every block of an epoch holds the same share of each.

    With weight 2.5, each pair of a corpus is drawn twice in the corpus' order, and then half of the pairs once more, a
    different half in each epoch. The order depends on the seed, the epoch and the block only.
    """

    def __init__(
        self, corpora: Sequence[Corpus], origins: LineOrigins, weights: Sequence[float], block_size: int, seed: int
    ) -> None:
        """Mix corpora by weight.

        Args:
            corpora: The corpora, as `Corpus.parts` lists them.
            origins: Their line numbers and sizes, from an iteration over all of them.
            weights: How often each pair of each corpus appears in an epoch.
            block_size: Pairs of a block, plus or minus one per corpus.
            seed: Seed of the choice of pairs that appear once more.
        """
        self._corpora = tuple(zip(corpora, origins.starts, origins.sizes, strict=True))
        self._quotas = [
            size * int(weight) + round(size * (weight % 1)) for size, weight in zip(origins.sizes, weights, strict=True)
        ]  # pairs of each corpus in an epoch
        self._count = -(-sum(self._quotas) // block_size)
        self._seed = seed

    def blocks(self, epoch: int, first_block: int) -> Iterator[Block]:
        """Yield the blocks of an epoch from `first_block` on. Raise DataError if a corpus has become smaller."""
        drawn = self._drawn_before(first_block)
        draws = [self._draw(epoch, index, count) for index, count in enumerate(drawn)]
        for block in range(first_block, self._count):
            until = self._drawn_before(block + 1)
            new, repeated = list[Pair](), list[Pair]()
            for (corpus, _, size), draw, first, last in zip(self._corpora, draws, drawn, until, strict=True):
                pairs = list(islice(draw, last - first))
                if len(pairs) < last - first:
                    raise DataError(
                        "the corpus has fewer pairs than when it was counted", where=corpus.name, fix="start a new run"
                    )
                middle = max(0, size - first)
                new += pairs[:middle]
                repeated += pairs[middle:]
            drawn = until
            yield Block([*new, *repeated], len(new))

    def _drawn_before(self, block: int) -> list[int]:
        """Return how many pairs of each corpus appear in an epoch before a block."""
        return [quota * block // max(1, self._count) for quota in self._quotas]

    def _draw(self, epoch: int, index: int, skip: int) -> Iterator[Pair]:
        """Yield the pairs of one corpus in an epoch, except the first `skip`."""
        corpus, start, size = self._corpora[index]
        if not size:
            return
        full_passes, extra = divmod(self._quotas[index], size)
        skipped_passes, skip = divmod(skip, size)
        for pass_number in range(skipped_passes, full_passes + (extra > 0)):
            pairs = iter(corpus)
            if pass_number == full_passes:
                pairs = _sample(pairs, extra, size, random.Random(f"{self._seed} {epoch} {index}"))
            for pair in islice(pairs, skip, None):
                yield Pair(pair.source, pair.target, start + pair.line)
            skip = 0


def _sample(pairs: Iterator[Pair], count: int, size: int, rng: random.Random) -> Iterator[Pair]:
    """Sample `count` of `size` pairs uniformly, in their order (Knuth, volume 2, section 3.4.2, Algorithm S)."""
    for remaining in range(size, 0, -1):
        if not count or (pair := next(pairs, None)) is None:
            return
        if rng.random() * remaining < count:
            count -= 1
            yield pair
