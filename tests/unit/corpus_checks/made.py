"""A made language pair: every word of one side has one of the other, and sentences are random."""

from __future__ import annotations

import random
from collections.abc import Sequence

from regard.corpus.corpus import Pair
from regard.corpus_checks.base import Check
from regard.corpus_checks.findings import Fault
from regard.corpus_checks.reading import iter_batches

Texts = list[tuple[str, str]]


def sentences(count: int, seed: int = 1, words: int = 400) -> Texts:
    chance = random.Random(seed)
    letters = "abcdefghijklmnoprstuvwz"
    one = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(words)]
    other = [word[::-1] + chance.choice(["o", "en", "a"]) for word in one]
    weights = [1 / (rank + 5) for rank in range(words)]
    found = []
    for _ in range(count):
        chosen = chance.choices(range(words), weights, k=chance.randint(4, 14))
        mark = chance.choice("...?!")
        found.append((" ".join(one[c] for c in chosen) + mark, " ".join(other[c] for c in chosen) + mark))
    return found


def pairs(texts: Sequence[tuple[str, str]]) -> list[Pair]:
    return [Pair(source, target, line) for line, (source, target) in enumerate(texts, start=1)]


def faults(check: Check, texts: Sequence[tuple[str, str]]) -> list[tuple[int, Fault]]:
    """What a check says of a corpus that it has learned: line (from 1) and fault."""
    for batch in iter_batches(pairs(texts)):
        check.observe(batch)
    check.finish()
    return [
        (batch.lines[fault.place], fault) for batch in iter_batches(pairs(texts)) for fault in check.find_faults(batch)
    ]


def lines(check: Check, texts: Sequence[tuple[str, str]]) -> list[int]:
    return [line for line, _ in faults(check, texts)]
