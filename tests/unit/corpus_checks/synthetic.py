"""A synthetic language pair: every source word has one target word, and sentences are random."""

from __future__ import annotations

import random
from collections.abc import Sequence

from regard.corpus.corpus import Pair
from regard.corpus_checks.base import Check
from regard.corpus_checks.findings import Fault
from regard.corpus_checks.reading import iter_batches

Texts = list[tuple[str, str]]


def sentences(count: int, seed: int = 1, words: int = 400) -> Texts:
    """Return pairs of 4 to 14 words, out of a vocabulary of `words` words with a Zipf-like distribution."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnoprstuvwz"
    source_words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(words)]
    target_words = [word[::-1] + rng.choice(["o", "en", "a"]) for word in source_words]
    weights = [1 / (rank + 5) for rank in range(words)]
    texts = []
    for _ in range(count):
        ids = rng.choices(range(words), weights, k=rng.randint(4, 14))
        mark = rng.choice("...?!")
        texts.append((" ".join(source_words[i] for i in ids) + mark, " ".join(target_words[i] for i in ids) + mark))
    return texts


def pairs(texts: Sequence[tuple[str, str]]) -> list[Pair]:
    return [Pair(source, target, line) for line, (source, target) in enumerate(texts, start=1)]


def find_faults(check: Check, texts: Sequence[tuple[str, str]]) -> list[tuple[int, Fault]]:
    """Let a check observe a corpus, and return the line number (from 1) and the fault of everything it finds there."""
    for batch in iter_batches(pairs(texts)):
        check.observe(batch)
    check.finish()
    return [
        (batch.lines[fault.index], fault) for batch in iter_batches(pairs(texts)) for fault in check.find_faults(batch)
    ]


def faulty_lines(check: Check, texts: Sequence[tuple[str, str]]) -> list[int]:
    """Return the line numbers of the faults that a check finds."""
    return [line for line, _ in find_faults(check, texts)]
