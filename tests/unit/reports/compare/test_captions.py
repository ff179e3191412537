from tests.unit.reports.fake_reports import report, report_on_three, system

from regard.evaluation.by_length import LengthBin
from regard.reports.compare.captions import (
    describe_attention,
    describe_quality_by_length,
    describe_quality_by_time,
    describe_step_time,
)
from regard.reports.compare.results import DevPoint


def test_the_change_from_short_to_long_sources_is_described() -> None:
    pair = report(system("cho2014", attends=False, bleu=20.0), system("gnmt2016", bleu=30.0))
    assert describe_quality_by_length(pair) == (
        "From sources of 1–10 words to those of 21–30 words, BLEU changes as follows: without attention, cho2014 −15.0 "
        "(to 5.0); with attention, gnmt2016 −2.0 (to 28.0). The last bin has only 19 sentences."
    )


def test_the_change_is_that_of_the_metric_of_the_report() -> None:
    sentence = describe_quality_by_length(report(system("gnmt2016"), metric="exact match"))
    assert "exact match changes as follows: with attention, gnmt2016 −25.0 (to 15.0)." in sentence


def test_several_systems_have_a_mean_change() -> None:
    rising = [LengthBin(shortest=1, longest=10, sentences=50, bleu=10, chrf=1, exact=0)]
    rising += [LengthBin(shortest=21, longest=30, sentences=50, bleu=14, chrf=1, exact=0)]
    sentence = describe_quality_by_length(report(system("bahdanau2014"), system("gnmt2016", lengths=tuple(rising))))
    assert "with attention, +1.0 on average: bahdanau2014 −2.0 (to 28.0), gnmt2016 +4.0 (to 14.0)." in sentence


def test_systems_without_lengths_are_skipped() -> None:
    assert "transformer2017" not in describe_quality_by_length(report_on_three())
    assert describe_quality_by_length(report(system("cho2014", lengths=()))) == (
        "The systems do not have two source lengths in common."
    )
    assert describe_quality_by_length(report()) == describe_quality_by_length(report(system("cho2014", lengths=())))


def test_final_scores_are_described() -> None:
    assert describe_quality_by_time(report_on_three()) == (
        "transformer2017 ends highest, at 33.3 dev BLEU after 4.0 minutes; it reaches the final score of the "
        "second, bahdanau2014 (30.0), after 4.0 minutes, and cho2014 ends lowest, at 20.0."
    )
    point = DevPoint(step=1, minutes=2, bleu=7, chrf=1, loss=1)
    assert describe_quality_by_time(report(system("modern", curve=(point,)))) == (
        "modern improves from 7.0 dev BLEU after 2.0 minutes to 7.0 after 2.0."
    )
    assert describe_quality_by_time(report(system("modern", curve=()))) == "No system has dev scores."


def test_logs_of_old_runs_have_no_exact_match() -> None:
    point = DevPoint(step=1, minutes=2, bleu=7, chrf=1, loss=1)
    new = point.model_copy(update={"exact": 0.0})
    assert [system("modern", curve=curve).has_dev_exact for curve in ((), (new,), (new, point))] == [True, True, False]


def test_scores_near_zero_are_not_compared() -> None:
    assert describe_quality_by_time(report(system("cho2014", bleu=0.1), system("modern", bleu=0.2))) == (
        "The scores are too low to compare: the highest dev BLEU is 0.2."
    )


def test_the_growth_of_step_times_is_described() -> None:
    slow = tuple(step.model_copy(update={"milliseconds": step.length**2 / 4}) for step in system("x").step_times)
    assert describe_step_time(report(system("cho2014"), system("modern", step_times=slow))) == (
        "At 64 tokens, 4 times the length of 16, a step takes 4.0 times as long in cho2014 and 16.0 times as long in "
        "modern; at that length cho2014 is the fastest (128 ms) and modern the slowest (1024 ms)."
    )
    assert "not timed" in describe_step_time(report(system("cho2014", step_times=())))


def test_the_sharpness_of_attention_is_described() -> None:
    assert describe_attention(report_on_three(), 0) == (
        "The highest weight of a row is, on average, 0.80 in bahdanau2014, which moves backwards once and 0.80 in "
        "transformer2017, which moves backwards once."
    )
    assert describe_attention(report(system("cho2014", attends=False)), 0) == ""
