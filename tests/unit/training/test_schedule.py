import math

import pytest

from regard.config.schema import TrainConfig
from regard.training.schedule import rate_factor


def factors(schedule: str, warmup: int, steps: int) -> list[float]:
    """Return the factors of steps 1 to `steps`, the last one."""
    config = TrainConfig.model_validate({"schedule": schedule, "warmup_steps": warmup})
    return [rate_factor(config, step, (step - 1) / steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "constant"])
def test_warm_up_is_linear(schedule: str) -> None:
    assert factors(schedule, 10, 10) == pytest.approx([step / 10 for step in range(1, 11)])


def test_inverse_sqrt_is_equation_3_over_its_peak() -> None:
    """lrate = d^-0.5 min(step^-0.5, step warmup^-1.5), which peaks at step = warmup."""
    peak = min(10**-0.5, 10 * 10**-1.5)
    expected = [min(step**-0.5, step * 10**-1.5) / peak for step in range(1, 101)]
    assert factors("inverse_sqrt", 10, 100) == pytest.approx(expected)
    assert max(expected) == expected[9] == 1
    assert expected[39] == pytest.approx(0.5)


def test_constant_stays_at_the_peak() -> None:
    assert factors("constant", 10, 100)[9:] == [1.0] * 91


def test_cosine_falls_to_zero_after_warm_up() -> None:
    config = TrainConfig(schedule="cosine", warmup_steps=10)
    assert rate_factor(config, 5, 0.0) == pytest.approx(0.5)
    assert rate_factor(config, 10, 0.0) == 1
    assert rate_factor(config, 50, 0.25) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert rate_factor(config, 50, 0.5) == pytest.approx(0.5)
    assert rate_factor(config, 99, 1.0) == pytest.approx(0, abs=1e-15)
    assert rate_factor(config, 120, 1.2) == pytest.approx(0, abs=1e-15), "it must not rise again"
    falling = factors("cosine", 10, 100)[10:]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "constant"])
def test_without_a_warm_up_the_first_step_is_the_peak(schedule: str) -> None:
    assert factors(schedule, 0, 100)[0] == 1
    assert all(0 < factor <= 1 for factor in factors(schedule, 0, 100))
