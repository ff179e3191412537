"""The KV cache: slots shared by the rows of a sentence, and masks of the slots that each row sees."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.nn.attention_memory import KeysValues
from regard.nn.kv_cache import (
    SPARE_STEPS,
    CacheView,
    LayerCache,
    ProjectedSource,
    TransformerState,
    add_own_slots,
)


def slots(number: int, sentences: int = 2, start: float = 0.0) -> Tensor:
    """(sentences, number, 1, 1), each slot with its own value."""
    return (start + torch.arange(sentences * number, dtype=torch.float64)).view(sentences, number, 1, 1)


def initial_state(sentences: int = 2, rows: int = 1) -> TransformerState:
    mask = torch.ones(sentences, 3, dtype=torch.bool)
    source = ProjectedSource(mask, (KeysValues(slots(3, sentences), slots(3, sentences, start=100)),))
    state = TransformerState.start(source, (LayerCache.empty(slots(3, sentences)),))
    return state.select(torch.arange(sentences).repeat_interleave(rows))


def step(state: TransformerState, start: float) -> TransformerState:
    """Let each row write a slot: the keys are `start`, `start` + 1, ..., and the values their doubles."""
    state, (memory,) = state.begin_step()
    sentences = len(state.source.mask)
    keys = slots(len(state.visible) // sentences, sentences, start)
    memory.attend(keys, keys, 2 * keys)
    return state.end_step([memory])


def read(state: TransformerState, row: int) -> list[float]:
    """Return the keys that a row sees."""
    (cache,) = state.layers
    assert isinstance(cache, LayerCache)
    sentence = row // (len(state.visible) // len(state.source.mask))
    keys, values = (part[sentence, state.visible[row], 0, 0] for part in (cache.keys, cache.values))
    assert torch.equal(values, 2 * keys)
    visible_keys: list[float] = keys.tolist()
    return visible_keys


def test_two_continuations_of_one_state_do_not_see_each_other() -> None:
    older = step(initial_state(), 1)
    first = step(older, 10)
    second = step(step(older, 20), 30)
    assert [read(first, row) for row in range(2)] == [[1, 10], [2, 11]]
    assert [read(second, row) for row in range(2)] == [[1, 20, 30], [2, 21, 31]]
    assert [read(older, row) for row in range(2)] == [[1], [2]]


def test_steps_are_written_in_place_until_the_buffer_is_full() -> None:
    state, addresses = initial_state(), set()
    for number in range(6 * SPARE_STEPS):
        state = step(state, 2 * number)
        (cache,) = state.layers
        assert isinstance(cache, LayerCache)
        addresses.add(cache.keys.data_ptr())
    assert read(state, 0) == [2 * number for number in range(6 * SPARE_STEPS)]
    assert 1 < len(addresses) <= 6


def test_each_row_sees_its_own_new_slot() -> None:
    visible = torch.tensor([[True], [True], [True], [False]])
    extended = add_own_slots(visible, sentences=2)
    assert extended.tolist() == [[True, True, False], [True, False, True], [True, True, False], [False, False, True]]


def test_there_is_a_mask_only_if_some_row_does_not_see_every_slot() -> None:
    for rows, has_mask in ((1, False), (2, True)):
        _, (memory,) = step(initial_state(rows=rows), 1).begin_step()
        assert isinstance(memory, CacheView)
        assert (memory.visible is not None) == has_mask


def test_reordering_the_rows_of_a_beam_keeps_their_histories() -> None:
    generator = torch.Generator().manual_seed(1)
    state = initial_state(rows=3)
    expected: list[list[float]] = [[] for _ in range(6)]
    for number in range(8 * SPARE_STEPS):
        state = step(state, 10 * number)
        expected = [[*history, 10.0 * number + row] for row, history in enumerate(expected)]
        rows = torch.cat(
            (torch.randint(0, 3, (3,), generator=generator), torch.randint(3, 6, (3,), generator=generator))
        )
        state, expected = state.select(rows), [expected[row] for row in rows.tolist()]
        assert [read(state, row) for row in range(6)] == expected
    assert state.visible.size(1) < 2 * state.length + SPARE_STEPS * 3  # slots that no row sees were dropped


def test_dropping_sentences_drops_their_slots() -> None:
    state = step(step(initial_state(sentences=3, rows=2), 0), 10)
    selected = state.select(torch.tensor([5, 5, 0, 1]), torch.tensor([2, 0]))
    assert [read(selected, row) for row in range(4)] == [[5, 15], [5, 15], [0, 10], [1, 11]]
    assert selected.source.layers[0].keys[:, 0, 0, 0].tolist() == [6, 0]
    continued = step(selected, 20)
    assert [read(continued, row) for row in range(4)] == [[5, 15, 20], [5, 15, 21], [0, 10, 22], [1, 11, 23]]


def test_compact_copies_the_slots_that_it_is_given() -> None:
    cache = LayerCache(slots(4), slots(4, start=50)).compact(torch.arange(2), torch.arange(4).expand(2, -1), spare=3)
    assert cache.has_space(3) and not cache.has_space(4)
    compacted = cache.compact(torch.tensor([1, 0, 1]), torch.tensor([[3, 0], [1, 2], [0, 0]]), spare=0)
    assert compacted.keys[:, :, 0, 0].tolist() == [[7, 4], [1, 2], [4, 4]]
    assert compacted.values[:, :, 0, 0].tolist() == [[57, 54], [51, 52], [54, 54]]
