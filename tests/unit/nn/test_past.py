"""What a decoder with attention keeps between steps: shared slots, told apart by what each row sees."""

import torch
from torch import Tensor

from regard.nn.multihead import TIDY_EVERY, KeysValues, rows_see, see_own, tidy


def slots(number: int, sentences: int = 2, first: float = 0.0) -> Tensor:
    """(sentences, number, 1, 1), each slot with a value of its own."""
    return (first + torch.arange(sentences * number, dtype=torch.float64)).view(sentences, number, 1, 1)


def test_what_is_written_behind_an_older_state_leaves_the_newer_one_alone() -> None:
    start = KeysValues(slots(0), slots(0))
    first = start.extend(slots(2), slots(2))
    newer = first.extend(slots(2, first=10), slots(2, first=20))
    before = newer.keys.clone(), newer.values.clone()
    other = first.extend(slots(3, first=30), slots(3, first=40))
    assert torch.equal(newer.keys, before[0]) and torch.equal(newer.values, before[1])
    assert torch.equal(other.keys, torch.cat((first.keys, slots(3, first=30)), 1))
    assert torch.equal(other.values, torch.cat((first.values, slots(3, first=40)), 1))


def test_a_line_of_steps_is_written_in_place_until_its_room_is_full() -> None:
    past = KeysValues(slots(0), slots(0)).extend(slots(1), slots(1))
    places = {past.keys.data_ptr()}
    for number in range(1, 40):
        past = past.extend(slots(1, first=number), slots(1, first=number))
        places.add(past.keys.data_ptr())
    assert past.keys[0, :, 0, 0].tolist() == list(range(40))
    assert len(places) < 4


def test_each_row_sees_its_own_slot() -> None:
    seen = torch.tensor([[True], [True], [True], [False]])
    now = see_own(seen, sentences=2)
    assert now.tolist() == [[True, True, False], [True, False, True], [True, True, False], [False, False, True]]
    assert rows_see(now, 2, length=2) is not None
    assert rows_see(now, 2, length=3) is None


def test_slots_that_no_row_sees_are_taken_out() -> None:
    length = TIDY_EVERY
    past = KeysValues(slots(5 * length), slots(5 * length, first=1000))
    seen = torch.zeros(4, 5 * length, dtype=torch.bool)
    seen[0, 7], seen[1, 7], seen[1, 9] = True, True, True
    seen[2, 3], seen[3, 60] = True, True
    other = torch.zeros(4, 3)
    (kept, same), now = tidy((past, other), seen, 2, length)
    assert same is other
    assert isinstance(kept, KeysValues)
    assert kept.keys.shape[1] == 2
    for row in range(4):
        assert kept.keys[row // 2, now[row], 0, 0].equal(past.keys[row // 2, seen[row], 0, 0])
        assert kept.values[row // 2, now[row], 0, 0].equal(past.values[row // 2, seen[row], 0, 0])


def test_nothing_is_taken_out_where_most_is_seen_or_between_times() -> None:
    past = KeysValues(slots(2 * TIDY_EVERY), slots(2 * TIDY_EVERY))
    seen = torch.ones(2, 2 * TIDY_EVERY, dtype=torch.bool)
    assert tidy((past,), seen, 2, TIDY_EVERY) == ((past,), seen)
    assert tidy((past,), seen.logical_not(), 2, TIDY_EVERY - 1)[0] == (past,)
