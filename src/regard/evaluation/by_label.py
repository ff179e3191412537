"""Translation quality by a label of each pair, such as its domain or its reaction class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU

from regard.errors import DataError
from regard.evaluation.metrics import chrf, exact_match

NO_LABEL = "(none)"  # what is shown for pairs whose label is empty


@dataclass(frozen=True)
class LabelScores:
    """Corpus scores of the pairs that have a label.

    Attributes:
        label: The label; empty for pairs without one.
        pairs: How many pairs have it.
        bleu: BLEU, 0 to 100.
        chrf: chrF2, 0 to 100.
        exact: Share of hypotheses that equal their reference, 0 to 1.
        exact_at: For each K, the share of references, 0 to 1, that are among the K best hypotheses.
    """

    label: str
    pairs: int
    bleu: float
    chrf: float
    exact: float
    exact_at: Mapping[int, float]


def by_label(
    labels: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    bleu: BLEU,
    hits: Mapping[int, Sequence[bool]],
) -> list[LabelScores]:
    """Return the scores of each label, that of the most pairs first.

    Args:
        labels: (N,) the label of each pair.
        hypotheses: (N,) the translations.
        references: (N,) their references.
        bleu: The metric for the whole test set, so that all labels share one BLEU tokenizer.
        hits: For each K, whether each reference is among the K best hypotheses, see `hits_in_top`.

    Raises:
        DataError: There are no pairs, or the numbers of labels, hypotheses and references differ.
    """
    if not labels or not len(labels) == len(hypotheses) == len(references):
        raise DataError(
            f"there are {len(labels)} labels, {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give at least one pair, and one label for each",
        )
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        positions[label].append(index)
    scores = []
    for label, indices in sorted(positions.items(), key=lambda item: (-len(item[1]), item[0])):
        texts = [hypotheses[index] for index in indices], [references[index] for index in indices]
        exact_at = {count: sum(is_hit[index] for index in indices) / len(indices) for count, is_hit in hits.items()}
        scores.append(
            LabelScores(
                label,
                len(indices),
                bleu=float(bleu.corpus_score(texts[0], [texts[1]]).score),
                chrf=chrf(*texts),
                exact=exact_match(*texts),
                exact_at=exact_at,
            )
        )
    return scores
