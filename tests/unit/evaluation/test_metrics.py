import logging
import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from regard.errors import DataError
from regard.evaluation.metrics import bleu, bleu_metric, chrf, edit_distance, exact_match, hits_in_top, measure, wer

REFERENCES = [
    "A man in an orange hat starring at something.",
    "A Boston Terrier is running on lush green grass in front of a white fence.",
    "A girl in karate uniform breaking a stick with a front kick.",
    "People are fixing the roof of a house.",
]
HYPOTHESES = [
    "A man in an orange hat is staring at something.",
    "A Boston terrier runs over lush green grass in front of a white fence.",
    "A girl in karate uniform breaking a stick with a front kick.",
    "five people in winter jackets",
]


def test_scores_are_those_of_sacrebleu() -> None:
    quality = measure(HYPOTHESES, REFERENCES, target_language="en")
    assert quality.bleu == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert quality.chrf == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    assert quality.ter == sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]).score
    assert quality.exact == 0.25
    assert bleu(HYPOTHESES, REFERENCES) == quality.bleu
    assert chrf(HYPOTHESES, REFERENCES) == quality.chrf


def test_signatures_are_those_of_sacrebleu() -> None:
    version = sacrebleu.__version__
    assert measure(HYPOTHESES, REFERENCES).signatures == {
        "bleu": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}",
        "chrf": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}",
        "ter": f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:{version}",
    }


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("zh", "zh"), ("zh-TW", "zh"), ("zh_CN", "zh"), ("ja", "char"), ("JA", "char"), ("ko", "char"), ("de", "13a")],
)
def test_the_language_selects_the_bleu_tokenizer(language: str, tokenizer: str) -> None:
    hypotheses, references = ["彼は 東京で 昨日 新しい 本を 買った。"], ["彼は 昨日 東京で 新しい 本を 買った。"]
    quality = measure(hypotheses, references, target_language=language)
    assert f"tok:{tokenizer}|" in quality.signatures["bleu"]
    assert quality.bleu == sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenizer).score
    assert bleu(hypotheses, references, target_language=language) == quality.bleu


def test_bleu_is_cased_and_arguments_are_in_order() -> None:
    assert bleu(["a b c d"], ["A B C D"]) < bleu(["A B C D"], ["A B C D"]) == pytest.approx(100)
    assert measure(["a b"], ["a b c d"]).ter == pytest.approx(50)
    assert measure(["a b c d"], ["a b"]).ter == pytest.approx(100)


def test_exact_match_compares_every_character() -> None:
    assert exact_match(["a", "b", "c "], ["a", "B", "c"]) == 1 / 3


def test_tokenized_text_gives_no_warning(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ["a sentence that was tokenized ."] * 200
    with caplog.at_level(logging.DEBUG):
        measure(lines, lines, target_language="ja")
        bleu(lines, lines)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_empty_hypotheses_are_scored() -> None:
    quality = measure(["", ""], ["a b", "c d"])
    assert (quality.bleu, quality.chrf, quality.ter, quality.exact) == (0, 0, 100, 0)


def test_unequal_numbers_of_lines_are_rejected() -> None:
    for score in (measure, bleu, chrf, exact_match, wer):
        with pytest.raises(DataError, match="4 hypotheses and 3 references"):
            score(HYPOTHESES, REFERENCES[:3])
        with pytest.raises(DataError, match="no lines to evaluate"):
            score([], [])


def test_tokenized_text_is_counted_in_its_tokens() -> None:
    hypotheses, references = ["it 's a dog , ok"], ["it 's a dog ; ok"]
    quality = measure(hypotheses, references, tokenized=True)
    assert quality.bleu == pytest.approx(
        sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score
    )
    assert "tok:none" in quality.signatures["bleu"]
    assert quality.bleu != pytest.approx(measure(["it's a dog, ok"], ["it's a dog; ok"]).bleu)


def test_bleu_of_characters_is_used_if_no_reference_has_four_words() -> None:
    references = ["zweiundvierzig", "einhundertsieben"]
    assert bleu(references, references, target_language="de") == pytest.approx(100)
    assert 0 < bleu(["zweiundvierzig", "einhundertacht"], references, target_language="de") < 100
    assert measure(references, references, target_language="de").bleu == 0  # measure keeps sacreBLEU's default
    longer = [*references, "eins zwei drei vier"]
    assert signature(bleu_metric(references)) == "char"
    assert signature(bleu_metric(longer)) == "13a"
    assert signature(bleu_metric(references, tokenized=True)) == "none"


def signature(metric: BLEU) -> str:
    return str(metric.tokenizer.signature())


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ("", "", 0),
        ("a", "", 1),
        ("", "a b", 2),
        ("k i t t e n", "s i t t i n g", 3),
        ("a b c", "b c d", 2),
        ("a b", "b a", 2),
    ],
)
def test_edit_distances(first: str, second: str, count: int) -> None:
    assert edit_distance(first.split(), second.split()) == edit_distance(second.split(), first.split()) == count


@given(first=st.lists(st.sampled_from("abc"), max_size=7), second=st.lists(st.sampled_from("abc"), max_size=7))
def test_edit_distance_equals_its_recursion(first: list[str], second: list[str]) -> None:
    def least(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (first[i - 1] != second[j - 1]))

    if len(first) + len(second) <= 9:
        assert edit_distance(first, second) == least(len(first), len(second))


def test_the_word_error_rate_is_pooled_over_sentences() -> None:
    assert measure(["a b c", "x"], ["a c", "y z"]).wer == 100 * 3 / 4
    assert math.isnan(wer(["a"], [" "]))


def test_references_among_the_best_hypotheses() -> None:
    n_best = [["a", "b", "c"], ["d", "e"], []]
    assert hits_in_top(n_best, ["b", "d", "f"], 1) == [False, True, False]
    assert hits_in_top(n_best, ["b", "d", "f"], 2) == hits_in_top(n_best, ["b", "d", "f"], 5) == [True, True, False]
    with pytest.raises(DataError, match="3 hypotheses and 1 references"):
        hits_in_top(n_best, ["a"], 1)
