import math

import pytest

from regard.errors import TrainingError
from regard.training.divergence import MAX_DIVERGED_STEPS, MARGIN, DivergenceMonitor, divergence_threshold

V = 8000


def feed(health: DivergenceMonitor, loss: float, steps: int, *, warm: bool = True) -> None:
    for step in range(steps):
        health.record_finite(loss, V, is_warm=warm, where=f"step {step + 1}")


def test_the_bound_is_half_of_what_was_learned() -> None:
    guess = math.log(V)
    assert divergence_threshold(1.0, V) == pytest.approx((1 + guess) / 2)
    assert divergence_threshold(guess - 0.5, V) == pytest.approx(guess - 0.5 + MARGIN)
    assert divergence_threshold(30.0, V) == pytest.approx(guess + MARGIN)


def test_a_loss_that_has_run_away_for_long_is_told() -> None:
    health = DivergenceMonitor()
    feed(health, 1.5, 300)
    feed(health, 6.5, MAX_DIVERGED_STEPS)  # about what the words' frequencies alone give
    with pytest.raises(TrainingError, match=r"run away") as caught:
        feed(health, 6.5, 100)
    assert "it is 6.50, its lowest was 1.50" in caught.value.what
    assert "train.learning_rate" in (caught.value.fix or "")
    assert "--resume RUN/best" in (caught.value.fix or "")


def test_one_that_never_came_below_a_guess_is_told_after_warm_up() -> None:
    health = DivergenceMonitor()
    feed(health, 12.0, 5 * MAX_DIVERGED_STEPS, warm=False)
    feed(health, 12.0, MAX_DIVERGED_STEPS - 1)
    with pytest.raises(TrainingError, match=r"a guess among all tokens alike has 8\.99"):
        feed(health, 12.0, 1)


def test_healthy_losses_are_not() -> None:
    falling, slow, jagged, twice = DivergenceMonitor(), DivergenceMonitor(), DivergenceMonitor(), DivergenceMonitor()
    for step in range(6 * MAX_DIVERGED_STEPS):
        falling.record_finite(2 + 20 * math.exp(-step / 300), V, is_warm=True, where="")
        slow.record_finite(math.log(V) + 0.3 * math.sin(step), V, is_warm=True, where="")
        jagged.record_finite(2 + (4 if step % 3 == 0 else 0), V, is_warm=True, where="")
    for _ in range(5):  # gone for a while, and back
        feed(twice, 2.0, 200)
        feed(twice, 8.0, MAX_DIVERGED_STEPS - 100)


def test_it_goes_on_from_what_was_saved() -> None:
    health = DivergenceMonitor()
    feed(health, 1.0, 50)
    feed(health, 9.0, MAX_DIVERGED_STEPS - 10)
    assert health.diverged_steps > 0
    again = DivergenceMonitor.from_state_dict(health.state_dict())
    with pytest.raises(TrainingError):
        feed(again, 9.0, MAX_DIVERGED_STEPS - health.diverged_steps)
