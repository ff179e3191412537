"""A corpus read block by block, from any block on: one alone, or several side by side, each as often as is wanted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from regard.corpus.concat import Together
from regard.corpus.corpus import Corpus, Pair
from regard.errors import DataError


@dataclass(frozen=True)
class Block:
    """Pairs, of which the first `new` have not come before in the epoch."""

    pairs: Sequence[Pair]
    new: int


Blocks = Callable[[int, int], Iterator[Block]]
"""Those of an epoch (from 0), from a block (from 0) on."""


def blocks_of(corpus: Corpus, most: int) -> Blocks:
    """Every pair once an epoch, in the corpus' order, `most` in a block."""

    def blocks(_: int, begin: int) -> Iterator[Block]:
        pairs = islice(corpus, begin * most, None)
        while some := list(islice(pairs, most)):
            yield Block(some, len(some))

    return blocks


class Mixed:
    """Corpora side by side: every block of an epoch has as large a part of each.

    Of one that comes 2.5 times each pair is drawn twice, in the corpus' order, and then half of them once more, others
    in each epoch. What comes when is a function of the seed, the epoch and the block alone.
    """

    def __init__(self, together: Together, often: Sequence[float], most: int, seed: int) -> None:
        """together: gone through, so that its sizes are known. most: pairs of a block, give or take one a corpus."""
        self._corpora = tuple(zip(together.corpora, together.starts, together.sizes, strict=True))
        wanted = ((size, int(one), one % 1) for size, one in zip(together.sizes, often, strict=True))
        self._wanted = [size * whole + round(size * rest) for size, whole, rest in wanted]
        self._count = -(-sum(self._wanted) // most)
        self._seed = seed

    def blocks(self, epoch: int, begin: int) -> Iterator[Block]:
        """Blocks of an epoch, from one on. Raises DataError where a corpus has become smaller."""
        before = self._drawn_until(begin)
        draws = [self._draws(epoch, number, drawn) for number, drawn in enumerate(before)]
        for block in range(begin, self._count):
            until = self._drawn_until(block + 1)
            new, again = list[Pair](), list[Pair]()
            for (corpus, _, size), draw, first, last in zip(self._corpora, draws, before, until, strict=True):
                pairs = list(islice(draw, last - first))
                if len(pairs) < last - first:
                    raise DataError(
                        "the corpus has fewer pairs than when it was counted", where=corpus.name, fix="start a new run"
                    )
                middle = max(0, size - first)
                new += pairs[:middle]
                again += pairs[middle:]
            before = until
            yield Block([*new, *again], len(new))

    def _drawn_until(self, block: int) -> list[int]:
        """How many pairs of each corpus come in an epoch before a block."""
        return [wanted * block // max(1, self._count) for wanted in self._wanted]

    def _draws(self, epoch: int, number: int, begin: int) -> Iterator[Pair]:
        """The pairs of one corpus in an epoch, without the first ones."""
        corpus, start, size = self._corpora[number]
        if not size:
            return
        times, rest = divmod(self._wanted[number], size)
        skipped, begin = divmod(begin, size)
        for turn in range(skipped, times + (rest > 0)):
            pairs = iter(corpus)
            if turn == times:
                pairs = _some(pairs, rest, size, random.Random(f"{self._seed} {epoch} {number}"))
            for pair in islice(pairs, begin, None):
                yield Pair(pair.source, pair.target, start + pair.line)
            begin = 0


def _some(pairs: Iterator[Pair], wanted: int, size: int, dice: random.Random) -> Iterator[Pair]:
    """So many of `size` pairs, in their order, each as likely as another (Knuth, volume 2, 3.4.2, Algorithm S)."""
    for left in range(size, 0, -1):
        if not wanted or (pair := next(pairs, None)) is None:
            return
        if dice.random() * left < wanted:
            wanted -= 1
            yield pair
