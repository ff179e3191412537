"""Decide whether an improved model is accepted: better on the corrections held out, not worse on the old dev set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sacrebleu.metrics.chrf import CHRF

from regard.corpus.tagged import split_tags
from regard.evaluation.bootstrap import SIGNIFICANCE_LEVEL, paired_bootstrap
from regard.evaluation.metrics import bleu, chrf
from regard.inference.translator import Translator
from regard.runs.improvement.record import Comparison, Decision

MAX_CHRF: Final = 100 - 1e-9  # of translations that are the references
MAX_LOSS: Final = 0.5  # chrF on the old dev set; more is never accepted, and less only if it is not significant

Track = Callable[[Iterable[str], int], Iterable[str]]


def translate_all(translator: Translator, sources: Sequence[str], track: Track) -> list[str]:
    """Return the translations of all sources, as `regard translate` makes them with the tags before each source."""
    groups: dict[tuple[str, ...], dict[int, str]] = {}
    for index, source in enumerate(sources):
        tags, text = split_tags(source)
        groups.setdefault(tuple(tags), {})[index] = text
    order = [index for group in groups.values() for index in group]
    texts = (
        translation.text
        for tags, group in groups.items()
        for translation in (translator.with_tags(tags) if tags else translator).stream(group.values())
    )
    translations = dict(zip(order, track(texts, len(sources)), strict=True))
    return [translations[index] for index in range(len(sources))]


def compare(old: Sequence[str], new: Sequence[str], references: Sequence[str], language: str) -> Comparison:
    """Compare the translations of two models by a paired bootstrap test on chrF. Raise DataError if there are none."""
    intervals = paired_bootstrap({"old": old, "new": new}, references, CHRF())
    p = intervals["old"].p if intervals["new"].p is None else intervals["new"].p
    bleus = tuple(bleu(texts, references, target_language=language) for texts in (old, new))
    return Comparison(
        pairs=len(references),
        chrf=(chrf(old, references), chrf(new, references)),
        bleu=(bleus[0], bleus[1]),
        p=1.0 if p is None else p,
    )


def is_worse(comparison: Comparison) -> bool:
    """Return whether the new model is worse: it loses significantly, or more than MAX_LOSS chrF."""
    loss = -comparison.gain
    return loss > 0 and (comparison.p < SIGNIFICANCE_LEVEL or loss > MAX_LOSS)


def decide(corrections: Comparison, dev: Comparison, share: float = 1.0) -> Decision:
    """Accept a model that is significantly better on the corrections and not worse on the old dev set.

    Args:
        corrections: The comparison on the corrections that were held out.
        dev: The comparison on the old dev set.
        share: The share of the change that is kept.
    """
    is_better = corrections.gain > 0 and corrections.p < SIGNIFICANCE_LEVEL
    first = "better" if is_better else "worse" if corrections.gain < 0 else "not significantly better"
    if corrections.chrf[0] >= MAX_CHRF:
        first = "no better than the old one, which translates exactly so,"
    second = "worse" if is_worse(dev) else "not worse"
    joint = "but" if is_better and is_worse(dev) else "and"
    return Decision(
        accepted=is_better and not is_worse(dev),
        reason=f"the new model is {first} on the corrections that were held out {joint} {second} on the old dev set",
        corrections=corrections,
        dev=dev,
        share=share,
    )


def format_table(decision: Decision) -> list[str]:
    """Return the lines of a table of both comparisons."""
    head = ("", "pairs", "chrF old", "new", "change", "p", "BLEU old", "new")
    rows = [
        (
            name,
            f"{part.pairs:,}",
            *(f"{value:.2f}" for value in (*part.chrf,)),
            f"{part.gain:+.2f}",
            f"{part.p:.3f}",
            *(f"{value:.2f}" for value in part.bleu),
        )
        for name, part in (("corrections held out", decision.corrections), ("old dev set", decision.dev))
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) if not number else cell.rjust(width) for number, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in (head, *rows))
    ]
