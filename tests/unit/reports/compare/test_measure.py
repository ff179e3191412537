from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regard.config.schema import SearchConfig
from regard.files import write_atomic
from regard.inference.translator import Translation
from regard.reports.compare.measure import Exam, Measured, attended, kept, key_of
from regard.reports.compare.results import Facts

EXAM = Exam("three", ("a", "b c", "d"), ("x", "y", "z"), "en", SearchConfig())


def test_what_was_looked_at_ends_with_the_end_of_the_sentence() -> None:
    weights = np.full((3, 2), 0.5)
    done = attended(Translation("ab", -1.0, -1.0, ("a", "b"), ("x", "</s>"), weights))
    assert done is not None
    assert (done.source_tokens, done.target_tokens) == (("x", "</s>"), ("a", "b", "</s>"))
    assert done.weights == ((0.5, 0.5),) * 3


def test_a_translation_that_was_cut_has_no_end() -> None:
    cut = attended(Translation("ab", -1.0, -1.0, ("a", "b"), ("x", "</s>"), np.full((2, 2), 1 / 3), finished=False))
    assert cut is not None
    assert cut.target_tokens == ("a", "b")
    assert cut.weights == ((0.3333, 0.3333),) * 2


def test_without_attention_there_is_nothing_to_show() -> None:
    assert attended(Translation("ab", -1.0, -1.0, ("a", "b"), ("x", "</s>"))) is None


def test_samples_of_a_small_test_set_are_not_repeated() -> None:
    assert [sample.source for sample in EXAM.samples()] == ["d"]
    longer = Exam("many", tuple("ab" * n for n in range(1, 101)), tuple(map(str, range(100))), "", SearchConfig())
    assert [len(sample.source) for sample in longer.samples()] == [72, 102, 132]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_the_key_changes_with_the_weights_the_log_and_the_exam(run: Path) -> None:
    keys = [key_of(run, EXAM), key_of(run, Exam("three", EXAM.sources, ("x", "y", "!"), "en", SearchConfig()))]
    keys.append(key_of(run, Exam("three", EXAM.sources, EXAM.references, "en", SearchConfig(beam_size=2))))
    (run / "log.jsonl").write_text("{}")
    keys.append(key_of(run, EXAM))
    (run / "model.safetensors").write_bytes(b"other weights")
    keys.append(key_of(run, EXAM))
    assert len(set(keys)) == 5
    assert key_of(run, EXAM) == keys[-1]


def test_what_was_measured_is_kept_under_its_key(tmp_path: Path) -> None:
    facts = Facts(
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
    measured = Measured(key="k", facts=facts, hypotheses=("a",))
    assert kept(file, "k") is None
    file.parent.mkdir()
    write_atomic(file, measured.model_dump_json())
    assert kept(file, "k") == measured
    assert kept(file, "other") is None
    file.write_text(file.read_text()[:-5])
    assert kept(file, "k") is None
    assert [path.name for path in file.parent.iterdir()] == ["one.json"]
