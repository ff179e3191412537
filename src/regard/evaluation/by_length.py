"""Translation quality by the length of the source (Bahdanau et al. 2014, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics.chrf import CHRF

from regard.errors import DataError
from regard.evaluation.metrics import bleu_metric, exact_match

WIDTHS = (1, 2, 5, 10, 20, 50, 100)  # candidate widths of a bin, in words
MAX_BINS = 8
VERY_LONG = 9999  # words: the upper bound of a bin above it is not written
MIN_SENTENCES = 20  # in a bin: with fewer, BLEU is mostly chance


@dataclass(frozen=True)
class LengthBin:
    """Scores of the sentences whose source has `shortest` to `longest` words, both inclusive.

    Attributes:
        shortest: The fewest words of a source.
        longest: The most words of a source.
        sentences: Number of sentences.
        bleu: BLEU, 0 to 100.
        chrf: chrF, 0 to 100.
        exact: Share of hypotheses that equal their reference, 0 to 1.
    """

    shortest: int
    longest: int
    sentences: int
    bleu: float
    chrf: float
    exact: float

    @property
    def label(self) -> str:
        """The bounds as text: "3", "4–6", or "20+" if the last bin has very long sources."""
        if self.longest > VERY_LONG:
            return f"{self.shortest:,}+"
        return f"{self.shortest:,}" if self.shortest == self.longest else f"{self.shortest:,}–{self.longest:,}"


def by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    target_language: str = "",
    tokenized: bool = False,
    min_sentences: int = MIN_SENTENCES,
) -> list[LengthBin]:
    """Return the scores of the sentences in each bin of source length, shortest first.

    The bins depend only on the sources. All bins share one BLEU tokenizer, chosen for the whole test set.

    Args:
        sources: The source sentences.
        hypotheses: Their translations.
        references: Their references.
        target_language: Language code that selects the BLEU tokenizer.
        tokenized: The text is already split into tokens, and BLEU counts those.
        min_sentences: Bins with fewer sentences are merged with a neighbour.

    Raises:
        DataError: There are no sentences, or the numbers of lines differ.
    """
    if not len(sources) == len(hypotheses) == len(references):
        raise DataError(
            f"there are {len(sources)} sources, {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give one of each for every line, in the same order",
        )
    if not sources:
        raise DataError("there are no lines to evaluate", fix="give at least one line")
    lengths = [len(source.split()) for source in sources]
    bleu, chrf = bleu_metric(references, target_language=target_language, tokenized=tokenized), CHRF()
    bins = []
    for shortest, longest in length_bounds(lengths, min_sentences):
        indices = [index for index, length in enumerate(lengths) if shortest <= length <= longest]
        bin_hypotheses = [hypotheses[index] for index in indices]
        bin_references = [[references[index] for index in indices]]
        bins.append(
            LengthBin(
                shortest,
                longest,
                len(indices),
                float(bleu.corpus_score(bin_hypotheses, bin_references).score),
                float(chrf.corpus_score(bin_hypotheses, bin_references).score),
                exact_match(bin_hypotheses, *bin_references),
            )
        )
    return bins


def length_bounds(lengths: Sequence[int], min_sentences: int = MIN_SENTENCES) -> list[tuple[int, int]]:
    """Return the first and the last length of each bin, covering all lengths.

    All bins have the smallest width with which 98% of the lengths fit into MAX_BINS. Neighbours are merged if a bin
    has fewer than `min_sentences`.
    """
    usual = sorted(lengths)[len(lengths) * 49 // 50]
    width = next((width for width in WIDTHS if usual <= width * MAX_BINS), -(-usual // MAX_BINS))
    longest = max(lengths)
    ends = [end for end in range(width, width * MAX_BINS + 1, width) if end < longest]
    bins: list[tuple[int, int]] = []
    first = min(lengths)
    for last in [*ends, longest]:
        if sum(first <= length <= last for length in lengths) >= min_sentences:
            bins.append((first, last))
            first = last + 1
    if first <= longest:  # too few sentences at the end: extend the bin before
        first = bins.pop()[0] if bins else first
        bins.append((first, longest))
    return bins
