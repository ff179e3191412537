import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from regard.errors import DataError
from regard.evaluation import bootstrap
from regard.evaluation.bootstrap import SIGNIFICANCE_LEVEL, compare_shares, paired_bootstrap

METRICS = [BLEU(force=True), CHRF(), TER()]
NAMES = ["bleu", "chrf", "ter"]


def corpus(seed: int, lines: int = 60) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices("abcdefghij", k=dice.randint(4, 12))) for _ in range(lines)]


def corrupt(lines: list[str], share: float, seed: int) -> list[str]:
    """Replace this share of the words."""
    dice = random.Random(seed)
    return [" ".join("x" if dice.random() < share else word for word in line.split()) for line in lines]


REFERENCES = corpus(1)
SYSTEMS = {
    "bad": corrupt(REFERENCES, 0.4, 2),
    "best": corrupt(REFERENCES, 0.1, 3),
    "near": corrupt(REFERENCES, 0.1, 5),
}


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_scores_and_intervals_equal_those_of_sacrebleu_and_p_values_are_larger(metric: Metric) -> None:
    intervals = paired_bootstrap(SYSTEMS, REFERENCES, metric, lower_is_better=isinstance(metric, TER), samples=300)
    names = ["best", "bad", "near"]
    _, table = PairedTest(
        [(name, SYSTEMS[name]) for name in names], {"m": metric}, [REFERENCES], test_type="bs", n_samples=300
    )()
    (theirs,) = (results for key, results in table.items() if key != "System")
    for name, result in zip(names, theirs, strict=True):
        assert not isinstance(result, str)
        assert intervals[name].value == pytest.approx(result.score)
        if name == "best":
            assert intervals[name].p is None
        else:
            assert (intervals[name].p or 0) >= (result.p_value or 0)
        assert result.ci == pytest.approx((intervals[name].high - intervals[name].low) / 2, rel=1e-4)


class MeanOfNumbers:
    """The mean of hypotheses that are numbers, with the methods of a sacreBLEU metric that the bootstrap calls."""

    def _extract_corpus_statistics(self, hypotheses: Sequence[str], references: Any) -> list[list[float]]:
        return [[float(hypothesis), 1.0] for hypothesis in hypotheses]

    def _compute_score_from_stats(self, sums: Sequence[float]) -> Any:
        return SimpleNamespace(score=sums[0] / sums[1])


def test_equal_systems_are_rejected_as_often_as_the_level_says() -> None:
    generator = np.random.default_rng(7)
    metric, trials, rejected = cast(Metric, MeanOfNumbers()), 800, 0
    for _ in range(trials):
        first, second = ([str(value) for value in row] for row in generator.normal(size=(2, 100)))
        intervals = paired_bootstrap({"first": first, "second": second}, [""] * 100, metric, samples=100)
        (p,) = (interval.p for interval in intervals.values() if interval.p is not None)
        rejected += p < SIGNIFICANCE_LEVEL
    assert 0.03 < rejected / trials < 0.07


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_significant_differences_are_detected(metric: Metric) -> None:
    lower_is_better = isinstance(metric, TER)
    intervals = paired_bootstrap(SYSTEMS, REFERENCES, metric, lower_is_better=lower_is_better)
    assert intervals["best"].p is None
    assert (intervals["bad"].p or 1) < 0.01
    assert (intervals["near"].p or 0) > 0.05
    for interval in intervals.values():
        assert interval.low < interval.value < interval.high
    if lower_is_better:
        assert intervals["best"].high < intervals["bad"].low
    else:
        assert intervals["bad"].high < intervals["best"].low


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_intervals_are_as_wide_as_those_of_sacrebleu(metric: Metric) -> None:
    theirs = metric.corpus_score(SYSTEMS["bad"], [REFERENCES], n_bootstrap=200)
    ours = paired_bootstrap({"one": SYSTEMS["bad"]}, REFERENCES, metric, samples=200)["one"]
    assert ours.value == pytest.approx(theirs.score)
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=1e-4)
    assert ours.low < theirs._mean < ours.high


def test_the_chunk_size_does_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    intervals = paired_bootstrap(SYSTEMS, REFERENCES, METRICS[0], samples=50)
    monkeypatch.setattr(bootstrap, "_CHUNK_SENTENCES", 7 * len(REFERENCES))
    assert paired_bootstrap(SYSTEMS, REFERENCES, METRICS[0], samples=50) == intervals


def test_equal_systems_do_not_differ() -> None:
    intervals = paired_bootstrap({"one": SYSTEMS["best"], "other": SYSTEMS["best"]}, REFERENCES, METRICS[0])
    assert intervals["one"].p is None
    assert intervals["other"].p == 1.0


def test_an_interval_narrows_with_the_square_root_of_the_test_set() -> None:
    def width(lines: int) -> float:
        references = corpus(5, lines)
        interval = paired_bootstrap({"one": corrupt(references, 0.2, 6)}, references, METRICS[1])["one"]
        return interval.high - interval.low

    assert width(50) / width(800) == pytest.approx(4, rel=0.3)


def test_the_seed_determines_the_draws() -> None:
    first, same, different = (
        paired_bootstrap(SYSTEMS, REFERENCES, METRICS[0], samples=80, seed=seed) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != different


def test_a_score_of_zero_has_an_empty_interval() -> None:
    interval = paired_bootstrap({"mute": [""] * 60}, REFERENCES, METRICS[0])["mute"]
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_unequal_numbers_of_lines_are_rejected() -> None:
    with pytest.raises(DataError, match="short has 2 hypotheses, and there are 3 references"):
        paired_bootstrap({"short": ["a", "b"]}, ["a", "b", "c"], METRICS[0])
    with pytest.raises(DataError, match="nothing to compare"):
        paired_bootstrap({}, [], METRICS[0])


def test_shares_have_the_interval_of_their_mean() -> None:
    dice = random.Random(1)
    often, rarely = ([dice.random() < share for _ in range(400)] for share in (0.8, 0.5))
    intervals = compare_shares({"often": often, "rarely": rarely})
    share = sum(often) / 400
    assert intervals["often"].value == share and intervals["often"].p is None
    deviation = (share * (1 - share) / 400) ** 0.5  # of a binomial share, whose interval is 2 x 1.96 of them wide
    assert intervals["often"].high - intervals["often"].low == pytest.approx(3.92 * deviation, rel=0.15)
    assert (intervals["rarely"].p or 1) < 0.01
    assert compare_shares({"a": often, "b": often})["b"].p == 1


def test_the_interval_of_all_or_none_has_a_width() -> None:
    intervals = compare_shares({"all": [True] * 20, "none": [False] * 20})
    assert intervals["all"].low == pytest.approx(0.8389, abs=1e-4) and intervals["all"].high == 1
    assert intervals["none"].low == 0 and intervals["none"].high == pytest.approx(0.1611, abs=1e-4)


def test_the_p_value_of_a_share_is_that_of_a_sign_test() -> None:
    # The first is right alone in 6 sentences, the second in 1: 2 * (C(7, 0) + C(7, 1)) / 2**7.
    first = [True] * 6 + [False] + [True] * 20 + [False] * 20
    second = [False] * 6 + [True] + [True] * 20 + [False] * 20
    assert compare_shares({"first": first, "second": second})["second"].p == 16 / 128


def test_shares_of_different_sentences_are_rejected() -> None:
    cases: list[dict[str, list[bool]]] = [{}, {"none": []}, {"a": [True], "b": [True, False]}]
    for hits in cases:
        with pytest.raises(DataError, match="nothing to compare"):
            compare_shares(hits)
