from tests.unit.reports.made_up import lineage, system, three

from regard.reports.compare.captions import by_length, by_step, by_time, of_alignment
from regard.reports.compare.results import DevPoint, LengthBin


def test_the_fall_from_short_to_long_sources_is_told_of_each_system() -> None:
    pair = lineage(system("cho2014", attends=False, bleu=20.0), system("gnmt2016", bleu=30.0))
    assert by_length(pair) == (
        "From sources of 1–10 words to those of 21–30 BLEU changes without attention cho2014 −15.0 (to 5.0); "
        "with attention gnmt2016 −2.0 (to 28.0). The last rests on 19 sentences only."
    )


def test_a_mean_is_told_of_more_than_one() -> None:
    rising = [LengthBin(shortest=1, longest=10, sentences=50, bleu=10, chrf=1)]
    rising += [LengthBin(shortest=21, longest=30, sentences=50, bleu=14, chrf=1)]
    said = by_length(lineage(system("bahdanau2014"), system("gnmt2016", lengths=tuple(rising))))
    assert "with attention +1.0 on average: bahdanau2014 −2.0 (to 28.0), gnmt2016 +4.0 (to 14.0)." in said


def test_systems_without_lengths_are_left_out() -> None:
    assert "transformer2017" not in by_length(three())
    assert by_length(lineage(system("cho2014", lengths=()))) == (
        "The systems were not measured at two lengths in common."
    )
    assert by_length(lineage()) == by_length(lineage(system("cho2014", lengths=())))


def test_the_end_of_training_is_told() -> None:
    assert by_time(three()) == (
        "transformer2017 ends highest, at 33.3 dev BLEU after 4.0 minutes; it reaches the last score of the next, "
        "bahdanau2014 (30.0), at 4.0 minutes, and cho2014 ends lowest, at 20.0."
    )
    point = DevPoint(step=1, minutes=2, bleu=7, chrf=1, loss=1)
    assert by_time(lineage(system("modern", curve=(point,)))) == (
        "modern goes from 7.0 dev BLEU at 2.0 minutes to 7.0 at 2.0."
    )
    assert by_time(lineage(system("modern", curve=()))) == "No system has a dev curve."


def test_the_growth_of_a_step_is_told() -> None:
    slow = tuple(step.model_copy(update={"milliseconds": step.length**2 / 4}) for step in system("x").step_times)
    assert by_step(lineage(system("cho2014"), system("modern", step_times=slow))) == (
        "At 64 tokens, 4 times the length of 16, a step takes 4.0 times as long in cho2014 and 16.0 times as long in "
        "modern; there cho2014 is the fastest (128 ms) and modern the slowest (1024 ms)."
    )
    assert "not timed" in by_step(lineage(system("cho2014", step_times=())))


def test_attention_is_told_by_its_sharpness() -> None:
    assert of_alignment(three(), 0) == (
        "The heaviest source token of a row has, on average, a weight of 0.80 in bahdanau2014, which goes back once "
        "and 0.80 in transformer2017, which goes back once."
    )
    assert of_alignment(lineage(system("cho2014", attends=False)), 0) == ""
