"""onnxruntime computes with an exported folder what the run does, for every architecture."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from tests.end_to_end.helpers import call
from tests.laws.cases import CASES
from tests.unit.interop.models import DATA, tokenizers
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import RunConfig, SearchConfig
from regard.contract import Seq2Seq
from regard.data.batch import pad
from regard.decoding.strategies import SearchInput, search
from regard.errors import CheckpointError, ConfigError
from regard.interop.onnx.export import export_onnx
from regard.interop.onnx.int8 import quantize_weights
from regard.interop.onnx.manifest import GraphSpec, describe_tokenizer, manifest
from regard.interop.onnx.runtime import OnnxModel
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer
from regard.tokenizers.tagged import TaggedTokenizer

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

FAST = {"bahdanau2014"}  # tracing takes 5 to 30 seconds
NAMES = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CASES]

SOURCES = [[4, 5, 6, 7, 8, 3, 3], [8], [6, 4, 4, 5], []]


def recipe(case: str) -> RunConfig:
    return RunConfig(data=DATA, model=CASES[case].config(), search=SearchConfig())


@pytest.fixture(scope="module", params=NAMES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path]:
    """Return a run with a tiny confident model, and its exported folder."""
    model = CASES[request.param].model(31).float()
    contents = Checkpoint(recipe(request.param), tokenizers(), model, 0, "none", {})
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export_onnx(contents, folder)
    return contents, folder


def decode(model: Seq2Seq, sources: list[list[int]], targets: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return log-probabilities (B, T, V) and attention (B, T, S) of steps with these inputs (B, T)."""
    state = model.decoder.init_state(model.encode(pad(sources, last=EOS)))
    logits, attention = [], []
    for column in targets.unbind(1):
        step = model.decoder.step(column, state, with_attention=True)
        state = step.state
        logits.append(step.logits)
        attention.append(step.attention)
    maps = [part for part in attention if part is not None]
    return torch.stack(logits, 1).log_softmax(-1), torch.stack(maps, 1) if maps else None


@torch.no_grad()
def test_an_exported_model_computes_the_same(exported: tuple[Checkpoint, Path]) -> None:
    contents, folder = exported
    model, onnx = contents.model, OnnxModel(folder)
    targets = torch.randint(3, 31, (len(SOURCES), 12), generator=torch.Generator().manual_seed(1))
    targets[:, 0] = BOS
    expected, attention = decode(model, SOURCES, targets)
    exact, exact_attention = decode(copy.deepcopy(model).double(), SOURCES, targets)
    actual, onnx_attention = decode(onnx, SOURCES, targets)
    tolerance = 1e-5 + 10 * float((expected - exact).abs().max())
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)
    assert (attention is None) == (onnx_attention is None)
    if attention is not None and exact_attention is not None:
        attention_tolerance = 1e-6 + 10 * float((attention - exact_attention).abs().max())
        torch.testing.assert_close(onnx_attention, attention, atol=attention_tolerance, rtol=0)
    for row, source in enumerate(SOURCES):  # a sentence does not depend on its batch
        alone, _ = decode(onnx, [source], targets[row : row + 1])
        torch.testing.assert_close(alone[0], actual[row], atol=tolerance, rtol=0)

    for beam_size in (1, 3):
        assert translate(onnx, contents, beam_size) == translate(model, contents, beam_size)


def translate(model: Seq2Seq, contents: Checkpoint, beam_size: int) -> list[tuple[int, ...]]:
    inputs = [SearchInput(source) for source in SOURCES]
    config = contents.config.search.model_copy(update={"beam_size": beam_size})
    return [best.tokens for (best,) in search(model, inputs, config, top_beams=1, with_attention=False)]


@torch.no_grad()
def test_weights_in_8_bits_compute_nearly_the_same_and_each_sentence_alone(
    exported: tuple[Checkpoint, Path], tmp_path: Path
) -> None:
    _, folder = exported
    shutil.copytree(folder, tmp_path / "int8")
    for name in ("encoder.onnx", "step.onnx"):
        quantize_weights(tmp_path / "int8" / name, smallest=1)
    targets = torch.full((len(SOURCES), 1), BOS)
    expected, _ = decode(OnnxModel(folder), SOURCES, targets)
    small = OnnxModel(tmp_path / "int8")
    actual, _ = decode(small, SOURCES, targets)
    assert float((actual - expected).abs().max()) > 0
    assert float((actual - expected).abs().mean()) < 0.2 * float(expected.std())
    alone, _ = decode(small, SOURCES[2:3], targets[:1])
    torch.testing.assert_close(alone[0], actual[2], atol=1e-4, rtol=0)


def test_the_manifest_describes_the_graphs(exported: tuple[Checkpoint, Path]) -> None:
    contents, folder = exported
    written = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert (written["format"], written["version"], written["weights"]) == ("regard-onnx", 2, "float32")
    assert written["special_tokens"] == {"pad": PAD, "bos": BOS, "eos": EOS, "unk": UNK}
    for part in ("encoder", "step"):
        session = onnxruntime.InferenceSession(folder / written[part]["file"])
        for side, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            assert [tensor["name"] for tensor in written[part][side]] == [value.name for value in values]
            assert [len(tensor["shape"]) for tensor in written[part][side]] == [len(value.shape) for value in values]
    encoded = {tensor["name"] for tensor in written["encoder"]["outputs"]}
    fed = {tensor["name"] for tensor in written["step"]["inputs"]}
    assert fed == {"tokens", *written["memory"], *(pair["input"] for pair in written["state"])}
    assert fed - {"tokens"} <= encoded
    tokenizer, pieces = contents.tokenizers.source, written["tokenizers"]["source"]["pieces"]
    assert pieces == tokenizer.pieces(range(tokenizer.size))
    assert contents.tokenizers.target is tokenizer
    assert "target" not in written["tokenizers"]


def test_two_vocabularies_are_both_described() -> None:
    contents = Checkpoint(recipe("cho2014"), tokenizers(joint=False), CASES["cho2014"].model(31), 0, "none", {})
    described = manifest(contents, GraphSpec([], []), GraphSpec([], []), int8=False)["tokenizers"]
    assert described["joint"] is False
    assert described["source"]["pieces"] != described["target"]["pieces"]


def test_a_folder_of_version_1_is_read(exported: tuple[Checkpoint, Path], tmp_path: Path) -> None:
    contents, folder = exported
    shutil.copytree(folder, tmp_path / "old")
    path = tmp_path / "old" / "manifest.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    old["tokenizers"]["target"] = old["tokenizers"]["source"]
    path.write_text(json.dumps({**old, "version": 1}), encoding="utf-8")
    assert translate(OnnxModel(tmp_path / "old"), contents, 3) == translate(OnnxModel(folder), contents, 3)


def test_tokenizers_are_described_by_what_they_need() -> None:
    assert describe_tokenizer(ByteTokenizer()) == {"kind": "byte", "size": 260, "tags": []}
    tagged = describe_tokenizer(TaggedTokenizer(CharacterTokenizer.train(["ab"], 9), ["de"]))
    assert tagged == {
        "kind": "character",
        "size": 7,
        "tags": ["de"],
        "pieces": [*SPECIAL, "a", "b"],
    }
    unigram = tokenizers().source
    described = describe_tokenizer(unigram)
    assert described["byte_ids"][0x41] == unigram.pieces(range(unigram.size)).index("<0x41>")
    assert not {PAD, *described["byte_ids"]} & {*described["matching"]}
    assert [np.float32(score) for score in described["scores"]] == described["scores"]


def test_without_onnx_the_error_says_what_to_install(tmp_path: Path) -> None:
    contents = Checkpoint(recipe("cho2014"), tokenizers(), CASES["cho2014"].model(31), 0, "none", {})
    with mock.patch.dict(sys.modules, {"onnxscript": None}), pytest.raises(ConfigError, match="onnx") as caught:
        export_onnx(contents, tmp_path / "out")
    assert "pip install 'regard[onnx]'" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_architecture_that_cannot_be_traced_is_refused(tmp_path: Path) -> None:
    model = CASES["cho2014"].model(31).float()
    encode = model.encoder.forward
    model.encoder.forward = lambda tokens, mask: encode(tokens[: len(tokens)], mask)  # type: ignore[method-assign]
    contents = Checkpoint(recipe("cho2014"), tokenizers(), model, 0, "none", {})
    with pytest.raises(CheckpointError, match="cannot trace the model"):
        export_onnx(contents, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "regard-onnx", "version": 3}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="regard-onnx 2"):
        OnnxModel(tmp_path)


def test_only_onnx_has_int8(tmp_path: Path) -> None:
    result = call("export", tmp_path, tmp_path / "out", "--to", "marian", "--int8")
    assert result.code == 1
    assert "--int8" in result.err
