from __future__ import annotations

import pytest

from regard.errors import DataError
from regard.evaluation.alignment_error import Gold, agreement, read_gold


def gold(sure: set[tuple[int, int]], possible: set[tuple[int, int]]) -> Gold:
    return Gold(frozenset(sure), frozenset(sure | possible))


def test_a_case_worked_by_hand() -> None:
    # A = 4 links, S = 3, P = S and 2 more. A and S: 0-0, 1-1. A and P: those and 3-2. 9-9 is wrong.
    # precision 3/4, recall 2/3, AER 1 - (2 + 3) / (4 + 3)
    found = agreement([[(0, 0), (1, 1), (3, 2), (3, 3)]], [gold({(0, 0), (1, 1), (2, 2)}, {(3, 2), (1, 0)})])
    assert found.precision == 0.75 and found.recall == pytest.approx(2 / 3)
    assert found.aer == pytest.approx(2 / 7)
    assert (found.pairs, found.found, found.sure, found.possible) == (1, 4, 3, 5)


def test_pairs_are_taken_together_and_those_that_nobody_aligned_left_out() -> None:
    # A = 1 + 2, S = 1 + 1, in S 1 + 0, in P 1 + 1: AER 1 - (1 + 2) / (3 + 2)
    golds = [gold({(0, 0)}, set()), None, gold({(1, 1)}, {(0, 1)})]
    found = agreement([[(0, 0)], [(5, 5)], [(0, 0), (0, 1)]], golds)
    assert found.aer == pytest.approx(2 / 5)
    assert found.precision == pytest.approx(2 / 3) and (found.recall, found.pairs) == (0.5, 2)


def test_sure_links_alone_make_it_one_minus_f1() -> None:
    found = agreement([[(0, 0), (1, 2), (1, 1)]], [gold({(0, 0), (1, 1)}, set())])
    f1 = 2 * found.precision * found.recall / (found.precision + found.recall)
    assert found.aer == pytest.approx(1 - f1)
    assert agreement([[]], [gold({(0, 0)}, set())]).aer == 1
    assert agreement([[(0, 0)]], [gold({(0, 0)}, {(0, 1)})]).aer == 0


def test_what_a_file_says() -> None:
    read = read_gold(["0-0 1p2 1?1", "", "2-1 2p1"], "gold", [(2, 3), (1, 1), (3, 2)])
    assert read == [gold({(0, 0)}, {(1, 2), (1, 1)}), None, gold({(2, 1)}, set())]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0-0 1:1", "gold:2: `1:1` is no link"),
        ("0-0 -1-1", "gold:2: `-1-1` is no link"),
        ("٣-٤", "is no link"),
        ("0-99999999999", "is no link"),
        ("2-0", "gold:2: `2-0` links source word 2, and the source has 2"),
        ("0p3", "gold:2: `0p3` links target word 3, and the target has 3"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_by_line(line: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_gold(["0-0", line], "gold", [(2, 3), (2, 3)])


def test_files_of_other_lengths_and_without_links_are_refused() -> None:
    for lines in (["0-0"], ["0-0", "0-0", "7-7"]):
        with pytest.raises(DataError, match=f"gold: there are {len(lines)} lines of alignments and 2 pairs"):
            read_gold(lines, "gold", [(2, 3), (2, 3)])
    with pytest.raises(DataError, match="gold: there is no link in it"):
        read_gold(["", " "], "gold", [(2, 3), (2, 3)])
    with pytest.raises(DataError, match="no pair has a gold alignment"):
        agreement([[(0, 0)]], [None])
