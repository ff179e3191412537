"""Every law can fail: for each law there is an architecture, or a search, that breaks it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from tests.unit.testing.tiny_architecture import TinyDecoder, TinyEncoder, TinyState, architecture
from torch import Tensor, nn

from regard.contract import DecoderOutput, Memory, State, StepFeatures, expand_to_rows
from regard.models import Architecture, bahdanau2014
from regard.nn.attention import Annotations
from regard.nn.attention_recorder import active_recorder
from regard.nn.copying import CopySource
from regard.testing import (
    LAWS,
    Case,
    InconclusiveError,
    Law,
    building,
    inference,
    recorded_attention,
    searching,
    sources,
    stepping,
)
from regard.testing.architecture import LONG_LAWS

NUMBERS = itertools.count(1)
NO_PATCH: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Mutant:
    """A broken architecture, or a broken function of regard."""

    architecture: Architecture
    patch: Callable[[], AbstractContextManager[Any]] = NO_PATCH


# Encoders


class DependsOnThePadding(TinyEncoder):
    def final(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return embedded.mean(1)


class DependsOnTheBatch(TinyEncoder):
    def final(self, embedded: Tensor, mask: Tensor) -> Tensor:
        final = super().final(embedded, mask)
        return final + final.mean(0)


class IgnoresToken4(TinyEncoder):
    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        tokens, mask = tokens.clone(), mask.clone()
        tokens[:, 4:5], mask[:, 4:5] = 0, False
        return super().forward(tokens, mask)


class IgnoresTheSource(TinyEncoder):
    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        memory = super().forward(tokens, mask)
        return Memory(torch.zeros_like(memory.keys), torch.zeros_like(memory.keys), mask, (memory.final[0] * 0,))


class RandomWeights(TinyEncoder):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        with torch.no_grad():
            self.embedding.weight[3, 0] += next(NUMBERS)


class UntrainedWeights(TinyEncoder):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.unused = nn.Parameter(torch.zeros(3))


class WeightsThatAreNotSaved(TinyEncoder):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.scale: Tensor
        self.register_buffer("scale", torch.randn(self.embedding.embedding_dim), persistent=False)

    def final(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return super().final(embedded * self.scale, mask)


class DropsInEvaluation(TinyEncoder):
    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        memory = super().forward(tokens, mask)
        return replace(memory, values=F.dropout(memory.values, self.dropout.p, training=True))


class RecordsWrongSelfAttention(TinyEncoder):
    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        if (recorder := active_recorder()) is not None:
            uniform = torch.full_like(tokens, 1, dtype=torch.float64) / tokens.shape[1]  # with padding
            recorder.self_attention.append(uniform[:, None, None].expand(-1, 1, tokens.shape[1], -1))
        return super().forward(tokens, mask)


# Decoders


class Decoder(TinyDecoder):
    """A decoder whose steps and whole targets can be changed in the same way."""

    def change(self, step: StepFeatures[Any], tokens: Tensor) -> StepFeatures[Any]:
        return step

    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        return self.change(super().advance(tokens, state, with_attention=with_attention), tokens)

    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        output = super().forward(tokens, memory, with_attention=with_attention)
        attention = None if output.attention is None else output.attention.flatten(0, 1)
        state = self.init_state(memory)
        changed = self.change(StepFeatures(output.features.flatten(0, 1), state, attention), tokens.flatten())
        shape = tokens.shape
        weights = None if changed.attention is None else changed.attention.unflatten(0, shape)
        return DecoderOutput(changed.features.unflatten(0, shape), weights)


class StepsDiffer(TinyDecoder):
    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        step = super().advance(tokens, state, with_attention=with_attention)
        return replace(step, features=step.features + 1e-3)


class AlwaysReturnsAttention(TinyDecoder):
    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        return super().advance(tokens, state, with_attention=True)


class AttentionDoesNotSumTo1(Decoder):
    def change(self, step: StepFeatures[Any], tokens: Tensor) -> StepFeatures[Any]:
        return step if step.attention is None else replace(step, attention=1.001 * step.attention)


class SelectsWrongRows(TinyDecoder):
    @dataclass(frozen=True)
    class Rows(TinyState):
        def select(self, rows: Tensor, sentences: Tensor | None = None) -> Any:
            return super().select(rows if sentences is None else rows.sort().values, sentences)

    def init_state(self, memory: Memory) -> Any:
        return self.Rows(Annotations.of(memory, self.score), memory.final[0])

    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        step = super().advance(tokens, state, with_attention=with_attention)
        return replace(step, state=self.Rows(step.state.source, step.state.hidden))


class RowsReadTheNextSentence(TinyDecoder):
    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        step = super().advance(tokens, state, with_attention=with_attention)
        sentences = len(state.source.mask)
        if len(tokens) == sentences:
            return step
        contexts = state.source.values[:, 0]  # (B, D)
        tiled = contexts.repeat(len(tokens) // sentences, 1) - expand_to_rows(contexts, len(tokens))
        return replace(step, features=step.features + F.pad(tiled, (0, tiled.shape[1])))


class SentencesStay(TinyDecoder):
    @dataclass(frozen=True)
    class Source(Annotations):
        def select(self, sentences: Tensor) -> Any:
            return super().select(torch.arange(len(sentences)) if len(sentences) < len(self.mask) else sentences)

    def init_state(self, memory: Memory) -> Any:
        state = super().init_state(memory)
        return replace(state, source=self.Source(state.source.projected, state.source.values, state.source.mask))


class ModifiesItsState(TinyDecoder):
    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        step = super().advance(tokens, state, with_attention=with_attention)
        state.hidden.mul_(0.5)
        return step


class SeesTheFuture(TinyDecoder):
    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        output = super().forward(tokens, memory, with_attention=with_attention)
        return replace(output, features=output.features + self.embedding(tokens).mean((1, 2))[:, None, None])


class DiffersInTraining(Decoder):
    def change(self, step: StepFeatures[Any], tokens: Tensor) -> StepFeatures[Any]:
        return replace(step, features=1.01 * step.features) if self.training else step


class MovesTheSource(TinyDecoder):
    @dataclass(frozen=True)
    class Rows(State):
        source: Annotations
        hidden: Tensor
        values: Tensor  # (N, S, D)

    def init_state(self, memory: Memory) -> Any:
        return self.Rows(Annotations.of(memory, self.score), memory.final[0], memory.values)

    def advance(self, tokens: Tensor, state: Any, *, with_attention: bool = False) -> StepFeatures[Any]:
        step = super().advance(tokens, state, with_attention=with_attention)
        return replace(step, state=self.Rows(step.state.source, step.state.hidden, state.values))


class DiffersIfRecorded(Decoder):
    def change(self, step: StepFeatures[Any], tokens: Tensor) -> StepFeatures[Any]:
        return step if active_recorder() is None else replace(step, features=step.features + 0.1)


class RecordsOtherWeights(TinyDecoder):
    def forward(self, tokens: Tensor, memory: Memory, *, with_attention: bool = False) -> DecoderOutput:
        output = super().forward(tokens, memory, with_attention=with_attention)
        if (recorder := active_recorder()) is not None and output.attention is not None:
            recorder.source_attention.append(output.attention.roll(1, 1)[:, None])
        return output


class NeverEnds(TinyDecoder):
    def readout(self, features: Tensor) -> Tensor:
        return super().readout(features).index_fill(-1, torch.tensor([2]), -1e4)


class SubsetsAreShifted(TinyDecoder):
    def readout_subset(self, tokens: Tensor) -> Any:
        return super().readout_subset(tokens.roll(1))


class WrongInFloat32(Decoder):
    """In float32, features are off wherever `where` is true."""

    def where(self, rows: int, step: StepFeatures[Any]) -> bool:
        return True

    def change(self, step: StepFeatures[Any], tokens: Tensor) -> StepFeatures[Any]:
        if step.features.dtype != torch.float32 or not self.where(len(tokens), step):
            return step
        return replace(step, features=step.features * 1.0001)


class WrongWithAttention(WrongInFloat32):
    def where(self, rows: int, step: StepFeatures[Any]) -> bool:
        return step.attention is not None


class WrongInSteps(WrongInFloat32):
    def where(self, rows: int, step: StepFeatures[Any]) -> bool:
        return rows <= 4


class WrongInBeams(WrongInFloat32):
    def where(self, rows: int, step: StepFeatures[Any]) -> bool:
        return rows in (9, 12)


class WrongGradient(TinyDecoder):
    def readout(self, features: Tensor) -> Tensor:
        logits = super().readout(features)
        is_training = logits.dtype == torch.float32 and logits.requires_grad
        return logits + 1e-3 * (logits - logits.detach()) if is_training else logits


class WrongLogitsInFloat32(TinyDecoder):
    def readout(self, features: Tensor) -> Tensor:
        logits = super().readout(features)
        return logits * (1.0001 if logits.dtype == torch.float32 else 1)


def broken(target: Any, name: str, change: Callable[[Any], Any]) -> Mutant:
    """Return a patch of a function whose result `change` makes wrong; the architecture is right."""
    function = getattr(target, name)

    def wrong(*arguments: Any, **options: Any) -> Any:
        return change(function(*arguments, **options))

    return Mutant(architecture(), lambda: mock.patch.object(target, name, wrong))


def copies_from_another_sentence() -> Mutant:
    """Return an architecture that copies, and a patch that lets it copy the tokens of the next source."""
    config = bahdanau2014.Config(hidden_size=8, embedding_size=8, attention_size=8, maxout_size=8, copy_attention=True)
    right = CopySource.of

    def wrong(memory: Memory) -> CopySource:
        source = right(memory)
        return replace(source, tokens=source.tokens.roll(-1, 0))

    return Mutant(
        Architecture(bahdanau2014.Config, bahdanau2014.build, {"small": lambda: config}),
        lambda: mock.patch.object(CopySource, "of", wrong),
    )


def less_probable(result: list[Any]) -> list[Any]:
    """Return the result of a search, (hypotheses or beams), with scores that are off."""
    return [
        less_probable(item) if isinstance(item, list) else replace(item, log_probability=item.log_probability - 0.01)
        for item in result
    ]


def negated(model: nn.Module) -> nn.Module:
    """Return the model with other embeddings; the weights that it shares with another model do not change."""
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.weight = nn.Parameter(-module.weight, requires_grad=False)
    return model


MUTANTS: dict[str, Mutant] = {
    "the_seed_determines_the_weights": Mutant(architecture(RandomWeights)),
    "gradients_reach_every_parameter": Mutant(architecture(UntrainedWeights)),
    "checkpoints_keep_the_model": Mutant(architecture(WeightsThatAreNotSaved)),
    "outputs_depend_on_source_and_prefix": Mutant(architecture(IgnoresTheSource)),
    "searches_end_in_both_ways": Mutant(architecture(decoder=NeverEnds)),
    "padding_has_no_effect": Mutant(architecture(DependsOnThePadding)),
    "a_row_does_not_depend_on_its_batch": Mutant(architecture(DependsOnTheBatch)),
    "every_source_token_has_an_effect": Mutant(architecture(IgnoresToken4)),
    "attention_is_a_distribution": Mutant(architecture(decoder=AttentionDoesNotSumTo1)),
    "steps_agree_with_teacher_forcing": Mutant(architecture(decoder=StepsDiffer)),
    "attention_is_optional": Mutant(architecture(decoder=AlwaysReturnsAttention)),
    "selected_rows_continue_unchanged": Mutant(architecture(decoder=SelectsWrongRows)),
    "rows_of_a_beam_agree_with_separate_sentences": Mutant(architecture(decoder=RowsReadTheNextSentence)),
    "sentences_are_dropped_with_their_rows": Mutant(architecture(decoder=SentencesStay)),
    "a_step_does_not_modify_its_state": Mutant(architecture(decoder=ModifiesItsState)),
    "decoding_is_causal": Mutant(architecture(decoder=SeesTheFuture)),
    "training_mode_agrees_with_eval_mode": Mutant(architecture(decoder=DiffersInTraining)),
    "a_beam_moves_nothing_of_the_source": Mutant(architecture(decoder=MovesTheSource)),
    "recording_changes_no_output": Mutant(architecture(decoder=DiffersIfRecorded)),
    "recorded_heads_average_to_the_attention": Mutant(architecture(decoder=RecordsOtherWeights)),
    "recorded_heads_are_distributions": Mutant(architecture(RecordsWrongSelfAttention)),
    "copies_have_the_probability_of_their_attention": copies_from_another_sentence(),
    "greedy_search_is_beam_search_of_size_1": broken(searching, "greedy_search", less_probable),
    "a_wide_beam_agrees_with_brute_force": broken(
        searching, "beam_search", lambda beams: [beam[::-1] for beam in beams]
    ),
    "exact_search_agrees_with_a_wide_beam": broken(
        searching, "exact_search", lambda result: [replace(item, tokens=(*item.tokens, 3)) for item in result]
    ),
    "the_best_first_token_is_that_of_teacher_forcing": broken(
        searching, "exact_search", lambda result: [replace(item, proved=True) for item in result]
    ),
    "lookahead_lies_between_greedy_search_and_a_wide_beam": broken(searching, "lookahead_search", less_probable),
    "diverse_beam_search_with_1_group_is_beam_search": broken(searching, "diverse_beam_search", less_probable),
    "every_search_is_independent_of_the_batch": Mutant(architecture(DependsOnTheBatch)),
    "beam_search_is_independent_of_the_batch": Mutant(architecture(DependsOnTheBatch)),
    "hypotheses_have_the_log_probability_of_teacher_forcing": broken(searching, "beam_search", less_probable),
    "an_ensemble_of_copies_agrees_with_the_model": broken(
        searching, "ensemble", lambda model: negated(copy.deepcopy(model))
    ),
    "a_shortlist_of_the_full_vocabulary_changes_nothing": Mutant(architecture(decoder=SubsetsAreShifted)),
    "a_sentence_is_restricted_to_its_shortlist": Mutant(architecture(DependsOnTheBatch)),
    "log_probabilities_are_normalized_over_the_shortlist": Mutant(architecture(decoder=SubsetsAreShifted)),
    "an_ensemble_of_copies_uses_the_shortlist": Mutant(architecture(decoder=SubsetsAreShifted)),
    "freezing_changes_no_output": broken(inference, "freeze_for_inference", negated),
    "int8_is_close_and_leaves_the_model_unchanged": broken(inference, "freeze_in_8_bits", negated),
    "a_readout_subset_computes_only_its_logits": Mutant(architecture(decoder=SubsetsAreShifted)),
    "dropout_acts_only_in_training": Mutant(architecture(DropsInEvaluation)),
    "long_outputs_depend_on_source_and_prefix": Mutant(architecture(IgnoresTheSource)),
    "a_batch_in_float32_agrees_with_float64": Mutant(architecture(decoder=WrongInFloat32)),
    "attention_in_float32_agrees_with_float64": Mutant(architecture(decoder=WrongWithAttention)),
    "steps_in_float32_agree_with_teacher_forcing": Mutant(architecture(decoder=WrongInSteps)),
    "a_beam_in_float32_agrees_with_teacher_forcing": Mutant(architecture(decoder=WrongInBeams)),
    "log_probabilities_in_float32_agree_with_float64": Mutant(architecture(decoder=WrongLogitsInFloat32)),
    "loss_and_gradients_in_float32_agree_with_float64": Mutant(architecture(decoder=WrongGradient)),
}


# Laws on single models, and which of them a mutant breaks in addition to its own, because they overlap.
MODULES = {module.__name__ for module in (building, sources, stepping, recorded_attention)}
MODEL_LAWS = [law for law in LAWS if law.check.__module__ in MODULES]
ALSO_BROKEN = {
    "padding_has_no_effect": {"a_row_does_not_depend_on_its_batch"},
    "a_row_does_not_depend_on_its_batch": {"every_source_token_has_an_effect"},
    "selected_rows_continue_unchanged": {
        "rows_of_a_beam_agree_with_separate_sentences",
        "sentences_are_dropped_with_their_rows",
    },
    "rows_of_a_beam_agree_with_separate_sentences": {"sentences_are_dropped_with_their_rows"},
    "sentences_are_dropped_with_their_rows": {"rows_of_a_beam_agree_with_separate_sentences"},
    "a_step_does_not_modify_its_state": {"attention_is_optional", "sentences_are_dropped_with_their_rows"},
    "decoding_is_causal": {"steps_agree_with_teacher_forcing"},
}


def case_of(law: Law, broken: Architecture) -> Case:
    return Case(broken, noise=1.0) if law in LONG_LAWS else Case(broken, noise=2.0, seed=1)


def test_there_is_a_mutant_for_every_law() -> None:
    assert list(MUTANTS) == [law.name for law in LAWS]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_right_architecture_obeys_the_law(law: Law) -> None:
    law(case_of(law, architecture()))


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_mutant_breaks_the_law(law: Law) -> None:
    mutant = MUTANTS[law.name]
    with mutant.patch(), pytest.raises(AssertionError, match=f"breaks the law {law.name}") as error:
        law(case_of(law, mutant.architecture))
    is_precondition = law.name in ("searches_end_in_both_ways",) or "outputs_depend" in law.name
    assert isinstance(error.value, InconclusiveError) == is_precondition


@pytest.mark.parametrize("law", MODEL_LAWS, ids=str)
def test_the_mutant_breaks_no_law_without_a_reason(law: Law) -> None:
    mutant = MUTANTS[law.name].architecture
    assert {candidate.name for candidate in MODEL_LAWS if breaks(candidate, mutant)} == {
        law.name,
        *ALSO_BROKEN.get(law.name, ()),
    }


def breaks(law: Law, mutant: Architecture) -> bool:
    try:
        law(case_of(law, mutant))
    except AssertionError:
        return True
    return False
