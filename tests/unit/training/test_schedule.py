import math

import pytest

from regard.config.schema import TrainConfig
from regard.training.schedule import SchedulePoint, rate_factor


def factors(schedule: str, warmup: int, steps: int) -> list[float]:
    """Return the factors of steps 1 to `steps`, the last one."""
    config = TrainConfig.model_validate({"schedule": schedule, "warmup_steps": warmup})
    return [rate_factor(config, SchedulePoint(step, fraction_done=(step - 1) / steps)) for step in range(1, steps + 1)]


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
    assert rate_factor(config, SchedulePoint(5, fraction_done=0.0)) == pytest.approx(0.5)
    assert rate_factor(config, SchedulePoint(10, fraction_done=0.0)) == 1
    assert rate_factor(config, SchedulePoint(50, fraction_done=0.25)) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert rate_factor(config, SchedulePoint(50, fraction_done=0.5)) == pytest.approx(0.5)
    assert rate_factor(config, SchedulePoint(99, fraction_done=1.0)) == pytest.approx(0, abs=1e-15)
    assert rate_factor(config, SchedulePoint(120, fraction_done=1.2)) == pytest.approx(0, abs=1e-15), (
        "it must not rise again"
    )
    falling = factors("cosine", 10, 100)[10:]
    assert falling == sorted(falling, reverse=True)


def halving(start: float, interval: float, unit: str) -> TrainConfig:
    keys = {"schedule": "halving", "halving_start": start, "halving_interval": interval, "halving_unit": unit}
    return TrainConfig.model_validate({**keys, "warmup_steps": 0})


def test_halving_every_half_epoch_after_five_as_sutskever_et_al() -> None:
    config = halving(5, 0.5, "epochs")
    epochs = [0, 4.99, 5, 5.49, 5.5, 6.0, 7.49]
    factors = [rate_factor(config, SchedulePoint(1, epoch=epoch)) for epoch in epochs]
    assert factors == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.03125]


def test_halving_by_steps_counts_from_the_start_of_training() -> None:
    config = halving(1_200_000, 200_000, "steps")
    steps = [60_001, 1_200_000, 1_200_001, 1_400_000, 1_400_001]
    factors = [rate_factor(config, SchedulePoint(step, stage_start=60_000)) for step in steps]
    assert factors == [1, 1, 0.5, 0.5, 0.25]


def test_halving_in_thirds_of_an_epoch_is_not_one_step_late() -> None:
    config = halving(0, 0.1, "epochs")
    factors = [rate_factor(config, SchedulePoint(1, epoch=2 + tenth / 10)) for tenth in range(10)]
    assert factors == [0.5 ** (21 + tenth) for tenth in range(10)]


def test_halving_begins_on_time_after_a_fraction_of_an_epoch() -> None:
    for batch in range(100):
        config = halving(float(f"1.{batch:02}"), 1, "epochs")  # the number 1.36 is more than 1 + 36 / 100
        assert rate_factor(config, SchedulePoint(1, epoch=1 + batch / 100)) == 0.5
        assert rate_factor(config, SchedulePoint(1, epoch=1 + (batch - 1) / 100)) == 1


def test_a_plateau_multiplies_the_rate_by_its_factor() -> None:
    config = TrainConfig(schedule="plateau", warmup_steps=4)
    assert rate_factor(config, SchedulePoint(9, reductions=2)) == pytest.approx(0.01)
    assert rate_factor(config, SchedulePoint(2, reductions=0)) == 0.5


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "cosine", "constant"])
def test_without_a_warm_up_the_first_step_is_the_peak(schedule: str) -> None:
    assert factors(schedule, 0, 100)[0] == 1
    assert all(0 < factor <= 1 for factor in factors(schedule, 0, 100))
