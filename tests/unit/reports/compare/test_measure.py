from __future__ import annotations

from pathlib import Path

import pytest

from regard.config.schema import SearchConfig
from regard.evaluation.test_set import TestSet
from regard.files import write_atomic
from regard.reports.compare.measure import (
    Measurement,
    TestConditions,
    choose_samples,
    load_measurement,
    measurement_key,
)
from regard.reports.compare.results import SystemResults

TEST_SET = TestSet("three", ("a", "b c", "d"), ("x", "y", "z"))
CONDITIONS = TestConditions(TEST_SET, "en", SearchConfig())


def test_samples_of_a_small_test_set_are_distinct() -> None:
    assert [sample.source for sample in choose_samples(TEST_SET)] == ["d"]
    longer = TestSet("many", tuple("ab" * n for n in range(1, 101)), tuple(map(str, range(100))))
    assert [len(sample.source) for sample in choose_samples(longer)] == [72, 102, 132]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_the_key_depends_on_the_weights_the_log_and_the_conditions(run: Path) -> None:
    other_references = TestSet("three", TEST_SET.sources, ("x", "y", "!"))
    keys = [
        measurement_key(run, CONDITIONS),
        measurement_key(run, TestConditions(other_references, "en", SearchConfig())),
    ]
    keys.append(measurement_key(run, TestConditions(TEST_SET, "en", SearchConfig(beam_size=2))))
    (run / "log.jsonl").write_text("{}")
    keys.append(measurement_key(run, CONDITIONS))
    (run / "model.safetensors").write_bytes(b"other weights")
    keys.append(measurement_key(run, CONDITIONS))
    assert len(set(keys)) == 5
    assert measurement_key(run, CONDITIONS) == keys[-1]


def test_a_measurement_is_loaded_by_its_key(tmp_path: Path) -> None:
    facts = SystemResults(
        name="one",
        paper="",
        parameters=1,
        attends=True,
        steps=1,
        minutes=1.0,
        tokens_per_second=1.0,
        curve=(),
        exact=0.5,
        sentences_per_second=1.0,
        lengths=(),
        step_times=(),
        translations=(),
        attended=(),
    )
    file = tmp_path / "systems" / "one.json"
    measured = Measurement(key="k", facts=facts, hypotheses=("a",))
    assert load_measurement(file, "k") is None
    file.parent.mkdir()
    write_atomic(file, measured.model_dump_json())
    assert load_measurement(file, "k") == measured
    assert load_measurement(file, "other") is None
    file.write_text(file.read_text()[:-5])
    assert load_measurement(file, "k") is None
    assert [path.name for path in file.parent.iterdir()] == ["one.json"]
