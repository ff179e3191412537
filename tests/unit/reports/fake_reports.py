"""Comparison reports with invented numbers."""

from __future__ import annotations

from typing import Any

from regard.attention.matrix import AttentionMatrix
from regard.evaluation.bootstrap import BootstrapInterval
from regard.evaluation.by_length import LengthBin
from regard.reports.compare.results import ComparisonReport, DevPoint, Sample, ScoredSystem, StepTime

NASTY = "<script>alert(\"1\")</script> & 'so' \x07 日本 $\\frac$"


def system(
    name: str, *, attends: bool = True, bleu: float = 30.0, p: float | None = None, **changes: Any
) -> ScoredSystem:
    """Return a system with two samples. BLEU falls by 2 with the length, or by 15 without attention."""
    fall = 1.0 if attends else 7.5
    matrix = AttentionMatrix(
        source_tokens=("▁a", "日", "$x", " "),
        target_tokens=("▁ein", "\x07", "</s>"),
        weights=((0.7, 0.1, 0.1, 0.1), (0.0, 0.0, 0.1, 0.9), (0.0, 0.8, 0.1, 0.1)),
    )
    share = changes.get("exact", 0.125)
    values: dict[str, Any] = {
        "name": name,
        "paper": f"Author of {name} 2014, arXiv 1400.0001",
        "parameters": 6_612_345,
        "attends": attends,
        "steps": 2_004,
        "minutes": 9.5,
        "tokens_per_second": 4_321.0,
        "curve": tuple(DevPoint(step=k, minutes=k, bleu=bleu * k / 4, chrf=50, loss=2.0) for k in (1, 2, 3, 4)),
        "bleu": BootstrapInterval(value=bleu, low=bleu - 1.5, high=bleu + 1.25, p=p),
        "chrf": BootstrapInterval(value=bleu + 20, low=bleu + 19, high=bleu + 21, p=p),
        "exact": share,
        "exact_interval": BootstrapInterval(value=share, low=share - 0.01, high=share + 0.02, p=p),
        "sentences_per_second": 87.6,
        "lengths": tuple(
            LengthBin(
                shortest=10 * k + 1,
                longest=10 * k + 10,
                sentences=99 - 40 * k,
                bleu=bleu - fall * k,
                chrf=50,
                exact=0.4 - k / 8,
            )
            for k in (0, 1, 2)
        ),
        "step_times": tuple(StepTime(length=n, milliseconds=2.0 * n) for n in (16, 32, 64)),
        "translations": (NASTY, "ein Test"),
        "attended": (matrix, matrix) if attends else (None, None),
    }
    return ScoredSystem(**(values | changes))


def report(*systems: ScoredSystem, **changes: Any) -> ComparisonReport:
    """Return a report on these systems, with two samples."""
    values: dict[str, Any] = {
        "title": "numbers, <en> to de",
        "date": "2026-11-22",
        "machine": "2 cores & no GPU",
        "minutes": 10.0,
        "test": "test <2016>",
        "test_pairs": 1_234,
        "beam_size": 5,
        "signatures": {"bleu": "nrefs:1|tok:13a", "chrf": "nrefs:1|nc:6"},
        "samples": (Sample(source=NASTY, reference="x"), Sample(source="a test", reference="ein Test")),
        "systems": systems,
    }
    return ComparisonReport(**(values | changes))


def report_on_three() -> ComparisonReport:
    """Return a report on a system without attention, a complete one, and the best one, which has no lengths."""
    return report(
        system("cho2014", attends=False, bleu=20.0, p=0.0004),
        system("bahdanau2014", bleu=30.0, p=0.21),
        system("transformer2017", bleu=33.3, lengths=()),
    )
