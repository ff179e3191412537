"""Laws of the decoder state: decoding step by step agrees with teacher forcing, and states are immutable values."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from regard.contract import Seq2Seq, State


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nested state."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors(part)
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))


def state_after(model: Seq2Seq, sources: Tensor, targets: Tensor, steps: int) -> State:
    """Return the decoder state after the first `steps` target tokens."""
    state: State = model.decoder.init_state(model.encode(sources))
    for column in targets[:, :steps].unbind(1):
        state = model.decoder.advance(column, state).state
    return state


def test_forward_agrees_with_repeated_advance(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    full = model.features(sources, targets, with_attention=True)
    state = model.decoder.init_state(model.encode(sources))
    for position, column in enumerate(targets.unbind(1)):
        advanced = model.decoder.advance(column, state, with_attention=True)
        state = advanced.state
        torch.testing.assert_close(advanced.features, full.features[:, position])
        assert (advanced.attention is not None) == (full.attention is not None) == model.decoder.has_attention
        if full.attention is not None:
            torch.testing.assert_close(advanced.attention, full.attention[:, position])


def test_attention_is_returned_only_on_request_and_changes_no_output(
    model: Seq2Seq, sources: Tensor, targets: Tensor
) -> None:
    plain = model.features(sources, targets)
    assert plain.attention is None
    torch.testing.assert_close(plain.features, model.features(sources, targets, with_attention=True).features)
    state = state_after(model, sources, targets, 2)
    step = model.decoder.step(targets[:, 2], state)
    assert step.attention is None
    torch.testing.assert_close(step.logits, model.decoder.step(targets[:, 2], state, with_attention=True).logits)


def test_select_commutes_with_step(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    rows = torch.tensor([2, 0, 2, 3, 1, 1])
    for steps in range(3):
        state = state_after(model, sources, targets, steps)
        chosen = state.select(rows, rows)
        for position in (steps, steps + 1):
            step = model.decoder.step(targets[:, position], state, with_attention=True)
            same = model.decoder.step(targets[rows, position], chosen, with_attention=True)
            torch.testing.assert_close(same.logits, step.logits[rows])
            if model.decoder.has_attention:
                assert step.attention is not None
                torch.testing.assert_close(same.attention, step.attention[rows])
            state, chosen = step.state, same.state


PREFIXES = torch.tensor(
    [[3, 4, 5], [3, 6, 7], [4, 4, 3], [5, 3, 6], [7, 5, 4], [7, 5, 5], [6, 3, 3], [3, 7, 4], [4, 6, 5]]
)
MOVES = (torch.tensor([1, 1, 0, 5, 3, 4, 8, 8, 8]), torch.tensor([2, 0, 0, 3, 5, 5, 7, 6, 8]))


def test_rows_that_share_a_sentence_agree_with_separate_rows(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    """The rows of three sentences, three each, fork, swap, and are removed and added."""
    beams = torch.arange(3).repeat_interleave(3)
    first = model.decoder.init_state(model.encode(sources[:3]))
    shared = model.decoder.advance(targets[:3, 0], first).state.select(beams)
    separate = model.decoder.advance(targets[beams, 0], model.decoder.init_state(model.encode(sources[beams]))).state
    moves = [*MOVES, *MOVES, torch.tensor([0, 2, 3, 4, 6, 7]), torch.tensor([1, 0, 1, 2, 3, 2, 5, 4, 5])] * 4
    for number, rows in enumerate(moves):
        tokens = PREFIXES.roll(number, 0)[: 6 if number % 6 == 5 else 9, number % 3]
        first = model.decoder.step(tokens, shared, with_attention=True)
        second = model.decoder.step(tokens, separate, with_attention=True)
        torch.testing.assert_close(first.logits, second.logits)
        torch.testing.assert_close(first.attention, second.attention)
        shared, separate = first.state.select(rows), second.state.select(rows, rows)


def test_sentences_are_dropped_with_their_rows(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    beams = torch.arange(4).repeat_interleave(2)
    state = model.decoder.init_state(model.encode(sources))
    state = model.decoder.advance(targets[:, 0], state).state.select(beams)
    tokens = torch.tensor([3, 4, 5, 6, 7, 3, 4, 5])
    full = model.decoder.step(tokens, state, with_attention=True)
    rows, sentences = torch.tensor([7, 6, 3, 3]), torch.tensor([3, 1])
    selected = model.decoder.step(tokens[rows], state.select(rows, sentences), with_attention=True)
    torch.testing.assert_close(selected.logits, full.logits[rows])
    assert (full.attention is None) == (selected.attention is None)
    if full.attention is not None:
        torch.testing.assert_close(selected.attention, full.attention[rows])


def test_a_step_does_not_modify_its_state(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    state = state_after(model, sources, targets, 2)
    before = copy.deepcopy(state)
    first = model.decoder.step(targets[:, 2], state)
    model.decoder.step(targets[:, 3], state)
    model.decoder.step(targets[:, 3], first.state)
    compared = list(zip(tensors(state), tensors(before), strict=True))
    assert compared
    assert all(tensor.equal(original) for tensor, original in compared)
    assert model.decoder.step(targets[:, 2], state).logits.equal(first.logits)


def test_decoding_is_causal(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    before = model.features(sources, targets).features
    for position in range(targets.shape[1]):
        changed = targets.clone()
        changed[:, position] = torch.where(targets[:, position].eq(3), 4, 3)
        after_change = model.features(sources, changed).features
        torch.testing.assert_close(after_change[:, :position], before[:, :position])
        assert (after_change - before)[:, position].abs().amax(1).gt(1e-6).all()


def test_training_mode_without_dropout_agrees_with_eval_mode(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    evaluated = model(sources, targets)
    torch.testing.assert_close(model.train()(sources, targets), evaluated)
