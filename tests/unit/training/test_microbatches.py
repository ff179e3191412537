"""Batches that do not fit are divided, and the step is that of the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.unit.training.toy import model, pairs, same, settings, trainer, weights
from torch import Tensor

from regard.contract import Seq2Seq
from regard.corpus.corpus import LineOrigins
from regard.data.batch import Batch, batch_from_store
from regard.errors import TrainingError
from regard.training.microbatches import describe_lines, is_out_of_memory
from regard.training.step import TrainStep

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


class Small:
    """A memory that holds so many source tokens with their padding; what fails has begun its backward before."""

    def __init__(self, of: Seq2Seq, most: int, *, error: type[BaseException] = RuntimeError) -> None:
        self.asked: list[tuple[int, int]] = []
        self.model, self.most, self.error = of, most, error
        self.features = of.features
        of.features = self  # type: ignore[method-assign,assignment]

    def __call__(self, source: Tensor, target_in: Tensor) -> Any:
        self.asked.append((source.shape[0], source.shape[1]))
        found = self.features(source, target_in)
        if source.numel() > self.most:
            found.features.sum().backward()  # gradients that must not stay
            raise self.error(f"{CPU} 6260000 bytes")
        return found


def batch(*indices: int) -> Batch:
    return batch_from_store(pairs(), indices)


def train_step(
    most: int | None = None, told: list[str] | None = None, **changes: Any
) -> tuple[TrainStep, Small | None]:
    trained = model(dropout=0.0)
    small = None if most is None else Small(trained, most)
    return TrainStep(trained, settings(clip_norm=0.0, **changes), tell=(told if told is not None else []).append), small


def gradients(of: TrainStep) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in of.model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("most", [30, 20, 8])
def test_the_gradient_of_the_parts_is_that_of_the_whole(most: int) -> None:
    taken = [batch(5, 11, 4, 10, 3), batch(1, 2), batch(17, 23, 29)]
    whole, _ = train_step()
    expected = whole.step(taken, 1.0)
    parts, small = train_step(most)
    found = parts.step(taken, 1.0)
    assert small is not None
    assert any(rows * width > most for rows, width in small.asked)
    assert gradients(parts).keys() == dict(parts.model.named_parameters()).keys()
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(parts)[name], gradient, msg=name)
    assert found.tokens == expected.tokens
    assert found.loss == pytest.approx(expected.loss)
    assert found.norm == pytest.approx(expected.norm, rel=1e-4)


def test_what_did_not_fit_is_told_with_its_lines_and_not_tried_again() -> None:
    told: list[str] = []
    parts, small = train_step(22, told)
    assert small is not None
    parts.step([batch(5, 11, 4)], 1.0)  # 3 x 7 source tokens fit
    assert told == []
    parts.step([batch(5, 11, 17, 23)], 1.0)
    assert len(told) == 1
    assert "4 pairs of at most 7 and 7 tokens" in told[0]
    assert "lines 6, 12, 18, 24 of the training corpus" in told[0]
    small.asked.clear()
    parts.step([batch(29, 35, 5, 11)], 1.0)
    assert small.asked == [(2, 7), (2, 7)]
    assert len(told) == 1


def test_a_pair_that_does_not_fit_alone_is_named() -> None:
    parts, _ = train_step(6)
    with pytest.raises(TrainingError) as caught:
        parts.step([batch(1, 2, 3), batch(4, 35)], 1.0)
    assert caught.value.where == "line 36 of the training corpus"
    assert "of 7 and 7 tokens" in caught.value.what
    assert "data.max_length" in (caught.value.fix or "")


def test_lines_are_named_shortly() -> None:
    assert describe_lines(batch(*range(12))) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more of the training corpus"


def test_lines_of_several_corpora_are_those_of_their_files() -> None:
    origins = LineOrigins(("a.en | a.de", "b.tmx"), (0, 4))  # pair n stands on line n + 1
    assert describe_lines(batch(3, 0, 4, 6), origins) == "lines 1, 4 of a.en | a.de, lines 1, 3 of b.tmx"
    assert describe_lines(batch(5), origins) == "line 2 of b.tmx"
    assert describe_lines(batch(*range(4, 16)), origins).endswith("9, 10 and 2 more of b.tmx")
    trained, told = model(dropout=0.0), list[str]()
    Small(trained, 12)
    TrainStep(trained, settings(clip_norm=0.0), tell=told.append, origins=origins).step([batch(3, 4, 5)], 1.0)
    assert "(line 4 of a.en | a.de, lines 1, 2 of b.tmx)" in told[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError(f"{CPU} 6260000 bytes. Error code 12"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_known(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_every_kind_of_them_divides(error: type[BaseException]) -> None:
    parts, _ = train_step()
    small = Small(parts.model, 10, error=error)
    parts.step([batch(5, 11)], 1.0)
    assert small.asked == [(2, 7), (1, 7), (1, 7)]


def test_another_error_is_not_taken_for_one_of_memory() -> None:
    parts, _ = train_step()
    Small(parts.model, 1, error=ValueError)
    with pytest.raises(ValueError):
        parts.step([batch(5, 11)], 1.0)


@pytest.mark.parametrize("most", [None, 12])
def test_trying_the_largest_changes_nothing(most: int | None) -> None:
    plain, _ = trainer(settings(max_steps=4, checkpoint_every=4))
    tried, seen = trainer(settings(max_steps=4, checkpoint_every=4))
    if most is not None:
        Small(plain.model, most)
        Small(tried.model, most)
        plain.train_step.probe(plain.loader.largest())  # what is known of the memory is known in both
    before, random = weights(tried.model), torch.get_rng_state()
    found = tried.train_step.probe(tried.loader.largest())
    assert same(before, weights(tried.model))
    assert torch.equal(random, torch.get_rng_state())
    assert all(weight.grad is None for weight in tried.model.parameters())
    assert (seen.notices == []) == (most is None)
    assert [one.batch.lines for one in found] == [each.lines for each in tried.loader.largest()]
    assert all(one.memory > 10_000_000 for one in found)  # bytes
    torch.set_rng_state(random)
    plain.run()
    torch.set_rng_state(random)
    tried.run()
    assert same(weights(plain.model), weights(tried.model))


def test_a_step_begins_with_no_gradient_of_the_one_before() -> None:
    parts, _ = train_step(20)
    alone, _ = train_step()
    parts.step([batch(5, 11, 17), batch(1, 2)], 0.0)
    parts.step([batch(4, 10)], 0.0)
    alone.step([batch(4, 10)], 0.0)
    for name, gradient in gradients(alone).items():
        torch.testing.assert_close(gradients(parts)[name], gradient, msg=name)


def test_a_step_that_began_again_draws_as_one_that_knew() -> None:
    found = []
    for knows in (False, True):
        trained = model(dropout=0.3)
        Small(trained, 20)
        parts = TrainStep(trained, settings())
        if knows:
            parts.step([batch(5, 11, 17, 23)], 0.0)
        torch.manual_seed(3)
        parts.step([batch(5, 11, 17, 23)], 0.0)
        found.append((gradients(parts), torch.get_rng_state()))
    assert same(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
