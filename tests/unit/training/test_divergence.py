import math

import pytest

from regard.errors import TrainingError
from regard.training.divergence import MARGIN, MAX_DIVERGED_STEPS, DivergenceMonitor, divergence_threshold

V = 8000


def record(monitor: DivergenceMonitor, loss: float, steps: int, *, is_warm: bool = True) -> None:
    for step in range(steps):
        monitor.record_finite(loss, V, is_warm=is_warm, where=f"step {step + 1}")


def test_the_threshold_is_half_of_what_was_learned() -> None:
    uniform = math.log(V)
    assert divergence_threshold(1.0, V) == pytest.approx((1 + uniform) / 2)
    assert divergence_threshold(uniform - 0.5, V) == pytest.approx(uniform - 0.5 + MARGIN)
    assert divergence_threshold(30.0, V) == pytest.approx(uniform + MARGIN)


def test_a_loss_that_stays_high_is_an_error() -> None:
    monitor = DivergenceMonitor()
    record(monitor, 1.5, 300)
    record(monitor, 6.5, MAX_DIVERGED_STEPS)  # about the loss of a model that knows only word frequencies
    with pytest.raises(TrainingError, match="training has diverged") as caught:
        record(monitor, 6.5, 100)
    assert "it is 6.50, its lowest value was 1.50" in caught.value.message
    assert "train.learning_rate" in (caught.value.fix or "")
    assert "--resume RUN/best" in (caught.value.fix or "")


def test_a_loss_above_a_uniform_guess_is_an_error_after_warm_up() -> None:
    monitor = DivergenceMonitor()
    record(monitor, 12.0, 5 * MAX_DIVERGED_STEPS, is_warm=False)
    record(monitor, 12.0, MAX_DIVERGED_STEPS - 1)
    with pytest.raises(TrainingError, match=r"a uniform guess has 8\.99"):
        record(monitor, 12.0, 1)


def test_normal_losses_are_no_error() -> None:
    falling, slow, jagged, recovering = (DivergenceMonitor() for _ in range(4))
    for step in range(6 * MAX_DIVERGED_STEPS):
        falling.record_finite(2 + 20 * math.exp(-step / 300), V, is_warm=True, where="")
        slow.record_finite(math.log(V) + 0.3 * math.sin(step), V, is_warm=True, where="")
        jagged.record_finite(2 + (4 if step % 3 == 0 else 0), V, is_warm=True, where="")
    for _ in range(5):
        record(recovering, 2.0, 200)
        record(recovering, 8.0, MAX_DIVERGED_STEPS - 100)


def test_it_continues_from_a_saved_state() -> None:
    monitor = DivergenceMonitor()
    record(monitor, 1.0, 50)
    record(monitor, 9.0, MAX_DIVERGED_STEPS - 10)
    assert monitor.diverged_steps > 0
    restored = DivergenceMonitor.from_state_dict(monitor.state_dict())
    assert restored == monitor
    with pytest.raises(TrainingError):
        record(restored, 9.0, MAX_DIVERGED_STEPS - monitor.diverged_steps)


def test_the_keys_in_state_json_do_not_change() -> None:
    assert DivergenceMonitor(1, 2, 3.0, 4.0).state_dict() == {
        "bad_steps": 1,
        "lost_steps": 2,
        "smooth": 3.0,
        "lowest": 4.0,
    }
