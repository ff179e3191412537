import pytest

from regard.errors import DataError
from regard.evaluation.by_label import by_label
from regard.evaluation.metrics import bleu_metric, chrf, word_bleu

REFERENCES = ["a b c d e", "f g h i j", "k l m n o", "p q r s t"]
HYPOTHESES = ["a b c d e", "f g h i x", "k l m n o", "x x x x x"]
LABELS = ["law", "news", "news", ""]


def test_each_label_has_the_scores_of_its_pairs() -> None:
    hits = {2: [True, True, True, False]}
    news, blank, law = by_label(LABELS, HYPOTHESES, REFERENCES, word_bleu(""), hits)
    assert [(scores.label, scores.pairs) for scores in (news, blank, law)] == [("news", 2), ("", 1), ("law", 1)]
    assert (news.exact, blank.exact, law.exact) == (0.5, 0, 1)
    assert [scores.exact_at for scores in (news, blank, law)] == [{2: 1}, {2: 0}, {2: 1}]
    assert news.chrf == chrf(HYPOTHESES[1:3], REFERENCES[1:3])
    assert law.bleu == pytest.approx(100) and 0 < news.bleu < 100


def test_all_labels_share_the_tokenizer_of_the_test_set() -> None:
    references = ["a b c d", "e f"]  # the second alone would be scored by characters
    metric = bleu_metric(references)
    short = by_label(["long", "short"], references, references, metric, {})[1]
    assert short.bleu == pytest.approx(float(metric.corpus_score(["e f"], [["e f"]]).score)) and short.bleu < 100


def test_unequal_numbers_are_rejected() -> None:
    with pytest.raises(DataError, match="1 labels, 2 hypotheses and 2 references"):
        by_label(["law"], ["a", "b"], ["a", "b"], word_bleu(""), {})
    with pytest.raises(DataError, match="0 labels"):
        by_label([], [], [], word_bleu(""), {})
