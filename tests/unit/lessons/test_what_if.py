"""Lesson 4: models whose attention can be changed, and what is measured with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.laws.cases import CASES
from tests.unit.interop.models import DATA, tokenizers
from torch import Tensor, nn

import regard.lessons
from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import RunConfig, SearchConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.lessons import phrases
from regard.lessons.export import STEERED
from regard.lessons.pages import FOLDER
from regard.lessons.steering import (
    ENCODER_SCALE,
    SELF_SCALE,
    SOURCE_ADDED,
    SOURCE_SCALE,
    Steering,
    export_steered,
    steer,
    steerable_heads,
)
from regard.lessons.what_if import kendall, kind_of, noun_after, occlusion
from regard.models import transformer2017
from regard.nn import attention
from regard.nn.attention_memory import PaddedSequence, PaddedSource
from regard.nn.attention_recorder import record_attention
from regard.special_tokens import BOS, EOS, UNK

SOURCE = torch.tensor([[5, 6, 7, 8, EOS]])
TARGET = [BOS, 7, 8, 9]
LAYERS, HEADS, WIDTH = 2, 4, 4


def transformer() -> Seq2Seq:
    torch.manual_seed(1)
    config = transformer2017.Config(
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        hidden_size=HEADS * WIDTH,
        ffn_size=16,
        num_heads=HEADS,
        dropout=0.0,
    )
    return transformer2017.build(config, VocabularySizes(12, 12, joint=False)).eval()


def decode(
    model: Seq2Seq, steering: Callable[[int], Steering], encoder: Steering | None = None
) -> tuple[Tensor, Tensor]:
    """Return log-probabilities and attention of the steps of `TARGET`."""
    logits, weights = [], []
    with torch.inference_mode():
        with steer(encoder or Steering()):
            memory = model.encode(SOURCE)
        state = model.decoder.init_state(memory)
        for place, token in enumerate(TARGET):
            with steer(steering(place)):
                step = model.decoder.step(torch.tensor([token]), state, with_attention=True)
            state = step.state
            assert step.attention is not None
            logits.append(step.logits.log_softmax(-1))
            weights.append(step.attention)
    return torch.stack(logits), torch.stack(weights)


def without_head(projection: nn.Linear, head: int) -> None:
    """Remove a head from the output of multi-head attention: the columns of W_O that read it."""
    with torch.no_grad():
        projection.weight[:, WIDTH * head : WIDTH * (head + 1)] = 0


def scale_of(layer: int, head: int) -> Tensor:
    scale = torch.ones(1, LAYERS, HEADS)
    scale[0, layer, head] = 0
    return scale


def test_a_model_with_its_own_weights_given_back_is_the_same() -> None:
    model = CASES["bahdanau2014"].model(31).float().eval()
    expected, weights = decode(model, lambda _: Steering())
    own = weights.view(len(TARGET), 1, 1, 1, -1)
    same, used = decode(model, lambda place: Steering(source_scale=torch.zeros(1, 1, 1), source_added=own[place]))
    assert torch.allclose(same, expected, atol=1e-6)
    assert torch.allclose(used, weights, atol=1e-6)
    even = torch.full_like(own[0], 0.2)
    changed, used = decode(model, lambda _: Steering(source_scale=torch.zeros(1, 1, 1), source_added=even))
    assert not torch.allclose(changed, expected, atol=1e-3)
    assert torch.allclose(used, torch.full_like(weights, 0.2))


def test_a_head_with_scale_1_changes_nothing_and_with_scale_0_it_is_gone() -> None:
    model = transformer()
    ones = torch.ones(1, LAYERS, HEADS)
    expected, _ = decode(model, lambda _: Steering())
    same, _ = decode(model, lambda _: Steering(ones, ones), Steering(ones))
    assert torch.equal(same, expected)
    for layer, head in ((0, 1), (1, 3)):
        parts = {
            "encoder": (lambda _: Steering(), Steering(scale_of(layer, head))),
            "decoder": (lambda _: Steering(scale_of(layer, head)), None),  # noqa: B023
            "source": (lambda _: Steering(source_scale=scale_of(layer, head)), None),  # noqa: B023
        }
        for part, (steering, encoder) in parts.items():
            removed = copy.deepcopy(model)
            layers: Any = removed.encoder.layers if part == "encoder" else removed.decoder.layers
            module = layers[layer].source_attention if part == "source" else layers[layer].attention
            without_head(module.output, head)
            right, _ = decode(removed, lambda _: Steering())
            steered, _ = decode(model, steering, encoder)
            assert torch.allclose(steered, right, atol=1e-5), part
            assert not torch.allclose(steered, expected, atol=1e-4), part


def test_what_is_steered_is_given_back() -> None:
    before = attention.masked_softmax, PaddedSequence.attend, PaddedSource.attend
    with pytest.raises(RuntimeError, match="inside"), steer(Steering()):
        assert PaddedSource.attend is not before[2]
        raise RuntimeError("inside")
    assert before == (attention.masked_softmax, PaddedSequence.attend, PaddedSource.attend)


def test_which_models_can_be_steered() -> None:
    with torch.inference_mode():
        assert steerable_heads(transformer()) == {SOURCE_SCALE: (LAYERS, HEADS), SELF_SCALE: (LAYERS, HEADS)}
        for name, is_steerable in (
            ("bahdanau2014", True),
            ("gnmt2016", True),
            ("cho2014", False),
            ("bytenet2016", False),
        ):
            assert bool(steerable_heads(CASES[name].model(31).float().eval())) == is_steerable, name


@pytest.mark.parametrize("name", ["bahdanau2014", pytest.param("transformer2017", marks=pytest.mark.slow)])
def test_an_exported_model_is_steered_in_onnxruntime(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("regard.interop.onnx.runtime")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = CASES[name].model(31).float().eval()
    recipe = RunConfig(data=DATA, model=CASES[name].config(), search=SearchConfig())
    assert export_steered(Checkpoint(recipe, tokenizers(), model, 0, "none", {}), tmp_path / STEERED)
    onnx = runtime.OnnxModel(tmp_path / STEERED)
    inputs = {"source": SOURCE}
    with torch.inference_mode(), record_attention() as recorder:
        model.encode(SOURCE)
    scale = None
    if recorder.self_attention:
        scale = torch.ones(1, len(recorder.self_attention), recorder.self_attention[0].size(1))
        scale[0, -1, 0] = 0
        inputs[ENCODER_SCALE] = scale
    memory = onnx.encoder.graph(inputs)
    source_scale = memory[SOURCE_SCALE].clone()
    source_scale[0, 0, 0] = 0.5
    added = memory[SOURCE_ADDED].clone()
    added[0, 0, 0, 1] = 0.5
    self_scale = memory[SELF_SCALE].clone() if SELF_SCALE in memory else None
    if self_scale is not None:
        self_scale[0, 0, -1] = 0
    expected, _ = decode(model, lambda _: Steering(self_scale, source_scale, added), Steering(scale))
    state = {key: memory[key] for key in onnx.decoder.state}
    for place, token in enumerate(TARGET):
        feeds = {"tokens": torch.tensor([token]), **state, **{key: memory[key] for key in onnx.decoder.memory}}
        feeds |= {key: torch.tensor(place) for key in onnx.decoder.numbers}
        feeds |= {SOURCE_SCALE: source_scale, SOURCE_ADDED: added}
        if self_scale is not None:
            feeds[SELF_SCALE] = self_scale
        outputs = onnx.decoder.graph(feeds)
        state = {key: outputs[f"next.{key}"] for key in onnx.decoder.state}
        assert torch.allclose(outputs["log_probabilities"], expected[place], atol=1e-4)


def test_the_models_of_the_page_are_those_of_the_other_lessons() -> None:
    runtime = pytest.importorskip("regard.interop.onnx.runtime")
    pytest.importorskip("onnxruntime")
    folder = FOLDER / "static" / "models"
    for name in ("phrases", "dates-transformer2017"):
        plain, steered = (runtime.OnnxModel(folder / name / part) for part in ("", STEERED))
        inputs = {"source": SOURCE}
        expected = plain.encoder.graph(inputs)
        if name != "phrases":
            inputs[ENCODER_SCALE] = torch.ones(1, LAYERS, HEADS)
        actual = steered.encoder.graph(inputs)
        for key in plain.decoder.memory:
            assert torch.allclose(expected[key].float(), actual[key].float(), atol=1e-4), key
        steps = []
        for model, memory in ((plain, expected), (steered, actual)):
            feeds = {key: memory[key] for key in (*model.decoder.memory, *model.decoder.state)}
            feeds |= {"tokens": torch.tensor([BOS]), **{key: torch.tensor(0) for key in model.decoder.numbers}}
            steps.append(model.decoder.graph(feeds)["log_probabilities"])
        assert torch.allclose(steps[0], steps[1], atol=1e-4)


class OneWord:
    """A model whose output has as many tokens as it has sources, each of which depends on one source token."""

    def __init__(self) -> None:
        self.sources: list[list[int]] = []

    def scores(self, sources: list[list[int]], output: list[int]) -> np.ndarray[Any, Any]:
        self.sources = sources
        return np.array([[-1.0 if token in source else -3.0 for token in output] for source in sources])


def test_occlusion_falls_where_the_word_that_matters_is_hidden() -> None:
    decoded: Any = type("Decoded", (), {"source": [7, 8, 9, EOS], "output": [8, 7, EOS]})
    hidden = {
        "replaced": [[UNK, 8, 9, EOS], [7, UNK, 9, EOS], [7, 8, UNK, EOS]],
        "removed": [[8, 9, EOS], [7, 9, EOS], [7, 8, EOS]],
    }
    for how, sources in hidden.items():
        model: Any = OneWord()
        assert occlusion(model, decoded, how).tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
        assert model.sources == sources


def test_rank_correlation() -> None:
    assert kendall(np.array([1, 2, 3]), np.array([10, 20, 30])) == 1
    assert kendall(np.array([1, 2, 3]), np.array([3, 2, 1])) == -1
    assert kendall(np.array([1, 2, 3]), np.array([1, 3, 2])) == pytest.approx(1 / 3)


def test_kinds_of_words() -> None:
    kinds = {kind_of(word) for source, target in phrases.phrases("test", 3, 40) for word in target.split()}
    assert kinds == {"article", "noun", "adjective", "verb", "conjunction"}
    assert [kind_of(word) for word in ("den", "riesigen", "Weg", "mag", "doch", "</s>")] == [
        "article", "adjective", "noun", "verb", "conjunction", "",
    ]  # fmt: skip
    assert noun_after(["the", "old", "dog", "sees", "the", "cat"], 0) == 2
    assert noun_after(["the", "old", "dog", "sees", "the", "cat"], 3) == 5
    assert noun_after(["the"], 0) is None


def test_the_figure_shows_what_lesson_4_says() -> None:
    measured = regard.lessons.figure("what_if")
    weights = measured["weights"]
    assert weights["its own weights"] == weights["all on the largest"] == 1
    assert weights["equal weights"] < 0.05
    assert weights["shuffled weights"] < 0.05
    moved = measured["moved"]
    assert moved["kept"]["article"]["share"] > 0.98
    assert moved["kept"]["adjective"]["share"] < 0.5
    assert moved["article"]["same"] > 0.85
    for table in measured["occlusion"].values():
        assert table["article"]["agree"][2] < 0.1
        assert table["article"]["noun"][0] > 0.85
        assert table["verb"]["agree"][0] > 0.95
        for kind in table.values():
            for value, low, high in (kind[name] for name in ("agree", "tau", "weight", "noun")):
                assert low <= value <= high
    heads = measured["heads"]
    assert heads["complete"]["exact"] == [1, 0.99]
    first = heads["decoder"]["without_head"][0][0]
    assert first["exact"][0] == 0
    assert first["first"][0] > 0.8
    source = heads["source"]["without_head"][0][0]
    assert source["exact"] == [0.99, 0]
    assert source["first"][1] == 1
    assert min(head["exact"][0] for head in heads["encoder"]["without_head"][0]) >= 0.99
    assert heads["encoder"]["without_layer"][0]["exact"] == [0.85, 0.43]
