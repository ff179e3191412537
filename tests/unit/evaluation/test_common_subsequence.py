from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regard.evaluation.common_subsequence import kept
from regard.evaluation.metrics import edits

sequences = st.lists(st.integers(0, 4), max_size=12)


def test_by_hand() -> None:
    assert kept([1, 2, 3], [1, 2, 3]) == [True, True, True]
    assert kept([1, 9, 3], [1, 2, 3]) == [True, False, True]
    assert kept([9, 1, 2, 3], [1, 2, 3]) == [False, True, True, True]
    assert kept([3, 2, 1], [1, 2, 3]) == [False, True, False]
    assert kept([], [1]) == [] and kept([1], []) == [False]


@given(sequences, sequences)
def test_what_is_kept_stands_there_in_that_order_and_no_fewer_edits_would_do(said: list[int], meant: list[int]) -> None:
    found = kept(said, meant)
    rest = iter(meant)
    assert all(any(other == one for other in rest) for one, is_kept in zip(said, found, strict=True) if is_kept)
    count = sum(found)
    # an edit at least for each that is not kept, on either side, substitutions standing for one of both
    cost = edits([*map(str, said)], [*map(str, meant)])
    assert max(len(said), len(meant)) - count <= cost <= len(said) + len(meant) - 2 * count
