"""Corpus metrics of detokenized text: sacreBLEU's BLEU, chrF and TER, word error rate and exact match."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from regard.corpus.language_codes import base_code
from regard.errors import DataError
from regard.plugins.registry import plugin_values

BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char"}  # languages that 13a, the default, does not split well


@dataclass(frozen=True)
class Quality:
    """Scores of a set of hypotheses.

    Attributes:
        bleu: Cased BLEU, 0 to 100 (Papineni et al. 2002).
        chrf: chrF2, 0 to 100 (Popović 2015).
        ter: Edits per 100 words of the reference; 0 is best (Snover et al. 2006).
        exact: Share of hypotheses that equal their reference, 0 to 1.
        wer: Insertions, deletions and substitutions per 100 words of the reference, separated by white space. If the
            tokens are phones, this is the phone error rate, and 100 - 100 x exact is the word error rate.
        signatures: sacreBLEU's signatures of bleu, chrf and ter (Post 2018).
    """

    bleu: float
    chrf: float
    ter: float
    exact: float
    wer: float
    signatures: dict[str, str]


def measure(
    hypotheses: Sequence[str], references: Sequence[str], *, target_language: str = "", tokenized: bool = False
) -> Quality:
    """Compute all scores, with one reference for each hypothesis.

    Args:
        hypotheses: The translations.
        references: Their references.
        target_language: Language code that selects the BLEU tokenizer.
        tokenized: The text is already split into tokens. BLEU then counts those, as multi-bleu.perl does.

    Raises:
        DataError: There are no lines, or their numbers differ.
    """
    _check_lines(hypotheses, references)
    words = word_bleu(target_language, tokenized=tokenized)
    metrics: dict[str, Metric] = {"bleu": words, "chrf": CHRF(), "ter": TER()}
    scores = {name: float(metric.corpus_score(hypotheses, [references]).score) for name, metric in metrics.items()}
    return Quality(
        **scores,
        exact=exact_match(hypotheses, references),
        wer=wer(hypotheses, references),
        signatures={name: str(metric.get_signature()) for name, metric in metrics.items()},
    )


def plugin_scores(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return the scores of all metrics of plugins, by name. Higher is better in each."""
    return {name: plugin_score(name, hypotheses, references) for name in plugin_values("metrics")}


def plugin_score(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the score of one metric of a plugin. Raise DataError if it is not a number."""
    _check_lines(hypotheses, references)
    score = plugin_values("metrics")[name](list(hypotheses), list(references))
    try:
        return float(score)
    except (TypeError, ValueError):
        raise DataError(f"the metric `{name}` returned {score!r}", fix="return a number") from None


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, target_language: str = "") -> float:
    """Return BLEU, by words or by characters as `bleu_metric` chooses."""
    _check_lines(hypotheses, references)
    metric = bleu_metric(references, target_language=target_language)
    return float(metric.corpus_score(hypotheses, [references]).score)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return chrF2, as `measure` does."""
    _check_lines(hypotheses, references)
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def exact_match(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the share of hypotheses, 0 to 1, that equal their reference character by character."""
    _check_lines(hypotheses, references)
    return sum(map(str.__eq__, hypotheses, references)) / len(references)


def hits_in_top(n_best: Sequence[Sequence[str]], references: Sequence[str], count: int) -> list[bool]:
    """Return whether each reference equals one of its `count` best hypotheses, character by character.

    Args:
        n_best: (N,) the hypotheses of each source, best first.
        references: (N,) the reference of each source.
        count: How many hypotheses of each source count.

    Raises:
        DataError: There are no references, or their number differs from that of the sources.
    """
    _check_lines(n_best, references)
    return [reference in hypotheses[:count] for hypotheses, reference in zip(n_best, references, strict=True)]


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the word error rate: edits per 100 words of the references. NaN if no reference has a word."""
    _check_lines(hypotheses, references)
    pairs = [
        (hypothesis.split(), reference.split())
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]  # fmt: skip
    words = sum(len(reference) for _, reference in pairs)
    return 100 * sum(edit_distance(*pair) for pair in pairs) / words if words else math.nan


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the number of insertions, deletions and substitutions between two sequences (Levenshtein 1966)."""
    ids = {word: number for number, word in enumerate(dict.fromkeys([*first, *second]))}
    columns = np.array([ids[word] for word in second], np.int64)
    steps = np.arange(len(second) + 1)
    row = steps
    for word in first:
        best = np.concatenate(([row[0] + 1], np.minimum(row[1:] + 1, row[:-1] + (columns != ids[word]))))
        row = np.minimum.accumulate(best - steps) + steps  # insertions, from the left
    return int(row[-1])


def bleu_metric(references: Sequence[str], *, target_language: str = "", tokenized: bool = False) -> BLEU:
    """Return BLEU of words, or of characters if no reference has four words. Its signature says which.

    Without a 4-gram in the references, BLEU of words is always 0. Tokenized text is always counted in its tokens.

    Args:
        references: The references of the test set.
        target_language: Language code that selects the BLEU tokenizer.
        tokenized: The text is already split into tokens.
    """
    if not tokenized and are_short(references, target_language):
        return BLEU(tokenize="char", force=True)
    return word_bleu(target_language, tokenized=tokenized)


def are_short(references: Sequence[str], target_language: str = "") -> bool:
    """Return whether no reference has the four words without which BLEU of words is 0."""
    metric = word_bleu(target_language, tokenized=False)
    return all(len(metric.tokenizer(reference).split()) < metric.max_ngram_order for reference in references)


def word_bleu(target_language: str, *, tokenized: bool = False) -> BLEU:
    """Return BLEU of words, as `measure` computes it. `bleu_metric` describes the arguments."""
    tokenizer = "none" if tokenized else BLEU_TOKENIZERS.get(base_code(target_language), "13a")
    return BLEU(tokenize=tokenizer, force=True)  # force: no warning on stderr


def _check_lines(hypotheses: Sequence[object], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise DataError(
            f"there are {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give one reference for each hypothesis, in the same order",
        )
    if not references:
        raise DataError("there are no lines to evaluate", fix="give at least one hypothesis and its reference")
