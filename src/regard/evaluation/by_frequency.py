"""How well words are translated that training has seen often, seldom, and never (as compare-mt, Neubig et al. 2019)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sacrebleu.metrics.bleu import BLEU

from regard.errors import DataError

STARTS = (0, 1, 2, 5, 10, 100, 1000)  # of the classes: seen so often in training, and less often than the next


@dataclass(frozen=True)
class FrequencyClass:
    """Words that training has seen `least` to `most` times, both included; most None: no bound.

    meant, said: how many running words of the references and of the hypotheses are of the class.
    matched: how many of both are the same in the same sentence, each counted once.
    precision, recall, f1: matched by said, by meant, and their harmonic mean; 0 to 1, 0 where there is no word.
    """

    least: int
    most: int | None
    meant: int
    said: int
    matched: int
    precision: float
    recall: float
    f1: float


def words(text: str, metric: BLEU) -> list[str]:
    """What this BLEU counts as words."""
    found: list[str] = metric.tokenizer(text).split()
    return found


def by_frequency(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], counts: Mapping[str, int]
) -> list[FrequencyClass]:
    """Precision, recall and F1 of words by how often training has seen them, the unseen first; all classes.

    hypotheses, references: the words of each sentence, which are compared as bags. counts: of words on the target
    side of the training data; what it lacks was never seen. Raises DataError on unequal or no lines.
    """
    if len(hypotheses) != len(references) or not references:
        raise DataError(
            f"there are {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give one reference a hypothesis, and at least one",
        )
    meant, said, matched = ([0] * len(STARTS) for _ in range(3))
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        one, other = Counter(hypothesis), Counter(reference)
        for totals, some in ((said, one), (meant, other), (matched, one & other)):
            for word, times in some.items():
                totals[_class_of(counts.get(word, 0))] += times
    ends = [following - 1 for _, following in pairwise(STARTS)]
    return [
        _class(least, most, *numbers)
        for least, most, *numbers in zip(STARTS, [*ends, None], meant, said, matched, strict=True)
    ]


def _class_of(count: int) -> int:
    return sum(start <= count for start in STARTS) - 1


def _class(least: int, most: int | None, meant: int, said: int, matched: int) -> FrequencyClass:
    precision, recall = matched / said if said else 0.0, matched / meant if meant else 0.0
    f1 = 2 * matched / (said + meant) if said + meant else 0.0
    return FrequencyClass(least, most, meant, said, matched, precision, recall, f1)
