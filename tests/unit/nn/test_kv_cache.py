"""What a decoder with attention keeps between steps: shared slots, told apart by what each row sees."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from regard.nn.kv_cache import SPARE, AttentionState, KeysValues, Past, Source, SourceKeysValues, see_own


def slots(number: int, sentences: int = 2, first: float = 0.0) -> Tensor:
    """(sentences, number, 1, 1), each slot with a value of its own."""
    return (first + torch.arange(sentences * number, dtype=torch.float64)).view(sentences, number, 1, 1)


def all_of(past: KeysValues, spare: int) -> KeysValues:
    length = past.keys.size(1)
    return past.move(torch.arange(2), torch.arange(length).expand(2, -1), spare)


def state_of(sentences: int = 2, rows: int = 1) -> AttentionState:
    mask = torch.ones(sentences, 3, dtype=torch.bool)
    source = Source(mask, (SourceKeysValues(slots(3, sentences), slots(3, sentences, first=100)),))
    state = AttentionState.start(source, (KeysValues(slots(0, sentences), slots(0, sentences)),))
    return state.select(torch.arange(sentences).repeat_interleave(rows))


def step(state: AttentionState, first: float) -> AttentionState:
    """Each row writes one slot: `first`, `first` + 1 and so on, and its double as a value."""
    after, (past,) = state.pasts()
    assert isinstance(past, Past)
    sentences = len(state.source.mask)
    own = slots(len(state.seen) // sentences, sentences, first)
    return replace(after, past=(past.layer.extend(own, 2 * own),))


def read(state: AttentionState, row: int) -> list[float]:
    """What a row has behind it."""
    (past,) = state.past
    assert isinstance(past, KeysValues)
    sentence = row // (len(state.seen) // len(state.source.mask))
    keys, values = (part[sentence, state.seen[row], 0, 0] for part in (past.keys, past.values))
    assert torch.equal(values, 2 * keys)
    found: list[float] = keys.tolist()
    return found


def test_what_is_written_behind_an_older_state_leaves_the_newer_one_alone() -> None:
    older = step(state_of(), 1)
    newer = step(older, 10)
    other = step(older, 20)
    again = step(other, 30)
    assert [read(newer, row) for row in range(2)] == [[1, 10], [2, 11]]
    assert [read(again, row) for row in range(2)] == [[1, 20, 30], [2, 21, 31]]
    assert [read(older, row) for row in range(2)] == [[1], [2]]


def test_a_line_of_steps_is_written_in_place_until_its_room_is_full() -> None:
    state, places = state_of(), set()
    for number in range(6 * SPARE):
        state = step(state, 2 * number)
        (past,) = state.past
        assert isinstance(past, KeysValues)
        places.add(past.keys.data_ptr())
    assert read(state, 0) == [2 * number for number in range(6 * SPARE)]
    assert 1 < len(places) <= 6


def test_each_row_sees_its_own_slot() -> None:
    seen = torch.tensor([[True], [True], [True], [False]])
    now = see_own(seen, sentences=2)
    assert now.tolist() == [[True, True, False], [True, False, True], [True, True, False], [False, False, True]]


def test_a_mask_is_told_only_where_a_row_does_not_see_everything() -> None:
    for rows, masked in ((1, False), (2, True)):
        _, (past,) = step(state_of(rows=rows), 1).pasts()
        assert isinstance(past, Past)
        assert (past.seen is not None) == masked


def test_the_rows_of_a_beam_change_places_and_their_past_stays_right() -> None:
    generator = torch.Generator().manual_seed(1)
    state = state_of(rows=3)
    expected: list[list[float]] = [[] for _ in range(6)]
    for number in range(8 * SPARE):
        state = step(state, 10 * number)
        expected = [[*line, 10.0 * number + row] for row, line in enumerate(expected)]
        rows = torch.cat(
            (torch.randint(0, 3, (3,), generator=generator), torch.randint(3, 6, (3,), generator=generator))
        )
        state, expected = state.select(rows), [expected[row] for row in rows.tolist()]
        assert [read(state, row) for row in range(6)] == expected
    assert state.seen.size(1) < 2 * state.length + SPARE * 3  # what no row has behind it has been left behind


def test_sentences_are_dropped_with_their_slots() -> None:
    state = step(step(state_of(sentences=3, rows=2), 0), 10)
    kept = state.select(torch.tensor([5, 5, 0, 1]), torch.tensor([2, 0]))
    assert [read(kept, row) for row in range(4)] == [[5, 15], [5, 15], [0, 10], [1, 11]]
    assert kept.source.layers[0].keys[:, 0, 0, 0].tolist() == [6, 0]
    assert [read(step(kept, 20), row) for row in range(4)] == [[5, 15, 20], [5, 15, 21], [0, 10, 22], [1, 11, 23]]


def test_moved_slots_are_those_that_were_asked_for() -> None:
    past = all_of(KeysValues(slots(4), slots(4, first=50)), spare=3)
    assert past.has_room(3) and not past.has_room(4)
    moved = past.move(torch.tensor([1, 0, 1]), torch.tensor([[3, 0], [1, 2], [0, 0]]), spare=0)
    assert moved.keys[:, :, 0, 0].tolist() == [[7, 4], [1, 2], [4, 4]]
    assert moved.values[:, :, 0, 0].tolist() == [[57, 54], [51, 52], [54, 54]]
