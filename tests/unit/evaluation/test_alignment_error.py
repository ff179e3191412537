from __future__ import annotations

import pytest

from regard.errors import DataError
from regard.evaluation.alignment_error import GoldAlignment, read_gold_alignments, score_alignments


def gold(sure: set[tuple[int, int]], possible: set[tuple[int, int]]) -> GoldAlignment:
    return GoldAlignment(frozenset(sure), frozenset(sure | possible))


def test_scores_match_a_hand_computed_case() -> None:
    # A = 4 links, S = 3, P = S and 2 more. A and S: 0-0, 1-1. A and P: those and 3-2. 9-9 is wrong.
    # precision 3/4, recall 2/3, AER 1 - (2 + 3) / (4 + 3)
    scores = score_alignments([[(0, 0), (1, 1), (3, 2), (3, 3)]], [gold({(0, 0), (1, 1), (2, 2)}, {(3, 2), (1, 0)})])
    assert scores.precision == 0.75 and scores.recall == pytest.approx(2 / 3)
    assert scores.aer == pytest.approx(2 / 7)
    assert (scores.pairs, scores.predicted, scores.sure, scores.possible) == (1, 4, 3, 5)


def test_pairs_are_pooled_and_pairs_without_gold_are_skipped() -> None:
    # A = 1 + 2, S = 1 + 1, in S 1 + 0, in P 1 + 1: AER 1 - (1 + 2) / (3 + 2)
    golds = [gold({(0, 0)}, set()), None, gold({(1, 1)}, {(0, 1)})]
    scores = score_alignments([[(0, 0)], [(5, 5)], [(0, 0), (0, 1)]], golds)
    assert scores.aer == pytest.approx(2 / 5)
    assert scores.precision == pytest.approx(2 / 3) and (scores.recall, scores.pairs) == (0.5, 2)


def test_aer_of_sure_links_is_one_minus_f1() -> None:
    scores = score_alignments([[(0, 0), (1, 2), (1, 1)]], [gold({(0, 0), (1, 1)}, set())])
    f1 = 2 * scores.precision * scores.recall / (scores.precision + scores.recall)
    assert scores.aer == pytest.approx(1 - f1)
    assert score_alignments([[]], [gold({(0, 0)}, set())]).aer == 1
    assert score_alignments([[(0, 0)]], [gold({(0, 0)}, {(0, 1)})]).aer == 0


def test_gold_alignments_are_read() -> None:
    read = read_gold_alignments(["0-0 1p2 1?1", "", "2-1 2p1"], "gold", [(2, 3), (1, 1), (3, 2)])
    assert read == [gold({(0, 0)}, {(1, 2), (1, 1)}), None, gold({(2, 1)}, set())]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0-0 1:1", "gold:2: `1:1` is not a link"),
        ("0-0 -1-1", "gold:2: `-1-1` is not a link"),
        ("٣-٤", "is not a link"),
        ("0-99999999999", "is not a link"),
        ("2-0", "gold:2: `2-0` links source word 2, and the source has 2"),
        ("0p3", "gold:2: `0p3` links target word 3, and the target has 3"),
    ],
)
def test_errors_name_the_line(line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_gold_alignments(["0-0", line], "gold", [(2, 3), (2, 3)])


def test_files_with_a_wrong_length_or_without_links_are_rejected() -> None:
    for lines in (["0-0"], ["0-0", "0-0", "7-7"]):
        with pytest.raises(DataError, match=f"gold: there are {len(lines)} lines of alignments and 2 pairs"):
            read_gold_alignments(lines, "gold", [(2, 3), (2, 3)])
    with pytest.raises(DataError, match="gold: no line has a link"):
        read_gold_alignments(["", " "], "gold", [(2, 3), (2, 3)])
    with pytest.raises(DataError, match="no pair has a gold alignment"):
        score_alignments([[(0, 0)]], [None])
