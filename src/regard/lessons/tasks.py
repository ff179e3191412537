"""The corpora of the lessons: digits to reverse, lists of dates, and phrases. All are generated, with fixed seeds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from regard.corpus.builtin import dates
from regard.corpus.corpus import Pair
from regard.lessons.phrases import MAX_CLAUSES, phrases

DIGITS = "0123456789"
MAX_DIGITS = 16  # the longest source of the training data
MAX_DATES = 4
SEPARATOR = "; "


@dataclass(frozen=True)
class Task:
    """A task of a lesson.

    Attributes:
        name: Its name in files and figures.
        sizes: The lengths on which systems are tested: digits, or dates.
        trained_to: The longest length in the training data.
        make: Returns pairs, given a split, a length and the number of pairs.
    """

    name: str
    sizes: tuple[int, ...]
    trained_to: int
    make: Callable[[str, int, int], list[tuple[str, str]]]

    def training_pairs(self, count: int, sizes: Sequence[int]) -> list[tuple[str, str]]:
        """Return `count` pairs of the training split, equally many of each length."""
        pairs = [pair for size in sizes for pair in self.make("train", size, count // len(sizes))]
        random.Random(1).shuffle(pairs)
        return pairs


def reversed_digits(split: str, length: int, count: int) -> list[tuple[str, str]]:
    """Return digits and the same digits in reverse order: `40921` becomes `12904`.

    Lengths up to 3 are too few to be divided among splits; longer sources of the test split end in an even digit sum
    that is divisible by 4, those of the training split in any other.
    """
    rng = random.Random(f"{split} {length}")
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        source = "".join(rng.choices(DIGITS, k=length))
        if length <= 3 or (sum(map(int, source)) % 4 == 0) == (split == "test"):
            pairs.append((source, source[::-1]))
    return pairs


def date_lists(split: str, length: int, count: int) -> list[tuple[str, str]]:
    """Return lists of dates in words, and the same as ISO dates; the dates are those of `regard demo`."""
    corpora = dates(1)
    pool: Sequence[Pair] = {"train": corpora.train, "dev": corpora.dev, "test": corpora.test}[split].pairs
    rng = random.Random(f"{split} {length}")
    pairs = []
    for _ in range(count):
        chosen = rng.sample(pool, length)
        pairs.append((SEPARATOR.join(pair.source for pair in chosen), " ".join(pair.target for pair in chosen)))
    return pairs


TASKS: Mapping[str, Task] = {
    "digits": Task("digits", tuple(range(1, 25)), MAX_DIGITS, reversed_digits),
    "dates": Task("dates", (1, 2, 3, 4, 5), MAX_DATES, date_lists),
    "phrases": Task("phrases", (1, 2, 3, 4), MAX_CLAUSES, phrases),
}
