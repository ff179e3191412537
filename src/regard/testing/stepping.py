"""Laws of the decoder state: a step computes what teacher forcing computes, and a state is an immutable value."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.contract import PerSource, Seq2Seq, State
from regard.special_tokens import PAD
from regard.testing.assertions import STEP, STEP_ATTENTION, TARGET, assert_close, require
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS


def tensors(value: Any, *, of_source: bool | None = None, in_source: bool = False) -> Iterator[Tensor]:
    """Yield the tensors of a nested state.

    Args:
        value: The state, or a part of it.
        of_source: Only those that belong to sources, because they are part of a PerSource (True), or only those that
            do not (False). Default: all.
        in_source: Whether `value` is part of a PerSource.
    """
    if isinstance(value, Tensor):
        if of_source in (None, in_source):
            yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors(part, of_source=of_source, in_source=in_source)
    elif is_dataclass(value):
        for field in fields(value):
            is_source = in_source or isinstance(value, PerSource)
            yield from tensors(getattr(value, field.name), of_source=of_source, in_source=is_source)


def state_after(model: Seq2Seq, steps: int, sources: Tensor = SOURCES) -> State:
    """Return the decoder state after the first `steps` target tokens."""
    state: State = model.decoder.init_state(model.encode(sources))
    for column in TARGETS[:, :steps].unbind(1):
        state = model.decoder.advance(column, state).state
    return state


@law("training uses forward() and search uses advance(): translations come from another model than the trained one")
def steps_agree_with_teacher_forcing(case: Case) -> None:
    """advance() computes, token by token, the features and the attention that forward() computes for whole targets."""
    model = case.model()
    full = model.features(SOURCES, TARGETS, with_attention=True)
    state = model.decoder.init_state(model.encode(SOURCES))
    for position, column in enumerate(TARGETS.unbind(1)):
        advanced = model.decoder.advance(column, state, with_attention=True)
        state = advanced.state
        where = f"of advance() and of forward() at target position {position}"
        assert_close(advanced.features, full.features[:, position], f"the features {where}", STEP)
        attention = None if full.attention is None else full.attention[:, position]
        assert_close(advanced.attention, attention, f"the attentions {where}", STEP_ATTENTION)


@law("search pays for attention that no caller requests, or its result depends on whether attention is shown")
def attention_is_optional(case: Case) -> None:
    """Attention is returned only on request, and requesting it changes no other output."""
    model = case.model()
    plain = model.features(SOURCES, TARGETS)
    require(plain.attention is None, "forward() returns attention without with_attention=True")
    attended = model.features(SOURCES, TARGETS, with_attention=True)
    assert_close(attended.features, plain.features, "the features of forward() with and without attention", TARGET)
    state = state_after(model, 2)
    step = model.decoder.step(TARGETS[:, 2], state)
    require(step.attention is None, "step() returns attention without with_attention=True")
    logits = model.decoder.step(TARGETS[:, 2], state, with_attention=True).logits
    assert_close(logits, step.logits, "the logits of step() with and without attention", STEP)


@law("beam search reorders and repeats rows at each step: its hypotheses would continue from wrong states")
def selected_rows_continue_unchanged(case: Case) -> None:
    """A step after state.select(rows, sentences) gives the rows of the step without it."""
    model = case.model()
    rows = torch.tensor([2, 0, 2, 3, 1, 1])
    for steps in range(3):
        state = state_after(model, steps)
        selected = state.select(rows, rows)
        for position in (steps, steps + 1):
            step = model.decoder.step(TARGETS[:, position], state, with_attention=True)
            after_selection = model.decoder.step(TARGETS[rows, position], selected, with_attention=True)
            where = f"at target position {position} with and without a selection of rows after position {steps}"
            assert_close(after_selection.logits, step.logits[rows], f"the logits {where}", STEP)
            attention = None if step.attention is None else step.attention[rows]
            assert_close(after_selection.attention, attention, f"the attentions {where}", STEP_ATTENTION)
            state, selected = step.state, after_selection.state


PREFIXES = torch.tensor(
    [[3, 4, 5], [3, 6, 7], [4, 4, 3], [5, 3, 6], [7, 5, 4], [7, 5, 5], [6, 3, 3], [3, 7, 4], [4, 6, 5]]
)
MOVES = (torch.tensor([1, 1, 0, 5, 3, 4, 8, 8, 8]), torch.tensor([2, 0, 0, 3, 5, 5, 7, 6, 8]))


@law("the hypotheses of a beam are rows of one sentence: they would read each other's source, prefix or cache")
def rows_of_a_beam_agree_with_separate_sentences(case: Case) -> None:
    """Rows that share the source of a sentence give the logits that they give with a copy of the source each.

    The rows of three sentences, three each, fork, swap, and are removed and added.
    """
    model = case.model()
    beams = torch.arange(3).repeat_interleave(3)
    first = model.decoder.init_state(model.encode(SOURCES[:3]))
    shared = model.decoder.advance(TARGETS[:3, 0], first).state.select(beams)
    separate = model.decoder.advance(TARGETS[beams, 0], model.decoder.init_state(model.encode(SOURCES[beams]))).state
    moves = [*MOVES, *MOVES, torch.tensor([0, 2, 3, 4, 6, 7]), torch.tensor([1, 0, 1, 2, 3, 2, 5, 4, 5])] * 4
    for number, rows in enumerate(moves):
        tokens = PREFIXES.roll(number, 0)[: 6 if number % 6 == 5 else 9, number % 3]
        beam = model.decoder.step(tokens, shared, with_attention=True)
        rowwise = model.decoder.step(tokens, separate, with_attention=True)
        where = f"at step {number + 1} of rows that share a sentence and of rows with a copy each"
        assert_close(beam.logits, rowwise.logits, f"the logits {where}", STEP)
        assert_close(beam.attention, rowwise.attention, f"the attentions {where}", STEP_ATTENTION)
        shared, separate = beam.state.select(rows), rowwise.state.select(rows, rows)


@law("search drops finished sentences: those that remain would continue with the source of another")
def sentences_are_dropped_with_their_rows(case: Case) -> None:
    """After state.select(rows, sentences) with some of the sentences, each row reads its own source."""
    model = case.model()
    state = state_after(model, 1).select(torch.arange(4).repeat_interleave(2))
    tokens = torch.tensor([3, 4, 5, 6, 7, 3, 4, 5])
    full = model.decoder.step(tokens, state, with_attention=True)
    rows, sentences = torch.tensor([7, 6, 3, 3]), torch.tensor([3, 1])
    selected = model.decoder.step(tokens[rows], state.select(rows, sentences), with_attention=True)
    assert_close(selected.logits, full.logits[rows], "the logits after and before sentences are dropped", STEP)
    attention = None if full.attention is None else full.attention[rows]
    assert_close(selected.attention, attention, "the attentions after and before sentences are dropped", STEP_ATTENTION)


@law("exact and lookahead search step from a state several times: their results would be wrong")
def a_step_does_not_modify_its_state(case: Case) -> None:
    """A step returns a new state: the state that it was given can be used again."""
    model = case.model()
    state = state_after(model, 2)
    before = copy.deepcopy(state)
    first = model.decoder.step(TARGETS[:, 2], state)
    model.decoder.step(TARGETS[:, 3], state)
    model.decoder.step(TARGETS[:, 3], first.state)
    compared = list(zip(tensors(state), tensors(before), strict=True))
    require(bool(compared), "the state has no tensors")
    for number, (tensor, original) in enumerate(compared):
        require(tensor.equal(original), f"tensor {number} of the state, {tuple(tensor.shape)}, has changed in a step")
    again = model.decoder.step(TARGETS[:, 2], state).logits
    assert_close(again, first.logits, "the logits of two equal steps from one state", STEP, rtol=0, atol=0)


@law("training sees target tokens that search does not know yet: the loss is low and translations are bad")
def decoding_is_causal(case: Case) -> None:
    """A target token changes the features at its position and after it, and none before it."""
    model = case.model()
    before = model.features(SOURCES, TARGETS).features
    for position in range(TARGETS.shape[1]):
        changed = TARGETS.clone()
        changed[:, position] = torch.where(TARGETS[:, position].eq(3), 4, 3)
        after_change = model.features(SOURCES, changed).features
        where = f"with and without a change of target token {position}"
        earlier = slice(None), slice(position)
        assert_close(after_change[earlier], before[earlier], f"the features before it {where}", TARGET)
        effect = (after_change - before)[:, position].abs().amax(1)  # (B,)
        require(
            bool(effect.gt(1e-6).all()),
            f"a change of target token {position} changes the features at its position by only {effect.min():.3g}"
            f" in row {int(effect.argmin())}",
        )


@law("training optimizes another function than search evaluates")
def training_mode_agrees_with_eval_mode(case: Case) -> None:
    """Without dropout, the logits in training mode are those in eval mode."""
    model = case.model()
    evaluated = model(SOURCES, TARGETS)
    assert_close(model.train()(SOURCES, TARGETS), evaluated, "the logits in training and in eval mode", TARGET)


@law("each step of a beam copies the source of every row: search is slow and needs much memory")
def a_beam_moves_nothing_of_the_source(case: Case) -> None:
    """state.select(rows) leaves what belongs to the source where it is.

    Values of the source are fields of a PerSource, which are not copied. The tensors that are moved may grow with the
    source by a number for each position and row, such as its attention so far, but not by its keys or values.
    """
    model = case.model()
    state = state_after(model, 2)
    rows = torch.arange(len(SOURCES)).flip(0)
    before, after = (list(tensors(value, of_source=True)) for value in (state, state.select(rows)))
    is_same = len(before) == len(after) and all(first is second for first, second in zip(before, after, strict=True))
    require(is_same, "state.select(rows), without sentences, copies tensors of a PerSource")
    width = SOURCES.shape[1]
    longer = state_after(model, 2, nn.functional.pad(SOURCES, (0, width), value=PAD))
    moved = (tensors(value, of_source=False) for value in (state, longer))
    values = model.encode(SOURCES).values
    for number, (short, long) in enumerate(zip(*moved, strict=True)):
        growth = (long.numel() - short.numel()) / (len(SOURCES) * width)
        require(
            growth <= 1 or growth < values.shape[-1],
            f"tensor {number} of the state, {tuple(short.shape)}, grows by {growth:g} numbers for each position and row"
            " of the source: make it a field of a PerSource, such as a Memory",
        )
