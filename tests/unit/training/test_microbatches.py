"""A batch that does not fit in memory is split, and the step is the same as if it had fitted."""

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


class LimitedMemory:
    """Patches a model to fail on more than `limit` source positions, padding included, halfway through backward."""

    def __init__(self, model: Seq2Seq, limit: int, *, error: type[BaseException] = RuntimeError) -> None:
        self.shapes: list[tuple[int, int]] = []  # of all sources so far
        self.limit, self.error = limit, error
        self.features = model.features
        model.features = self  # type: ignore[method-assign,assignment]

    def __call__(self, source: Tensor, target_in: Tensor) -> Any:
        self.shapes.append((source.shape[0], source.shape[1]))
        output = self.features(source, target_in)
        if source.numel() > self.limit:
            output.features.sum().backward()  # gradients that must be cleared
            raise self.error(f"{CPU} 6260000 bytes")
        return output


def batch(*indices: int, origins: LineOrigins = LineOrigins()) -> Batch:
    store = pairs()
    store.origins = origins
    return batch_from_store(store, indices)


def limited_step(
    limit: int, notices: list[str] | None = None, *, error: type[BaseException] = RuntimeError
) -> tuple[TrainStep, LimitedMemory]:
    trained = model(dropout=0.0)
    memory = LimitedMemory(trained, limit, error=error)
    notify = (notices if notices is not None else []).append
    return TrainStep(trained, settings(clip_norm=0.0), notify=notify), memory


def gradients(step: TrainStep) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in step.model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("limit", [30, 20, 8])
def test_the_gradient_of_microbatches_is_that_of_the_full_batches(limit: int) -> None:
    batches = [batch(5, 11, 4, 10, 3), batch(1, 2), batch(17, 23, 29)]
    full = TrainStep(model(dropout=0.0), settings(clip_norm=0.0))
    expected = full.run(batches, 1.0)
    split, memory = limited_step(limit)
    result = split.run(batches, 1.0)
    assert any(rows * width > limit for rows, width in memory.shapes)
    assert gradients(split).keys() == dict(split.model.named_parameters()).keys()
    for name, gradient in gradients(full).items():
        torch.testing.assert_close(gradients(split)[name], gradient, msg=name)
    assert result.tokens == expected.tokens
    assert result.loss == pytest.approx(expected.loss)
    assert result.norm == pytest.approx(expected.norm, rel=1e-4)


def test_a_batch_that_did_not_fit_is_reported_with_its_lines_and_not_tried_again() -> None:
    notices: list[str] = []
    step, memory = limited_step(22, notices)
    step.run([batch(5, 11, 4)], 1.0)  # 3 x 7 source tokens fit
    assert notices == []
    step.run([batch(5, 11, 17, 23)], 1.0)
    assert len(notices) == 1
    assert "4 pairs of at most 7 and 7 tokens" in notices[0]
    assert "lines 6, 12, 18, 24 of the training corpus" in notices[0]
    memory.shapes.clear()
    step.run([batch(29, 35, 5, 11)], 1.0)
    assert memory.shapes == [(2, 7), (2, 7)]
    assert len(notices) == 1


def test_a_single_pair_that_does_not_fit_is_an_error_with_its_line() -> None:
    step, _ = limited_step(6)
    with pytest.raises(TrainingError) as caught:
        step.run([batch(1, 2, 3), batch(4, 35)], 1.0)
    assert caught.value.where == "line 36 of the training corpus"
    assert "of 7 and 7 tokens" in caught.value.message
    assert "data.max_length" in (caught.value.fix or "")


def test_only_the_first_lines_are_listed() -> None:
    assert describe_lines(batch(*range(12))) == "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more of the training corpus"


def test_lines_of_several_corpora_are_numbered_as_in_their_files() -> None:
    origins = LineOrigins(("a.en | a.de", "b.tmx"), (0, 4))  # pair n is on line n + 1
    assert describe_lines(batch(3, 0, 4, 6, origins=origins)) == "lines 1, 4 of a.en | a.de, lines 1, 3 of b.tmx"
    assert describe_lines(batch(5, origins=origins)) == "line 2 of b.tmx"
    assert describe_lines(batch(*range(4, 16), origins=origins)).endswith("9, 10 and 2 more of b.tmx")
    trained, notices = model(dropout=0.0), list[str]()
    LimitedMemory(trained, 12)
    step = TrainStep(trained, settings(clip_norm=0.0), notify=notices.append)
    step.run([batch(3, 4, 5, origins=origins)], 1.0)
    assert "(line 4 of a.en | a.de, lines 1, 2 of b.tmx)" in notices[0]


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
def test_out_of_memory_errors_are_recognized(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_every_kind_of_out_of_memory_error_splits(error: type[BaseException]) -> None:
    step, memory = limited_step(10, error=error)
    step.run([batch(5, 11)], 1.0)
    assert memory.shapes == [(2, 7), (1, 7), (1, 7)]


def test_other_errors_are_raised() -> None:
    step, _ = limited_step(1, error=ValueError)
    with pytest.raises(ValueError):
        step.run([batch(5, 11)], 1.0)


@pytest.mark.parametrize("limit", [None, 12])
def test_probing_the_largest_batches_changes_nothing(limit: int | None) -> None:
    plain, _ = trainer(settings(max_steps=4, checkpoint_every=4))
    probed, seen = trainer(settings(max_steps=4, checkpoint_every=4))
    if limit is not None:
        LimitedMemory(plain.model, limit)
        LimitedMemory(probed.model, limit)
        plain.train_step.probe(plain.loader.largest())  # so that both know which batches fit
    before, rng_state = weights(probed.model), torch.get_rng_state()
    probes = probed.train_step.probe(probed.loader.largest())
    assert same(before, weights(probed.model))
    assert torch.equal(rng_state, torch.get_rng_state())
    assert all(weight.grad is None for weight in probed.model.parameters())
    assert (seen.notices == []) == (limit is None)
    assert [probe.batch.lines for probe in probes] == [largest.lines for largest in probed.loader.largest()]
    assert all(probe.memory > 10_000_000 for probe in probes)  # bytes
    torch.set_rng_state(rng_state)
    plain.run()
    torch.set_rng_state(rng_state)
    probed.run()
    assert same(weights(plain.model), weights(probed.model))


def test_a_step_starts_with_zero_gradients() -> None:
    split, _ = limited_step(20)
    fresh = TrainStep(model(dropout=0.0), settings(clip_norm=0.0))
    split.run([batch(5, 11, 17), batch(1, 2)], 0.0)
    split.run([batch(4, 10)], 0.0)
    fresh.run([batch(4, 10)], 0.0)
    for name, gradient in gradients(fresh).items():
        torch.testing.assert_close(gradients(split)[name], gradient, msg=name)


def test_a_second_attempt_draws_the_same_random_numbers() -> None:
    results = []
    for knows_limit in (False, True):
        trained = model(dropout=0.3)
        LimitedMemory(trained, 20)
        step = TrainStep(trained, settings())
        if knows_limit:
            step.run([batch(5, 11, 17, 23)], 0.0)
        torch.manual_seed(3)
        step.run([batch(5, 11, 17, 23)], 0.0)
        results.append((gradients(step), torch.get_rng_state()))
    assert same(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
