"""A run with too little time says so, and the measurements are part of its recipe."""

from __future__ import annotations

import re
from pathlib import Path

from tests.end_to_end.helpers import Files, call

from regard.runs.train import read_recipe

SIZES = ("hidden_size=16", "ffn_size=16", "num_heads=2", "encoder_layers=1", "decoder_layers=1")


def test_the_plan_says_that_time_is_short_and_a_resumed_run_measures_nothing(files: Files, tmp_path: Path) -> None:
    run = tmp_path / "run"
    keys = ["train.max_minutes=0.01", "train.tokens_per_batch=4096", *(f"model.{size}" for size in SIZES)]
    options = [part for key in keys for part in ("--set", key)]
    finished = call("train", "--source", files / "train.src", "--target", files / "train.tgt", "--out", run, *options)
    assert finished.code == 0, finished.err
    assert finished.err.splitlines()[0] == "loading PyTorch"
    line = re.search(r"^time: 0.01 minutes \(from --set\) allow about ([\d,]+) steps", finished.err, re.MULTILINE)
    assert line is not None, finished.err
    train = read_recipe(run / "recipe.toml").train
    assert 1 <= train.warmup_steps <= max(1, int(line[1].replace(",", "")) / 10)
    assert train.precision != "auto"
    built = re.search(r"^modern: ([\d,]+) parameters", finished.err, re.MULTILINE)
    assert built is not None
    at_most = re.search(r"^model: modern, at most ([\d,]+) parameters", finished.err, re.MULTILINE)
    assert at_most is not None
    assert int(at_most[1].replace(",", "")) >= int(built[1].replace(",", ""))
    before = (run / "recipe.toml").read_bytes()
    again = call("train", "--resume", run)
    assert again.code == 0, again.err
    assert "measuring" not in again.err
    assert (run / "recipe.toml").read_bytes() == before
