import random

import pytest
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from regard.errors import DataError
from regard.evaluation import bootstrap
from regard.evaluation.bootstrap import paired_bootstrap

METRICS = [BLEU(force=True), CHRF(), TER()]
NAMES = ["bleu", "chrf", "ter"]


def corpus(seed: int, lines: int = 60) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices("abcdefghij", k=dice.randint(4, 12))) for _ in range(lines)]


def spoilt(lines: list[str], share: float, seed: int) -> list[str]:
    """With so many of the words wrong."""
    dice = random.Random(seed)
    return [" ".join("x" if dice.random() < share else word for word in line.split()) for line in lines]


REFERENCES = corpus(1)
SYSTEMS = {
    "bad": spoilt(REFERENCES, 0.4, 2),
    "best": spoilt(REFERENCES, 0.1, 3),
    "near": spoilt(REFERENCES, 0.1, 5),
}


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_p_is_that_of_sacrebleu(metric: Metric) -> None:
    found = paired_bootstrap(SYSTEMS, REFERENCES, metric, lowest=isinstance(metric, TER), samples=300)
    names = ["best", "bad", "near"]
    _, table = PairedTest(
        [(name, SYSTEMS[name]) for name in names], {"m": metric}, [REFERENCES], test_type="bs", n_samples=300
    )()
    (theirs,) = (results for key, results in table.items() if key != "System")
    for name, result in zip(names, theirs, strict=True):
        assert not isinstance(result, str)
        assert found[name].value == pytest.approx(result.score)
        assert found[name].p == pytest.approx(result.p_value) if name != "best" else found[name].p is None
        assert result.ci == pytest.approx((found[name].high - found[name].low) / 2, rel=1e-4)


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_what_is_surely_worse_is_told_from_what_may_be_chance(metric: Metric) -> None:
    lowest = isinstance(metric, TER)
    found = paired_bootstrap(SYSTEMS, REFERENCES, metric, lowest=lowest)
    assert found["best"].p is None
    assert (found["bad"].p or 1) < 0.01
    assert (found["near"].p or 0) > 0.05
    for sure in found.values():
        assert sure.low < sure.value < sure.high
    if lowest:
        assert found["best"].high < found["bad"].low
    else:
        assert found["bad"].high < found["best"].low


@pytest.mark.parametrize("metric", METRICS, ids=NAMES)
def test_an_interval_is_as_wide_as_that_of_sacrebleu(metric: Metric) -> None:
    theirs = metric.corpus_score(SYSTEMS["bad"], [REFERENCES], n_bootstrap=200)
    ours = paired_bootstrap({"one": SYSTEMS["bad"]}, REFERENCES, metric, samples=200)["one"]
    assert ours.value == pytest.approx(theirs.score)
    assert (ours.high - ours.low) / 2 == pytest.approx(theirs._ci, rel=1e-4)
    assert ours.low < theirs._mean < ours.high


def test_many_sentences_are_drawn_a_few_samples_at_a_time_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found = paired_bootstrap(SYSTEMS, REFERENCES, METRICS[0], samples=50)
    monkeypatch.setattr(bootstrap, "DRAWN", 7 * len(REFERENCES))
    assert paired_bootstrap(SYSTEMS, REFERENCES, METRICS[0], samples=50) == found


def test_equals_do_not_differ() -> None:
    found = paired_bootstrap({"one": SYSTEMS["best"], "other": SYSTEMS["best"]}, REFERENCES, METRICS[0])
    assert found["one"].p is None
    assert found["other"].p == 1.0


def test_an_interval_narrows_with_the_square_root_of_the_test_set() -> None:
    def width(lines: int) -> float:
        references = corpus(5, lines)
        sure = paired_bootstrap({"one": spoilt(references, 0.2, 6)}, references, METRICS[1])["one"]
        return sure.high - sure.low

    assert width(50) / width(800) == pytest.approx(4, rel=0.3)


def test_the_seed_decides() -> None:
    one, same, other = (paired_bootstrap(SYSTEMS, REFERENCES, METRICS[0], samples=80, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_no_match_at_all_has_an_interval_of_nothing() -> None:
    sure = paired_bootstrap({"mute": [""] * 60}, REFERENCES, METRICS[0])["mute"]
    assert (sure.value, sure.low, sure.high) == (0, 0, 0)


def test_unequal_counts_are_told() -> None:
    with pytest.raises(DataError, match="short has 2 hypotheses, and there are 3 references"):
        paired_bootstrap({"short": ["a", "b"]}, ["a", "b", "c"], METRICS[0])
    with pytest.raises(DataError, match="nothing to compare"):
        paired_bootstrap({}, [], METRICS[0])
