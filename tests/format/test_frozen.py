"""A checkpoint of each format loads, and translates as it did when it was made."""

import json
from pathlib import Path

import pytest

from regard.checkpoints.checkpoint import FORMAT, load_checkpoint, load_training_state
from regard.inference.translator import Translator
from regard.models import transformer2017

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_translations_are_the_same_as_before(number: int) -> None:
    frozen = json.loads((FOLDER / f"checkpoint-{number}.json").read_text(encoding="utf-8"))
    translations = Translator.load(FOLDER / f"checkpoint-{number}", "cpu").translate(frozen["lines"], top_beams=2)
    for best, expected in zip(translations, frozen["expected"], strict=True):
        assert [translation.text for translation in best.n_best] == [translation["text"] for translation in expected]
        assert [translation.score for translation in best.n_best] == pytest.approx(
            [translation["score"] for translation in expected], abs=1e-4
        )


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_all_files_are_read(number: int) -> None:
    folder = FOLDER / f"checkpoint-{number}"
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["format"] == number
    checkpoint = load_checkpoint(folder)
    assert (checkpoint.step, checkpoint.metrics) == (7, {"chrf": 1.5})
    assert checkpoint.config.model == transformer2017.Config(
        encoder_layers=1, decoder_layers=1, hidden_size=16, ffn_size=16, num_heads=2, dropout=0.0
    )
    assert checkpoint.config.search.patience == 0  # as before there was this key
    state = load_training_state(folder)
    assert state.values == {"step": 7}
    assert state.tensors["weights/x"].tolist() == [0.0, 1.0, 2.0]
