import math
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from tests.doubles import tiny_model
from tests.unit.training.toy import Signaller, same, scores_in_turn, settings, trainer, weights
from torch import Tensor

from regard.contract import Seq2Seq
from regard.data.batch import Batch, make_batch
from regard.data.loader import Position
from regard.errors import TrainingError
from regard.training.divergence import MAX_NONFINITE_STEPS
from regard.training.step import StepResult
from regard.training.trainer import Trainer


class Fixed:
    """A loader that repeats the same batches."""

    position = Position(0, 0)
    batches_per_epoch = None

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self.batches


def over(model: Seq2Seq, batches: list[Batch], **changes: Any) -> Trainer:
    loader: Any = Fixed(*batches)
    return Trainer(model, loader, settings(**changes), validate=lambda _: {"loss": 1.0}, save=lambda _: None)


def gradients(model: Seq2Seq) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_training_ends_after_its_steps_with_checkpoints_at_intervals() -> None:
    run, seen = trainer(settings())
    assert run.run() == "steps"
    assert [progress.step for progress in seen.progress] == list(range(1, 10))
    assert [saved.step for saved in seen.saved] == [step for step, _, _ in seen.checkpoints] == [3, 6, 9]


def test_the_last_step_is_always_a_checkpoint() -> None:
    run, seen = trainer(settings(max_steps=5))
    assert run.run() == "steps"
    assert [(saved.step, set(saved.scores)) for saved in seen.saved] == [(3, {"loss"}), (5, {"loss"})]


def test_training_ends_by_patience() -> None:
    scores = [3.0, 2.0, 2.0, 2.5, 1.0]
    run, seen = trainer(settings(max_steps=100, patience=2), validate=scores_in_turn(*scores))
    assert run.run() == "patience"
    assert [(step, best) for step, _, best in seen.checkpoints] == [(3, True), (6, True), (9, False), (12, False)]


@pytest.mark.parametrize(("metric", "expected"), [("loss", [True, False, True]), ("bleu", [True, True, False])])
def test_a_lower_loss_is_better_and_a_higher_score(metric: str, expected: list[bool]) -> None:
    run, seen = trainer(settings(metric=metric), validate=scores_in_turn(2.0, 3.0, 1.0, metric=metric))
    run.run()
    assert [saved.best for saved in seen.saved] == expected


def test_training_ends_after_its_minutes() -> None:
    run, seen = trainer(settings(max_minutes=1e-9))
    assert run.run() == "minutes"
    assert [saved.step for saved in seen.saved] == [1]
    assert seen.progress[0].seconds_left == 0


def test_steps_lower_the_loss() -> None:
    run, seen = trainer(settings(max_steps=60, checkpoint_every=60, label_smoothing=0.0))
    run.run()
    assert seen.progress[-1].loss < 0.9 * seen.progress[0].loss


def test_two_accumulated_batches_equal_one_batch() -> None:
    short = [([4, 5], [5, 4, 4]), ([6], [6])]
    long = [([4, 5, 6, 7, 7], [7, 5, 4]), ([8, 8, 4], [4, 7, 6, 5, 5, 5])]
    apart, together = tiny_model(), tiny_model()
    changes = {"max_steps": 1, "clip_norm": 0.0}
    over(apart, [make_batch(short), make_batch(long)], accumulate=2, **changes).run()
    over(together, [make_batch(short + long)], **changes).run()
    expected = gradients(together)
    assert expected.keys() == dict(together.named_parameters()).keys()
    for name, gradient in gradients(apart).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_the_gradient_is_the_mean_over_target_tokens_and_clipped_by_its_norm() -> None:
    batch = make_batch([([4, 5], [5, 4, 4]), ([6], [6])])
    free, clipped = tiny_model(), tiny_model()
    over(free, [batch], max_steps=1, clip_norm=0.0, label_smoothing=0.1).run()
    over(clipped, [batch], max_steps=1, clip_norm=1e-3, label_smoothing=0.1).run()

    by_hand = tiny_model()
    real = batch.target_out.ne(0)
    logits = by_hand(batch.source, batch.target_in)[real]
    torch.nn.functional.cross_entropy(logits, batch.target_out[real], label_smoothing=0.1).backward()
    norm = torch.cat([gradient.flatten() for gradient in gradients(by_hand).values()]).norm()
    assert norm > 1e-3
    for name, expected in gradients(by_hand).items():
        torch.testing.assert_close(gradients(free)[name], expected, rtol=1e-5, atol=1e-6, msg=name)
        torch.testing.assert_close(gradients(clipped)[name], expected * 1e-3 / norm, rtol=1e-2, atol=0, msg=name)


def test_the_gradient_per_pair_is_the_summed_gradient_over_the_number_of_pairs() -> None:
    first, second = [([4, 5], [5, 4, 4]), ([6], [6])], [([4, 4, 4], [5, 7, 6, 5, 4])]
    per_pair, per_token = tiny_model(), tiny_model()
    changes = {"max_steps": 1, "clip_norm": 0.0, "accumulate": 2}
    over(per_pair, [make_batch(first), make_batch(second)], loss_per="pair", **changes).run()
    over(per_token, [make_batch(first), make_batch(second)], **changes).run()
    for name, gradient in gradients(per_token).items():  # 12 target tokens with EOS, 3 pairs
        torch.testing.assert_close(gradients(per_pair)[name], gradient * 12 / 3, rtol=1e-5, atol=1e-7, msg=name)


def test_training_ends_after_its_epochs() -> None:
    run, seen = trainer(settings(pairs_per_batch=10, max_steps=1000, max_epochs=2.5, checkpoint_every=1000))
    assert run.run() == "epochs"
    assert seen.progress[-1].step == 10  # four batches an epoch
    assert seen.progress[4].seconds_left == pytest.approx(seen.progress[4].seconds)


def test_a_checkpoint_follows_each_epoch() -> None:
    changes = {"pairs_per_batch": 10, "max_steps": 10, "checkpoint_every": 6, "checkpoint_each_epoch": True}
    run, seen = trainer(settings(**changes))
    run.run()
    assert [saved.step for saved in seen.saved] == [4, 6, 8, 10]


def test_halving_by_epochs_and_the_end_below_the_least_rate() -> None:
    changes = {"schedule": "halving", "halving_start": 1, "halving_interval": 0.5, "min_learning_rate": 0.002}
    config = settings(pairs_per_batch=10, max_steps=1000, warmup_steps=0, checkpoint_every=100, **changes)
    run, seen = trainer(config)
    assert run.run() == "rate"
    rates = [progress.learning_rate for progress in seen.progress]
    assert rates == pytest.approx([0.01] * 4 + [0.005] * 2 + [0.0025] * 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 1, 1, 0.5, 0.5, 0.25]),  # not after the lower loss 2.5
        ({"plateau_every_checkpoint": True}, [1, 1, 1, 0.5, 0.25, 0.125]),
        ({"plateau_patience": 1}, [1, 1, 1, 1, 1, 1]),
    ],
    ids=str,
)
def test_a_plateau_of_the_dev_loss_lowers_the_rate(changes: dict[str, Any], expected: list[float]) -> None:
    losses = [4.0, 3.0, 3.0, 2.5, 2.75, 2.0]
    plateau = {"schedule": "plateau", "plateau_factor": 0.5, "warmup_steps": 0, **changes}
    run, seen = trainer(settings(checkpoint_every=1, max_steps=6, **plateau), validate=scores_in_turn(*losses))
    run.run()
    rates = [progress.learning_rate / 0.01 for progress in seen.progress]
    assert rates == pytest.approx(expected)


def test_the_second_stage_has_its_own_optimizer_and_warm_up() -> None:
    second = {"after_steps": 3, "optimizer": "sgd", "learning_rate": 0.5, "schedule": "constant", "warmup_steps": 2}
    run, seen = trainer(settings(max_steps=6, warmup_steps=0, schedule="constant", second_stage=second))
    run.run()
    rates = [progress.learning_rate for progress in seen.progress]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.25, 0.5, 0.5])
    assert isinstance(run.train_step.optimizers.parts[0], torch.optim.SGD)
    assert any(name.startswith("optimizer/") for name in seen.saved[0].training.tensors)
    assert not any(name.startswith("optimizer/") for name in seen.saved[1].training.tensors)  # no momentum


def test_the_least_rate_does_not_end_the_warm_up_of_the_second_stage() -> None:
    halving = {"schedule": "halving", "halving_start": 6, "halving_interval": 1, "halving_unit": "steps"}
    second = {"after_steps": 2, "optimizer": "sgd", "learning_rate": 0.1, "warmup_steps": 3, **halving}
    run, seen = trainer(settings(max_steps=20, warmup_steps=0, second_stage=second, min_learning_rate=0.04))
    assert run.run() == "rate"
    rates = [progress.learning_rate for progress in seen.progress[2:]]
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1, 0.05])


def test_the_second_stage_counts_its_own_plateaus() -> None:
    plateau = {"schedule": "plateau", "plateau_factor": 0.1, "warmup_steps": 0}
    second = {"after_steps": 3, "optimizer": "sgd", "learning_rate": 0.5, **plateau}
    config = settings(checkpoint_every=1, max_steps=6, second_stage=second, **plateau)
    run, seen = trainer(config, validate=scores_in_turn(1.0, 2.0, 2.0, 3.0, 3.0, 3.0))
    run.run()
    rates = [progress.learning_rate for progress in seen.progress]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.5, 0.5, 0.05])  # in the second, 3.0 is the best loss so far


def test_saved_weights_are_the_mean_of_the_last_checkpoints() -> None:
    run, seen = trainer(settings(max_steps=12, average_checkpoints=3))
    run.run()
    plain, unaveraged = trainer(settings(max_steps=12))
    plain.run()
    for index, mean in enumerate(seen.saved_weights):
        window = [seen.raw(number) for number in range(max(0, index - 2), index + 1)]
        for name, weight in mean.items():
            torch.testing.assert_close(weight, sum(raw[name] for raw in window) / len(window), msg=name)
    assert not same(seen.saved_weights[3], seen.raw(3))
    assert same(weights(run.model), seen.raw(3))
    assert same(seen.raw(3), unaveraged.raw(3)), "averaging must not change training"


STOPPING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_between_checkpoints_saves_and_ends_training(number: int) -> None:
    before = [signal.getsignal(stopping) for stopping in STOPPING]
    run, seen = trainer(settings(), signaller=Signaller(number, [5]))
    assert run.run() == "interrupted"
    assert [(saved.step, dict(saved.scores) != {}) for saved in seen.saved] == [(3, True), (5, False)]
    assert not seen.saved[1].best
    assert [step for step, _, _ in seen.checkpoints] == [3]
    assert [signal.getsignal(stopping) for stopping in STOPPING] == before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_an_ignored_signal_does_not_end_training(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        run, _ = trainer(settings(), signaller=Signaller(number, [5]))
        assert run.run() == "steps"
    finally:
        signal.signal(number, before)


def test_a_signal_at_a_checkpoint_validates_and_ends_training() -> None:
    run, seen = trainer(settings(), signaller=Signaller(signal.SIGTERM, [6]))
    assert run.run() == "interrupted"
    assert [(saved.step, dict(saved.scores) != {}) for saved in seen.saved] == [(3, True), (6, True)]


def test_a_second_ctrl_c_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)

    class Twice(Signaller):
        def on_step(self, progress: Any) -> None:
            super().on_step(progress)
            super().on_step(progress)

    run, seen = trainer(settings(), signaller=Twice(signal.SIGINT, [5]))
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert [saved.step for saved in seen.saved] == [3]
    assert signal.getsignal(signal.SIGINT) is before


def poison(run: Trainer, monkeypatch: pytest.MonkeyPatch, bad: range) -> list[bool]:
    """Return NaN logits in the steps `bad`; the returned list records whether each step changed the weights."""
    moved: list[bool] = []
    readout, step = run.model.decoder.readout, run._step

    def poisoned(features: Tensor) -> Tensor:
        return readout(features) * (math.nan if run.progress.step + 1 in bad else 1.0)

    def watched(batches: Iterator[Batch]) -> None:
        before = weights(run.model)
        step(batches)
        moved.append(not same(before, weights(run.model)))

    monkeypatch.setattr(run.model.decoder, "readout", poisoned)
    monkeypatch.setattr(run, "_step", watched)
    return moved


def test_a_non_finite_gradient_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = trainer(settings())
    moved = poison(run, monkeypatch, range(3, 6))
    assert run.run() == "steps"
    assert moved == [True, True, False, False, False, True, True, True, True]
    assert run.divergence.nonfinite_steps == 0
    assert all(parameter.isfinite().all() for parameter in run.model.parameters())
    ((step, notice),) = seen.notices
    assert step == 2
    for part in ("step 3", "learning rate of 0.00816", "the loss is nan", "norm of its gradient nan", "lines "):
        assert part in notice


def test_too_many_non_finite_steps_in_a_row_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(max_steps=2 * MAX_NONFINITE_STEPS, checkpoint_every=100)
    run, _ = trainer(config)
    poison(run, monkeypatch, range(2, MAX_NONFINITE_STEPS + 1))
    assert run.run() == "steps", "one step fewer is tolerated"
    run, _ = trainer(config)
    poison(run, monkeypatch, range(2, MAX_NONFINITE_STEPS + 2))
    with pytest.raises(TrainingError, match=rf"step {MAX_NONFINITE_STEPS + 1}(.|\n)*loss is nan") as caught:
        run.run()
    assert caught.value.fix is not None
    assert "learning_rate" in caught.value.fix


def break_weights(run: Trainer, step: int, value: float) -> None:
    """Make a weight NaN or infinite after a step."""
    plain = run.train_step.run

    def stepped(batches: Sequence[Batch], rate: float) -> StepResult:
        result = plain(batches, rate)
        if run.progress.step + 1 == step:
            with torch.no_grad():
                next(run.model.parameters()).view(-1)[-1] = value
        return result

    run.train_step.run = stepped  # type: ignore[method-assign]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", [{}, {"average_checkpoints": 3}, {"average_decay": 0.8}], ids=str)
def test_weights_that_are_not_finite_are_never_saved(kind: dict[str, Any], value: float) -> None:
    run, seen = trainer(settings(metric="chrf", **kind), validate=lambda _: {"chrf": float(run.progress.step)})
    break_weights(run, 6, value)
    with pytest.raises(TrainingError, match="NaN or infinite") as caught:
        run.run()
    assert caught.value.where == "step 6"
    assert [(saved.step, saved.best) for saved in seen.saved] == [(3, True)]
    assert [step for step, _, _ in seen.checkpoints] == [3]
    assert all(
        tensor.isfinite().all() for tensor in seen.saved[0].training.tensors.values() if tensor.is_floating_point()
    )


def test_weights_that_are_not_finite_are_not_saved_on_a_signal_either() -> None:
    run, seen = trainer(settings(), signaller=Signaller(signal.SIGTERM, [5]))
    break_weights(run, 5, math.nan)
    with pytest.raises(TrainingError, match="NaN or infinite"):
        run.run()
    assert [saved.step for saved in seen.saved] == [3]
