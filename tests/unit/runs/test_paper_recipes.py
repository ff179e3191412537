"""The recipes of recipes/papers follow the training procedures of the papers."""

from pathlib import Path
from typing import Any

import pytest

from regard.config.recipe import read_config
from regard.config.schema import RunConfig
from regard.models import ARCHITECTURES
from regard.training.schedule import SchedulePoint, rate_factor

FOLDER = Path(__file__).parents[3] / "recipes" / "papers"

PUBLISHED: dict[str, dict[str, Any]] = {  # of the first stage; Vaswani et al. do not say that they clip gradients
    "cho2014": {"optimizer": "adadelta", "learning_rate": 1.0, "pairs_per_batch": 64, "clip_norm": 0.0},
    "sutskever2014": {"optimizer": "sgd", "learning_rate": 0.7, "pairs_per_batch": 128, "clip_norm": 5.0},
    "bahdanau2014": {"optimizer": "adadelta", "learning_rate": 1.0, "pairs_per_batch": 80, "clip_norm": 1.0},
    "luong2015": {"optimizer": "sgd", "learning_rate": 1.0, "pairs_per_batch": 128, "clip_norm": 5.0},
    "gnmt2016": {"optimizer": "adam", "learning_rate": 2e-4, "pairs_per_batch": 128, "clip_norm": 5.0},
    "bytenet2016": {"optimizer": "adam", "learning_rate": 3e-4},
    "convs2s2017": {
        "optimizer": "sgd", "momentum": 0.99, "nesterov": True, "learning_rate": 0.25, "pairs_per_batch": 64,
        "clip_norm": 0.1, "loss_per": "token", "min_learning_rate": 1e-4,
    },
    "transformer2017": {"optimizer": "adam", "clip_norm": 0.0, "tokens_per_batch": 25_000, "max_steps": 100_000},
}  # fmt: skip


def read(name: str) -> RunConfig:
    return read_config(FOLDER / f"{name}.toml", ARCHITECTURES)


def rates(name: str, points: list[SchedulePoint]) -> list[float]:
    """Return the learning rates of a recipe at points of its training."""
    train = read(name).train
    return [train.stage(point.step).learning_rate * rate_factor(train.stage(point.step), point) for point in points]


def test_each_paper_has_a_recipe() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(PUBLISHED) == set(ARCHITECTURES) - {"modern"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_has_the_sizes_and_constants_of_its_paper(name: str) -> None:
    config = read(name)
    assert config.model == ARCHITECTURES[name].presets["paper"]()
    assert {key: getattr(config.train, key) for key in PUBLISHED[name]} == PUBLISHED[name]
    assert config.train.label_smoothing == (0.1 if name == "transformer2017" else 0.0)
    assert config.train.loss_per == ("token" if name in ("bytenet2016", "convs2s2017", "transformer2017") else "pair")


def test_sutskever_halves_every_half_epoch_after_five_and_ends_after_seven_and_a_half() -> None:
    assert read("sutskever2014").train.max_epochs == 7.5
    points = [SchedulePoint(1, epoch=epoch) for epoch in (4.9, 5.0, 5.5, 7.4)]
    assert rates("sutskever2014", points) == [0.7, 0.35, 0.175, 0.7 / 2**5]


def test_luong_halves_every_epoch_after_eight_and_ends_after_twelve() -> None:
    assert read("luong2015").train.max_epochs == 12
    points = [SchedulePoint(1, epoch=epoch) for epoch in (7.9, 8.0, 9.0, 11.9)]
    assert rates("luong2015", points) == [1.0, 0.5, 0.25, 0.0625]


def test_gnmt_continues_with_sgd_which_it_halves_from_step_1_200_000() -> None:
    steps = [60_000, 60_001, 1_200_000, 1_200_001, 1_400_001, 2_000_000]
    points = [SchedulePoint(step, stage_start=60_000 if step > 60_000 else 0) for step in steps]
    assert rates("gnmt2016", points) == pytest.approx([2e-4, 0.5, 0.5, 0.25, 0.125, 0.03125])


def test_convs2s_divides_by_ten_at_each_epoch_after_the_first_plateau() -> None:
    train = read("convs2s2017").train
    assert (train.plateau_factor, train.plateau_patience, train.plateau_every_checkpoint) == (0.1, 0, True)
    assert train.checkpoint_each_epoch


def test_the_rate_of_the_transformer_is_equation_3() -> None:
    points = [SchedulePoint(step) for step in (1, 4000, 100_000)]
    expected = [512**-0.5 * min(point.step**-0.5, point.step * 4000**-1.5) for point in points]
    assert rates("transformer2017", points) == pytest.approx(expected, rel=1e-5)


def test_another_schedule_can_be_chosen_for_a_recipe() -> None:
    train = read_config(FOLDER / "luong2015.toml", ARCHITECTURES, ["train.schedule=cosine"]).train
    assert (train.schedule, train.optimizer, train.has_fractional_epochs) == ("cosine", "sgd", False)
