"""When an improved model is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from regard.corpus.tagged import add_tags
from regard.inference.translator import Translator
from regard.runs.improvement.acceptance import compare, decide, format_table, translate_all
from regard.runs.improvement.record import Comparison


def comparison(gain: float, p: float) -> Comparison:
    return Comparison(100, (50.0, 50.0 + gain), (20.0, 20.0 + gain), p)


@pytest.mark.parametrize(
    ("corrections", "dev", "accepted", "reason"),
    [
        ((5, 0.01), (0.3, 0.4), True, "better on the corrections that were held out and not worse on the old"),
        ((5, 0.01), (-0.3, 0.4), True, "better on the corrections that were held out and not worse on the old"),
        ((5, 0.01), (-0.3, 0.01), False, "better on the corrections that were held out but worse on the old"),
        ((5, 0.01), (-0.6, 0.4), False, "better on the corrections that were held out but worse on the old"),
        ((5, 0.06), (1, 0.01), False, "not significantly better on the corrections that were held out"),
        ((-5, 0.01), (-5, 0.01), False, "worse on the corrections that were held out and worse on the old"),
        ((0, 1), (0, 1), False, "not significantly better"),
    ],
)
def test_the_decision(corrections: tuple[float, float], dev: tuple[float, float], accepted: bool, reason: str) -> None:
    decision = decide(comparison(*corrections), comparison(*dev))
    assert decision.accepted is accepted
    assert reason in decision.reason


class EchoingTranslator:
    """Translates a text into its tags and the text."""

    def __init__(self, *tags: str) -> None:
        self.tags = tags

    def with_tags(self, tags: Iterable[str]) -> EchoingTranslator:
        return EchoingTranslator(*tags)

    def stream(self, lines: Iterable[str]) -> Iterator[Any]:
        for line in lines:
            yield SimpleNamespace(text=" ".join((*self.tags, line)))


def test_each_source_is_translated_with_its_tags() -> None:
    sources = [add_tags("a", ["de"]), "b", add_tags("c", ["fr", "formal"]), add_tags("d", ["de"])]
    counts = []

    def track(texts: Iterable[str], total: int) -> Iterable[str]:
        counts.append(total)
        return texts

    translated = translate_all(cast(Translator, EchoingTranslator()), sources, track)
    assert (translated, counts) == (["de a", "b", "fr formal c", "de d"], [4])


def test_a_comparison_of_translations() -> None:
    references = [f"das ist der Satz {number}" for number in range(40)]
    bad = [f"ist das {number}" for number in range(40)]
    better = compare(bad, references, references, "de")
    assert better.pairs == 40 and better.gain > 20 and better.p < 0.01
    assert (better.chrf[1], better.bleu[1]) == pytest.approx((100, 100))
    worse = compare(references, bad, references, "de")
    assert worse.gain == -better.gain and worse.p < 0.01
    same = compare(bad, bad, references, "de")
    assert (same.gain, same.p) == (0, 1)


def test_corrections_that_the_model_makes_itself_are_named() -> None:
    references = [f"das ist der Satz {number}" for number in range(40)]
    same = compare(references, references, references, "de")
    assert not decide(same, comparison(0, 1)).accepted
    assert "no better than the old one, which translates exactly so, on the corrections" in decide(same, same).reason


def test_the_table_is_aligned() -> None:
    lines = format_table(decide(comparison(5, 0.01), comparison(-0.31, 0.4)))
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == [
        "corrections",
        "held",
        "out",
        "100",
        "50.00",
        "55.00",
        "+5.00",
        "0.010",
        "20.00",
        "25.00",
    ]
    assert "-0.31" in lines[2]
