"""A checkpoint of every format that there ever was loads, and translates as it did."""

import json
from pathlib import Path

import pytest

from regard.checkpoints.checkpoint import FORMAT, load_checkpoint, load_training_state
from regard.inference.translator import Translator

HERE = Path(__file__).parent


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_it_translates_as_it_did(number: int) -> None:
    frozen = json.loads((HERE / f"checkpoint-{number}.json").read_text(encoding="utf-8"))
    found = Translator.load(HERE / f"checkpoint-{number}", "cpu").translate(frozen["lines"], top_beams=2)
    for best, expected in zip(found, frozen["expected"], strict=True):
        assert [one.text for one in best.n_best] == [one["text"] for one in expected]
        assert [one.score for one in best.n_best] == pytest.approx([one["score"] for one in expected], abs=1e-4)


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_all_of_it_is_read(number: int) -> None:
    folder = HERE / f"checkpoint-{number}"
    checkpoint = load_checkpoint(folder)
    assert (checkpoint.step, checkpoint.metrics) == (7, {"chrf": 1.5})
    state = load_training_state(folder)
    assert state.values == {"step": 7}
    assert state.tensors["weights/x"].tolist() == [0.0, 1.0, 2.0]
