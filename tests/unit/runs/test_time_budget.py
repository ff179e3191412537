from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.runs.test_auto_recipe import DATA, inputs
from tests.unit.training.toy import settings, trainer

from regard.config.schema import DataConfig, RunConfig, TrainConfig
from regard.contract import VocabularySizes
from regard.models import transformer2017
from regard.runs import step_timing
from regard.runs.auto_recipe import build_recipe, choose_recipe
from regard.runs.preflight import warmup_warning
from regard.runs.step_timing import StepTiming, measure_step
from regard.runs.time_budget import Budget, fit_schedule
from regard.training.microbatches import BatchProbe
from regard.training.precision import Precision

SLOW = StepTiming(2.0, "float32")


def chosen(*overrides: str, timing: StepTiming | None = SLOW, pairs: int = 5_000) -> tuple[RunConfig, list[str]]:
    return build_recipe(DATA, inputs(pairs), overrides, timing=timing)


def test_the_schedule_fits_the_available_time_and_the_plan_says_how_much_is_needed() -> None:
    plain, _ = chosen(timing=None)
    config, lines = chosen("train.max_minutes=3")
    train = config.train
    assert plain.train.warmup_steps == 200  # more than the 72 steps of 3 minutes
    assert train.warmup_steps == 7
    assert 4 <= 72 // train.checkpoint_every <= 10
    assert train.precision == "float32"
    assert train.max_steps == plain.train.max_steps
    (line,) = [line for line in lines if line.startswith("time: ")]
    needed = plain.train.max_steps
    hours, minutes = divmod(round(needed * 2 / 0.8 / 60), 60)
    assert line == (
        f"time: 3 minutes (from overrides) allow about 72 steps of 2 s in float32, {7200 / needed:.0f}% of the "
        f"{needed:,} that 5,000 pairs need (about {hours} h {minutes} min on this machine); the schedule is fitted to "
        "the time; expect poor translations"
    )
    assert "7 steps of warm-up" in lines[3]


def test_the_plan_warns_of_poor_translations_below_a_tenth_of_the_steps() -> None:
    assert "expect poor" in "".join(chosen("train.max_minutes=3")[1])
    longer = "".join(chosen("train.max_minutes=20")[1])
    assert "time: 20 minutes" in longer
    assert "expect poor" not in longer


@pytest.mark.parametrize("minutes", [None, 600])
def test_ample_or_unlimited_time_changes_nothing(minutes: int | None) -> None:
    plain, expected = chosen(timing=None)
    overrides = [] if minutes is None else [f"train.max_minutes={minutes}"]
    config, lines = chosen(*overrides)
    assert config.train.model_copy(update={"max_minutes": None, "precision": "auto"}) == plain.train
    assert lines[: len(expected)] == expected
    assert not [line for line in lines if line.startswith("time:")]


def test_few_steps_change_the_schedule_as_little_time_does() -> None:
    config, lines = chosen("train.max_steps=100", timing=None)
    assert (config.train.max_steps, config.train.warmup_steps) == (100, 10)
    assert config.train.precision == "auto"
    assert any(line.startswith("steps: 100 steps are ") and "expect poor" in line for line in lines)
    both, _ = chosen("train.max_steps=20", "train.max_minutes=3")
    assert both.train.warmup_steps == 2


def test_scarce_steps_have_a_higher_rate() -> None:
    for minutes, rate in ((3, 0.01), (60, 0.005)):
        assert chosen(f"train.max_minutes={minutes}")[0].train.learning_rate == rate
    adam, _ = chosen("train.max_minutes=3", "train.optimizer=adam")
    assert adam.train.learning_rate == chosen("train.optimizer=adam", timing=None)[0].train.learning_rate


@pytest.mark.parametrize(
    ("pairs", "epochs", "dropout", "is_little"),
    [
        (5_000, 5, 0.0, True),
        (5_000, 8, 0.1, True),
        (5_000, 12, 0.3, False),
        (29_000, 3, 0.0, True),
        (29_000, 5, 0.1, True),
        (29_000, 7, 0.1, False),
        (200_000, 3, 0.0, True),
        (200_000, 5, 0.1, False),
    ],
)
def test_few_epochs_have_less_dropout(pairs: int, epochs: int, dropout: float, is_little: bool) -> None:
    plain, _ = chosen(timing=None, pairs=pairs)
    steps_per_epoch = plain.train.max_steps / {5_000: 40, 29_000: 25, 200_000: 15}[pairs]
    config, lines = chosen(f"train.max_steps={epochs * steps_per_epoch:.0f}", timing=None, pairs=pairs)
    assert config.model.model_dump()["dropout"] == dropout
    assert ("and little time" in lines[1]) == is_little
    assert chosen("train.max_steps=10", "model.dropout=0.2", timing=None)[0].model.model_dump()["dropout"] == 0.2


def test_overrides_of_the_schedule_stay() -> None:
    config, lines = chosen("train.max_minutes=3", "train.warmup_steps=50", "train.checkpoint_every=9")
    assert (config.train.warmup_steps, config.train.checkpoint_every) == (50, 9)
    assert "50 steps of warm-up (from overrides)" in "".join(lines)


@pytest.mark.parametrize("allowed", [1, 3, 64, 500, 1999, 2_000])
def test_warmup_is_at_most_a_tenth_and_there_are_some_validations(allowed: int) -> None:
    train = fit_schedule(TrainConfig(warmup_steps=200, checkpoint_every=54), Budget(allowed, 2_000), 0)
    assert 1 <= train.warmup_steps <= max(1, allowed / 10)
    assert 1 <= train.checkpoint_every <= max(1, allowed / 5)


def test_measuring_changes_no_random_number_and_uses_the_precision_of_the_recipe() -> None:
    model = transformer2017.Config(hidden_size=8, ffn_size=12, num_heads=2, encoder_layers=1, decoder_layers=1)
    config = RunConfig(data=DATA, model=model, train=TrainConfig(tokens_per_batch=64, device="cpu"))
    torch.manual_seed(5)
    before, messages = torch.get_rng_state(), list[str]()
    timing = measure_step(config, VocabularySizes(30, 30, joint=True), 7.4, messages.append)
    assert torch.equal(before, torch.get_rng_state())
    assert timing.seconds > 0
    assert messages
    in_bfloat16 = config.model_copy(update={"train": config.train.model_copy(update={"precision": "bfloat16"})})
    assert measure_step(in_bfloat16, VocabularySizes(30, 30, joint=True), 7.4, messages.append).precision == "bfloat16"


def test_a_step_is_measured_only_if_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("".join(f"{number} x\n" for number in range(60)))
    data = DataConfig(source=str(tmp_path / "a"), target=str(tmp_path / "b"))
    monkeypatch.setattr("regard.runs.auto_recipe.measure_step", lambda *_: SLOW)
    assert choose_recipe(data, gpu=False)[0].train.warmup_steps == 150
    assert choose_recipe(data, ["train.max_minutes=1"], gpu=False)[0].train.warmup_steps == 2


def test_a_smaller_model_is_chosen_if_the_time_is_shorter_than_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen_in(minutes: float, *overrides: str, **changes: Any) -> tuple[RunConfig, str]:
        seen = inputs(200_000, **changes)
        monkeypatch.setattr("regard.runs.auto_recipe.inspect_corpus", lambda *_, **__: seen)
        config, lines = choose_recipe(DATA, [f"train.max_minutes={minutes}", *overrides], gpu=seen.has_gpu)
        return config, lines[1]

    monkeypatch.setattr("regard.runs.auto_recipe.measure_step", lambda *_: SLOW)
    monkeypatch.setattr("regard.runs.auto_recipe._fit_vocabulary", lambda *_, **__: None)
    epoch = 900 * SLOW.seconds / 0.8 / 60
    small, _ = chosen_in(1.1 * epoch)
    tiny, line = chosen_in(0.9 * epoch)
    sizes = [(config.model.model_dump()["hidden_size"], config.train.tokens_per_batch) for config in (small, tiny)]
    assert sizes == [(256, 4096), (128, 2048)]
    assert "the tiny preset with a dropout of 0 for less time than an epoch of a larger one takes" in line
    for config, _ in (
        chosen_in(0.9 * epoch, "model.preset=small"),
        chosen_in(0.9 * epoch, "train.max_steps=20"),
        chosen_in(0.9 * epoch, gpu=True),
    ):
        assert config.model.model_dump()["hidden_size"] == 256


def test_a_large_dev_set_is_validated_less_often() -> None:
    train = TrainConfig(tokens_per_batch=1024, checkpoint_every=90)
    every = [fit_schedule(train, Budget(72, 2_000), tokens).checkpoint_every for tokens in (0, 3_250, 6_500, 13_000)]
    assert every == [12, 25, 51, 90]
    assert fit_schedule(train, Budget(2_000, 2_000), 13_000) == train


def probes(seconds: float) -> list[BatchProbe]:
    run, _ = trainer(settings())
    (batch, *_) = run.loader.largest()
    return [BatchProbe(batch, 9 * seconds, 0), BatchProbe(batch, seconds, 0)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_minutes": 3.0, "warmup_steps": 60, "max_steps": 2_160}, "max_minutes=3 allows about 90 steps"),
        ({"max_minutes": 3.0, "warmup_steps": 60, "max_steps": 2_160}, "all 2,160 steps take about 1 h 12 min"),
        ({"max_minutes": 3.0, "warmup_steps": 60, "max_steps": 2_160}, "train.warmup_steps to about 9"),
        ({"max_minutes": 3.0, "warmup_steps": 30, "max_steps": 2_160, "accumulate": 2}, "allows about 45 steps"),
        ({"max_steps": 100, "warmup_steps": 1_000}, "train.max_steps=100 allows about 100 steps"),
        ({"max_minutes": 3.0, "warmup_steps": 45, "max_steps": 2_160}, None),
        ({"max_steps": 100, "warmup_steps": 50}, None),
        ({"max_epochs": 2.0, "warmup_steps": 100}, "train.max_epochs=2 allows about 80 steps"),
        ({"max_epochs": 2.0, "warmup_steps": 100, "accumulate": 2}, "train.max_epochs=2 allows about 40 steps"),
        ({"max_epochs": 2.0, "warmup_steps": 40}, None),
    ],
)
def test_a_recipe_whose_warmup_takes_most_of_its_time_gives_a_warning(
    changes: dict[str, Any], expected: str | None
) -> None:
    warning = warmup_warning(TrainConfig.model_validate(changes), probes(2.0), batches_per_epoch=40)
    assert warning is None if expected is None else expected in str(warning)


def test_the_first_line_comes_before_pytorch_is_imported() -> None:
    code = "import sys; sys.modules['torch'] = None; from regard.cli.main import run; run()"
    result = subprocess.run(
        [sys.executable, "-c", code, "train", "a.toml"], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert result.stderr.splitlines()[0] == "loading PyTorch"
    assert "torch" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(("short", "expected"), [(0.5, "bfloat16"), (2.0, "float32")])
def test_auto_precision_is_that_of_the_faster_step_not_of_the_faster_product(
    short: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = chosen()
    monkeypatch.setattr(step_timing, "choose_precision", lambda *_: ("bfloat16", "its products are faster"))
    monkeypatch.setattr(
        step_timing, "time_steps", lambda *_: [StepTiming(short, "bfloat16"), StepTiming(1.0, "float32")]
    )
    messages: list[str] = []
    assert step_timing.resolve_precision(config, torch.device("cpu"), messages.append).train.precision == expected
    assert messages[-1] == f"precision: {expected}, since a step in bfloat16 takes {short:.1f} times as long here"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("limit", ["max_minutes=3", "max_minutes=6000"])
def test_a_run_does_not_time_a_step_that_its_recipe_has_timed(
    limit: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, lines = chosen(f"train.{limit}", timing=StepTiming(0.5, precision))
    assert config.train.precision == precision
    assert any(precision in line for line in lines)
    monkeypatch.setattr("regard.training.precision._time_ratio", lambda: 0.1)
    monkeypatch.setattr(step_timing, "time_steps", lambda *_: pytest.fail("it was measured twice"))
    assert step_timing.resolve_precision(config, torch.device("cpu"), lambda _: None) == config
