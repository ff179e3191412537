"""The recipes of recipes/papers follow the training procedures of the papers."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.shared_data import shared

from regard.config.recipe import read_config
from regard.config.schema import RunConfig
from regard.models import ARCHITECTURES
from regard.runs.train import train
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


def test_each_paper_has_a_recipe_and_a_small_one() -> None:
    assert set(PUBLISHED) == set(ARCHITECTURES) - {"modern"}
    assert {path.stem for path in FOLDER.glob("*.toml")} == {*PUBLISHED, *(f"{name}-small" for name in PUBLISHED)}


LENGTHS = {  # of training and of its schedule
    "max_steps", "max_epochs", "max_minutes", "checkpoint_every", "checkpoint_each_epoch", "halving_start",
    "halving_interval",
}  # fmt: skip
SCALED = {  # what else the scale forces, as the head of each recipe says
    "sutskever2014": {"pairs_per_batch"},
    "luong2015": {"pairs_per_batch"},
    "gnmt2016": {"pairs_per_batch", "learning_rate", "second_stage"},
    "bytenet2016": {"tokens_per_batch", "learning_rate"},
    "transformer2017": {"tokens_per_batch", "learning_rate", "warmup_steps"},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_small_recipe_trains_as_published_at_another_scale(name: str) -> None:
    published, small = read(name), read(f"{name}-small")
    tiny = ARCHITECTURES[name].presets["tiny"]()
    assert small.model == tiny.model_copy(update={"pad_to_multiple": 50} if name == "bytenet2016" else {})
    assert (small.data, small.search) == (published.data, published.search)
    before, after = published.train.model_dump(), small.train.model_dump()
    assert {key for key in before if before[key] != after[key]} - LENGTHS == SCALED.get(name, set())
    heading = (FOLDER / f"{name}-small.toml").read_text(encoding="utf-8").partition("[data]")[0]
    assert f"{name}.toml" in heading and "Other than there" in heading


@pytest.mark.parametrize(("name", "shares"), [("sutskever2014", (5 / 7.5, 0.5 / 7.5)), ("luong2015", (8 / 12, 1 / 12))])
def test_a_small_recipe_halves_the_rate_at_the_same_shares_of_training(name: str, shares: tuple[float, float]) -> None:
    train = read(f"{name}-small").train
    assert train.halving_start and train.halving_interval and train.max_epochs
    assert (train.halving_start / train.max_epochs, train.halving_interval / train.max_epochs) == pytest.approx(shares)


def test_small_gnmt_halves_the_rate_at_the_same_shares_of_training() -> None:
    for name in ("gnmt2016", "gnmt2016-small"):
        train = read(name).train
        second = train.second_stage
        assert second is not None and second.halving_start and second.halving_interval
        assert (second.halving_start / train.max_steps, second.halving_interval / train.max_steps) == (0.6, 0.1)


def test_the_rate_of_the_small_transformer_is_equation_3() -> None:
    points = [SchedulePoint(step) for step in (1, 400, 2000)]
    expected = [128**-0.5 * min(point.step**-0.5, point.step * 400**-1.5) for point in points]
    assert rates("transformer2017-small", points) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_small_recipe_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGARD_DATA", str(shared("multi30k").parent))
    config = read(f"{name}-small")
    second = config.train.second_stage
    changes = {
        "max_steps": 4,
        "checkpoint_every": 4,
        "second_stage": second and second.model_copy(update={"after_steps": 2}),
    }
    quick = config.model_copy(update={"train": config.train.model_copy(update=changes)})
    result = train(quick, tmp_path / "run", console=Console(quiet=True))
    assert (result.end, result.step) == ("steps", 4)


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
