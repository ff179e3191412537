"""How good translations are: BLEU, chrF and TER by sacreBLEU, on detokenised text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from regard.errors import DataError

BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char"}  # written without spaces, or morphemes glued; others: 13a


@dataclass(frozen=True)
class Quality:
    """Scores of a set of hypotheses.

    bleu: 0 to 100 (Papineni et al. 2002), cased.
    chrf: 0 to 100 (Popović 2015), chrF2.
    ter: edits per 100 words of the reference, 0 the best (Snover et al. 2006).
    exact: the share, 0 to 1, of hypotheses that equal their reference.
    wer: insertions, deletions and substitutions per 100 words of the reference, between white space; of phones in the
        place of words this is their error rate, and that of words is 100 - 100 x exact.
    signatures: sacreBLEU's signature of each of bleu, chrf and ter (Post 2018).
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
    """All scores at once, of one reference a hypothesis. Raises DataError on unequal or no lines.

    tokenized: the text is in tokens already; BLEU then counts those, as multi-bleu.perl does.
    """
    _check(hypotheses, references)
    words = _word_bleu(target_language, tokenized=tokenized)
    metrics = {"bleu": words, "chrf": CHRF(), "ter": TER()}
    scores = {name: float(metric.corpus_score(hypotheses, [references]).score) for name, metric in metrics.items()}
    return Quality(
        **scores,
        exact=exact(hypotheses, references),
        wer=wer(hypotheses, references),
        signatures={name: str(metric.get_signature()) for name, metric in metrics.items()},
    )


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, target_language: str = "") -> float:
    """BLEU alone, as `measure` has it but by `bleu_metric`: of characters where words cannot tell."""
    _check(hypotheses, references)
    metric = bleu_metric(references, target_language=target_language)
    return float(metric.corpus_score(hypotheses, [references]).score)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """chrF alone, as `measure` has it."""
    _check(hypotheses, references)
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def exact(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """The share, 0 to 1, of hypotheses that equal their reference letter for letter."""
    _check(hypotheses, references)
    return sum(map(str.__eq__, hypotheses, references)) / len(references)


def wer(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Edits per 100 words of the references, as `measure` has it; without a word in any, not a number."""
    _check(hypotheses, references)
    pairs = [(one.split(), other.split()) for one, other in zip(hypotheses, references, strict=True)]
    words = sum(len(reference) for _, reference in pairs)
    return 100 * sum(edits(*pair) for pair in pairs) / words if words else math.nan


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """The least insertions, deletions and substitutions that make one of the other (Levenshtein 1966)."""
    names = {word: number for number, word in enumerate(dict.fromkeys([*one, *other]))}
    columns = np.array([names[word] for word in other], np.int64)
    steps = np.arange(len(other) + 1)
    row = steps
    for word in one:
        best = np.concatenate(([row[0] + 1], np.minimum(row[1:] + 1, row[:-1] + (columns != names[word]))))
        row = np.minimum.accumulate(best - steps) + steps  # insertions, from the left
    return int(row[-1])


def bleu_metric(references: Sequence[str], *, target_language: str = "", tokenized: bool = False) -> BLEU:
    """BLEU of words, or of characters where no reference has four words; its signature says which.

    Without a 4-gram in any reference BLEU of words is 0 whatever is said. Text in tokens is counted
    in those all the same.
    """
    metric = _word_bleu(target_language, tokenized=tokenized)
    short = all(len(metric.tokenizer(reference).split()) < metric.max_ngram_order for reference in references)
    return BLEU(tokenize="char", force=True) if short and not tokenized else metric


def _word_bleu(target_language: str, *, tokenized: bool) -> BLEU:
    language = target_language.lower().replace("_", "-").split("-")[0]
    tokens = "none" if tokenized else BLEU_TOKENIZERS.get(language, "13a")
    return BLEU(tokenize=tokens, force=True)  # force: no advice on stderr


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise DataError(
            f"there are {len(hypotheses)} hypotheses and {len(references)} references",
            fix="give one reference a hypothesis, in the same order",
        )
    if not references:
        raise DataError("there is nothing to measure: no hypothesis and no reference", fix="give at least one line")
