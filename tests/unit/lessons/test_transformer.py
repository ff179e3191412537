"""Lesson 6: the trace of a Transformer's steps, paths between words, and what is counted of a step."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard.lessons
from regard.contract import Seq2Seq, VocabularySizes
from regard.interop.onnx.runtime import Graph, OnnxModel
from regard.lessons.cost import BATCH, FORMULAS, LENGTHS, counted, decoding_state, training_loss
from regard.lessons.pages import FOLDER
from regard.lessons.paths import source_paths, target_hops, target_paths
from regard.lessons.trace import TRACE, TraceGraph, add_trace
from regard.models import ARCHITECTURES
from regard.models.bytenet2016 import Config as ByteNetConfig
from regard.models.transformer2017 import Config, build
from regard.nn.attention_memory import PaddedSequence
from regard.special_tokens import BOS, EOS

MODEL = FOLDER / "static" / "models" / "dates-transformer2017"
SOURCES = ("Nov 22, 2026", "22 de fev. de 2054", "3 mai 1998; Mo., 1. Aug. 1909")
SOURCE, TARGET = torch.tensor([[5, 6, 7, 8, EOS]]), torch.tensor([[BOS, 9, 10]])


def transformer(layers: int = 2) -> tuple[Seq2Seq, Config]:
    torch.manual_seed(1)
    config = Config(encoder_layers=layers, decoder_layers=layers, hidden_size=16, ffn_size=24, num_heads=2, dropout=0.0)
    return build(config, VocabularySizes(12, 12, joint=True)).eval(), config


def test_a_trace_holds_what_the_modules_compute() -> None:
    model: Any = transformer()[0]
    values = TraceGraph(model)(SOURCE, TARGET)
    with torch.no_grad():
        embedded = model.encoder.embedding.table(SOURCE) * 4  # sqrt(16)
        x = model.encoder.embedding(SOURCE)
        expected: dict[str, Tensor] = {"encoder.embedded": embedded, "encoder.input": x}
        for number, layer in enumerate(model.encoder.layers):
            name = f"encoder.{number}"
            expected[f"{name}.attention"] = layer.attention(x, PaddedSequence(5))
            expected[f"{name}.attended"] = x = layer.attention_norm(x + expected[f"{name}.attention"])
            expected[f"{name}.inner"] = layer.ff[0](x).relu()
            expected[f"{name}.ff"] = layer.ff[2](expected[f"{name}.inner"])
            expected[f"{name}.output"] = x = layer.ff_norm(x + expected[f"{name}.ff"])
        sources = model.decoder.init_state(model.encode(SOURCE)).source.memories(with_weights=True)
        x = model.decoder.embedding(TARGET)
        expected["decoder.input"] = x
        for number, (layer, source) in enumerate(zip(model.decoder.layers, sources, strict=True)):
            name = f"decoder.{number}"
            expected[f"{name}.attention"] = layer.attention(x, PaddedSequence(3, causal=True))
            expected[f"{name}.attended"] = x = layer.attention_norm(x + expected[f"{name}.attention"])
            expected[f"{name}.source"] = layer.source_attention(x, source)
            expected[f"{name}.read"] = x = layer.source_norm(x + expected[f"{name}.source"])
            expected[f"{name}.ff"] = layer.ff[2](layer.ff[0](x).relu())
            expected[f"{name}.output"] = x = layer.ff_norm(x + expected[f"{name}.ff"])
            expected[f"{name}.source_weights"] = source.weights
            expected[f"lens.{name}.output"] = model.decoder.readout(x)
        expected["logits"] = model.decoder.readout(model.decoder(TARGET, model.encode(SOURCE)).features)
    for name, value in expected.items():
        assert torch.allclose(values[name], value[0], atol=1e-5), name
    assert torch.equal(values["lens.decoder.1.output"], values["logits"])
    assert torch.allclose(values["decoder.0.weights"].sum(-1), torch.ones(2, 3))
    assert values["decoder.0.weights"].triu(1).eq(0).all()  # the mask
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_last_output_of_the_trace_in_the_page_is_that_of_the_model() -> None:
    model, trace = OnnxModel(MODEL), Graph(MODEL / TRACE, 1)
    for source in SOURCES:
        tokens = torch.tensor([[*model.tokenizers.source.encode(source), EOS]])
        state = model.decoder.init_state(model.encode(tokens))
        inputs, rows = [BOS], []
        while inputs[-1] != EOS and len(inputs) < 30:
            step = model.decoder.step(torch.tensor(inputs[-1:]), state)
            state = step.state
            rows.append(step.logits[0])
            inputs.append(int(step.logits[0].argmax()))
        values = trace({"source": tokens, "target": torch.tensor([inputs[:-1]])})
        log_probabilities = values["logits"].log_softmax(-1)
        assert torch.allclose(log_probabilities, torch.stack(rows).log_softmax(-1), atol=1e-3), source
        assert torch.allclose(values["lens.decoder.1.output"], values["logits"], atol=1e-5)


@pytest.mark.slow
def test_an_exported_trace_computes_what_pytorch_does(tmp_path: Path) -> None:
    model, config = transformer(1)
    (tmp_path / "manifest.json").write_text("{}\n", encoding="utf-8")
    add_trace(SimpleNamespace(model=model, config=SimpleNamespace(model=config)), tmp_path)
    graph = Graph(tmp_path / TRACE, 1)
    for length in (1, 2, 7):
        source, target = torch.full((1, length), 5), torch.full((1, length), 6)
        expected = TraceGraph(model)(source, target)
        values = graph({"source": source, "target": target})
        assert values.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.allclose(values[name], value, atol=1e-4), name


def test_only_a_transformer_has_a_trace(tmp_path: Path) -> None:
    config = ARCHITECTURES["bahdanau2014"].presets["tiny"]()
    add_trace(SimpleNamespace(model=None, config=SimpleNamespace(model=config)), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMULAS)
def test_a_word_changes_those_outputs_to_which_a_path_leads(name: str) -> None:
    config: Any = ARCHITECTURES[name].presets["tiny"]()
    if name == "bytenet2016":  # so shallow that some words are out of reach
        config = ByteNetConfig(encoder_layers=2, decoder_layers=2, hidden_size=8, num_dilations=2, dropout=0.0)
    torch.manual_seed(1)
    model = ARCHITECTURES[name].build(config, VocabularySizes(50, 50, joint=False)).double().eval()
    length = 14
    source = torch.arange(5, 5 + length)[None]
    source[0, -1] = EOS
    target = torch.tensor([[BOS, *range(20, 19 + length)]])
    with torch.no_grad():
        features = model.decoder(target, model.encode(source)).features
        for place in range(length - 1):  # the end token ends a sentence
            changed = source.clone()
            changed[0, place] = 40
            moved = (model.decoder(target, model.encode(changed)).features != features).any(-1)[0].numpy()
            assert np.isfinite(target_hops(config, length)[place]).tolist() == moved.tolist(), place


@pytest.mark.parametrize(
    ("name", "between", "across"),
    [
        ("cho2014", 11, 12), ("sutskever2014", 11, 23), ("bahdanau2014", 11, 1), ("luong2015", 11, 1),
        ("gnmt2016", 11, 1), ("bytenet2016", 3, 3), ("convs2s2017", 4, 1), ("transformer2017", 1, 1), ("modern", 1, 1),
    ],
)  # fmt: skip
def test_the_longest_paths_of_twelve_tokens(name: str, between: int, across: int) -> None:
    config = ARCHITECTURES[name].presets["tiny"]()
    assert source_paths(config, 12).hops == between
    assert target_paths(config, 12).hops == across
    assert target_paths(config, 12).reached == 1
    assert (source_paths(config, 12).reached == 1) == (name != "convs2s2017")


def test_operations_and_chains_are_counted() -> None:
    layers = nn.Sequential(*(nn.Linear(6, 6, bias=False) for _ in range(5)))
    x = torch.ones(3, 6)
    _, count = counted(lambda: layers(x).t()[None])  # views cost nothing
    assert (count.operations, count.chain) == (5 * 2 * 3 * 6 * 6, 5)
    _, count = counted(lambda: torch.stack([layers[0](x), layers[1](x)]))  # next to each other
    assert (count.operations, count.chain) == (2 * 2 * 3 * 6 * 6, 2)


def test_the_transformers_operations_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.lessons.cost.VOCABULARY", 12)
    length, size, inner, words, layers = 10, 16, 24, 12, 2
    model = transformer(layers)[0].double()
    tokens = torch.tensor([[*range(3, 12), EOS]])
    _, count = counted(lambda: training_loss(model, tokens))
    attention = 4 * length * size**2 + 2 * length**2 * size
    multiplications = layers * (3 * attention + 2 * 2 * length * size * inner) + length * size * words
    assert count.operations == 2 * multiplications
    with torch.no_grad():
        state = decoding_state(model, length)
        _, count = counted(lambda: model.decoder.step(torch.tensor([5]), state))
    self_attention = 4 * size**2 + 2 * (length + 1) * size
    source_attention = 2 * size**2 + 2 * 10 * size  # the source is projected before the first step
    multiplications = layers * (self_attention + source_attention + 2 * size * inner) + size * words
    assert count.operations == pytest.approx(2 * multiplications, rel=0.05)  # 8 slots of the cache at a time


def test_the_cost_figure_shows_what_the_lesson_says() -> None:
    measured = regard.lessons.figure("cost")
    assert (measured["lengths"], measured["batch"]) == (list(LENGTHS), BATCH)
    systems = measured["systems"]
    assert systems.keys() == FORMULAS.keys() == ARCHITECTURES.keys()
    chains = {name: system["training"]["chain"] for name, system in systems.items()}
    for name, chain in chains.items():
        is_recurrent = FORMULAS[name][1] == "n + m"
        assert (chain[-1] > 20 * chain[0]) == is_recurrent
        assert is_recurrent or chain[-1] == chain[0]
        assert 1e6 < systems[name]["parameters"] < 2.5e6
    operations = {name: np.array(system["training"]["operations"]) for name, system in systems.items()}
    assert operations["bahdanau2014"][-1] / operations["transformer2017"][-1] == pytest.approx(0.47, abs=0.005)
    assert operations["cho2014"][-1] / operations["cho2014"][0] == pytest.approx(30, abs=0.5)
    assert operations["transformer2017"][-1] / operations["transformer2017"][0] == pytest.approx(44, abs=0.5)
    assert (chains["transformer2017"][0], chains["sutskever2014"][-1]) == (177, 7702)
    assert (chains["bahdanau2014"][0], chains["bahdanau2014"][-1]) == (209, 6409)
    assert systems["cho2014"]["decoding"]["chain"][-1] == 15
    assert 90 < systems["transformer2017"]["decoding"]["chain"][-1] < 110
    for system in systems.values():
        times = [system[step][clock] for step in ("training", "decoding") for clock in ("wall", "cpu")]
        assert np.shape(times) == (4, len(LENGTHS))
        assert np.min(times) > 0
    paths = {name: system["source_paths"][-1] for name, system in systems.items()}
    assert paths["transformer2017"] == {"hops": 1, "reached": 1.0}
    assert paths["cho2014"]["hops"] == 255
    assert paths["convs2s2017"]["reached"] < 0.05
    assert paths["bytenet2016"] == {"hops": 10, "reached": pytest.approx(0.43, abs=0.005)}
    assert systems["sutskever2014"]["target_paths"][-1]["hops"] == 511


def test_the_layers_change_what_the_lesson_says() -> None:
    model, trace = OnnxModel(MODEL), Graph(MODEL / TRACE, 1)
    tokens = torch.tensor([[*model.tokenizers.source.encode("Nov 22, 2026"), EOS]])
    written = [*model.tokenizers.target.encode("2026-11-22"), EOS]
    values = trace({"source": tokens, "target": torch.tensor([[BOS, *written[:-1]]])})
    assert float(values["encoder.0.inner"].eq(0).float().mean()) == pytest.approx(0.65, abs=0.005)
    right = [
        int((values[f"lens.decoder.{name}"].argmax(-1) == torch.tensor(written)).sum())
        for name in ("input", "0.attended", "0.read", "0.output", "1.attended", "1.read", "1.output")
    ]
    assert right == [2, 2, 2, 3, 3, 9, 11]


def test_the_checker_explains_wrong_answers_of_lesson_6(capsys: pytest.CaptureFixture[str]) -> None:
    assert not regard.lessons.check("6.1", (3_152_384, 3_152_384))
    assert not regard.lessons.check("6.2", lambda x, memory, *_: x)
    assert not regard.lessons.check("6.3", (19, 5, 1))
    assert "number 2 is not right" in capsys.readouterr().out
