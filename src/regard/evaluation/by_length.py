"""Quality by the length of the source (Bahdanau et al. 2014, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics.chrf import CHRF

from regard.errors import DataError
from regard.evaluation.metrics import bleu_metric

WIDTHS = (1, 2, 5, 10, 20, 50, 100)  # words, of a bin
MOST_BINS = 8
LEAST = 20  # sentences in a bin; with fewer, BLEU is mostly chance


@dataclass(frozen=True)
class Bin:
    """Scores, 0 to 100, over the sentences whose source has `shortest` to `longest` words, both included."""

    shortest: int
    longest: int
    sentences: int
    bleu: float
    chrf: float


def by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    target_language: str = "",
    tokenized: bool = False,
    least: int = LEAST,
) -> list[Bin]:
    """BLEU and chrF of the sentences of each length, from the shortest; their bins depend on the sources alone.

    A bin of fewer than `least` sentences is one with its neighbour. Scores are corpus scores of the
    bin, and BLEU counts what it counts over the whole set. Raises DataError on unequal or no lines.
    """
    if not len(sources) == len(hypotheses) == len(references):
        raise DataError(
            f"there are {len(sources)} sources, {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give one of each a line, in the same order",
        )
    if not sources:
        raise DataError("there is nothing to measure: no line", fix="give at least one line")
    words = [len(source.split()) for source in sources]
    bleu, chrf = bleu_metric(references, target_language=target_language, tokenized=tokenized), CHRF()
    found = []
    for shortest, longest in bounds(words, least):
        places = [place for place, count in enumerate(words) if shortest <= count <= longest]
        said, meant = [hypotheses[place] for place in places], [[references[place] for place in places]]
        found.append(
            Bin(
                shortest,
                longest,
                len(places),
                float(bleu.corpus_score(said, meant).score),
                float(chrf.corpus_score(said, meant).score),
            )
        )
    return found


def bounds(lengths: Sequence[int], least: int = LEAST) -> list[tuple[int, int]]:
    """The first and last length of each bin, from the shortest length there is to the longest.

    Bins have one width, by which all but the longest fiftieth fit into MOST_BINS; neighbours are made one
    where a bin holds too few.
    """
    usual = sorted(lengths)[len(lengths) * 49 // 50]
    width = next((width for width in WIDTHS if usual <= width * MOST_BINS), -(-usual // MOST_BINS))
    longest = max(lengths)
    ends = [end for end in range(width, width * MOST_BINS + 1, width) if end < longest]
    bins: list[tuple[int, int]] = []
    first = min(lengths)
    for last in [*ends, longest]:
        if sum(first <= length <= last for length in lengths) >= least:
            bins.append((first, last))
            first = last + 1
    if first <= longest:  # too few at the end: they go with those before
        first = bins.pop()[0] if bins else first
        bins.append((first, longest))
    return bins
