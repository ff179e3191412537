"""`regard demo`, with a few steps of training."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from regard.corpus.builtin import BUILTIN, dates
from regard.evaluation.test_set import TestSet
from regard.reports.compare import demo
from regard.reports.compare.demo import MODEL_SIZES, PICTURE, TRAINING, run_demo
from regard.reports.compare.systems import choose_test_conditions


def test_both_systems_are_trained_tested_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def choose_few(*arguments: object, **options: object) -> object:
        conditions = choose_test_conditions(*arguments, **options)  # type: ignore[arg-type]
        pairs = conditions.test_set
        return replace(conditions, test_set=TestSet(pairs.name, pairs.sources[:10], pairs.references[:10]))

    monkeypatch.setattr(demo, "choose_test_conditions", choose_few)
    quick = {"max_steps": 2, "tokens_per_batch": 256, "precision": "float32"}  # a set precision is not timed
    monkeypatch.setattr(demo, "TRAINING", {name: {**settings, **quick} for name, settings in TRAINING.items()})
    monkeypatch.setitem(BUILTIN, "dates", partial(dates, train=1000, dev=20, test=20))
    console = Console(file=StringIO(), width=160)
    exact = run_demo(tmp_path, console)
    assert list(exact) == list(MODEL_SIZES)
    assert all(0 <= share <= 1 for share in exact.values())
    assert {path.name for path in tmp_path.iterdir()} == {*MODEL_SIZES, PICTURE}
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert output.count("of 10 test dates correct") == 2
    assert "in words" in output and "reference" in output
