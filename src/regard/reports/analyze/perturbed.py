"""Quality on perturbed copies of the test set: capitals, typos, missing punctuation, and inserted text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from sacrebleu.metrics.chrf import CHRF

from regard.evaluation.metrics import bleu_metric
from regard.evaluation.test_set import TestSet
from regard.text import perturbations
from regard.text.perturbations import Perturbation, TextPair

Translate = Callable[[str, Sequence[str]], Sequence[str]]
"""Translates sources; the first argument says what they are."""


def _insert_noise(source: str, target: str, random: Random) -> TextPair:
    return perturbations.urls(*perturbations.emoji(source, target, random), random)


PERTURBATIONS: Final[dict[str, tuple[Perturbation, str]]] = {
    "upper case": (perturbations.upper_case, "both sides in capitals"),
    "title case": (perturbations.title_case, "each word of the source with a capital"),
    "one typo": (perturbations.one_typo, "in the source: two letters swapped, or one dropped, doubled or replaced"),
    "noise": (_insert_noise, "an emoji, and a URL or an e-mail address, inserted on both sides"),
    "no punctuation": (perturbations.no_punctuation, "punctuation removed from both sides"),
    "doubled spaces": (perturbations.doubled_spaces, "some spaces of the source doubled"),
}
"""Each perturbation, and what it changes."""


@dataclass(frozen=True)
class PerturbedScores:
    """The quality of translations of perturbed sources, by references that are perturbed in the same way.

    Attributes:
        name: The perturbation.
        chrf: chrF.
        bleu: BLEU.
        chrf_lost: The share of the chrF on the clean test set that is lost; negative if there is a gain.
        pairs_changed: The number of pairs that the perturbation changes.
    """

    name: str
    chrf: float
    bleu: float
    chrf_lost: float
    pairs_changed: int


def perturb(test: TestSet, change: Perturbation) -> list[TextPair]:
    """Return the pairs of a test set with a change; it is the same every time."""
    pairs = zip(test.sources, test.references, strict=True)
    return [change(source, reference, Random(number)) for number, (source, reference) in enumerate(pairs)]


def measure_perturbed(
    test: TestSet, clean_chrf: float, target_language: str, translate: Translate
) -> tuple[PerturbedScores, ...]:
    """Translate each perturbed copy of a test set and score it.

    Args:
        test: The test set.
        clean_chrf: The chrF on the test set as it is.
        target_language: The target language, for BLEU's tokenization; empty if it is not known.
        translate: Translates the sources of a copy.
    """
    results = []
    for name, (change, _) in PERTURBATIONS.items():
        pairs = perturb(test, change)
        references = [[reference for _, reference in pairs]]
        hypotheses = translate(name, [source for source, _ in pairs])
        chrf = float(CHRF().corpus_score(hypotheses, references).score)
        bleu = bleu_metric(references[0], target_language=target_language).corpus_score(hypotheses, references)
        unchanged = zip(test.sources, test.references, strict=True)
        pairs_changed = sum(pair != before for pair, before in zip(pairs, unchanged, strict=True))
        lost = 1 - chrf / clean_chrf if clean_chrf else 0.0
        results.append(PerturbedScores(name, chrf, float(bleu.score), lost, pairs_changed))
    return tuple(results)
