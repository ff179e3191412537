from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regard.evaluation.edit_alignment import find_matches
from regard.evaluation.metrics import edit_distance

sequences = st.lists(st.integers(0, 4), max_size=12)


def test_small_cases() -> None:
    assert find_matches([1, 2, 3], [1, 2, 3]) == [True, True, True]
    assert find_matches([1, 9, 3], [1, 2, 3]) == [True, False, True]
    assert find_matches([9, 1, 2, 3], [1, 2, 3]) == [False, True, True, True]
    assert find_matches([3, 2, 1], [1, 2, 3]) == [False, True, False]
    assert find_matches([], [1]) == [] and find_matches([1], []) == [False]


@given(sequences, sequences)
def test_matches_are_in_order_and_agree_with_the_edit_distance(hypothesis: list[int], reference: list[int]) -> None:
    matches = find_matches(hypothesis, reference)
    rest = iter(reference)
    assert all(
        any(word == token for word in rest) for token, is_match in zip(hypothesis, matches, strict=True) if is_match
    )
    count = sum(matches)
    # each unmatched token costs at least one edit; a substitution covers one on each side
    cost = edit_distance([*map(str, hypothesis)], [*map(str, reference)])
    assert max(len(hypothesis), len(reference)) - count <= cost <= len(hypothesis) + len(reference) - 2 * count
