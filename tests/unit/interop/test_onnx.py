"""onnxruntime computes with an exported folder what the run does, for every architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.laws.cases import CASES
from tests.unit.interop.models import DATA, tokenizers
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import RunConfig, SearchConfig
from regard.contract import Seq2Seq
from regard.data.batch import pad
from regard.decoding.strategies import SearchInput, search
from regard.interop.onnx.export import export_onnx
from regard.interop.onnx.runtime import OnnxModel
from regard.special_tokens import BOS, EOS

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

TOLERANCE = 5e-5  # of log-probabilities; rounding in float32 accounts for the differences
FAST = {"bahdanau2014"}
NAMES = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CASES]

SOURCES = [[4, 5, 6, 7, 8, 3, 3], [8], [6, 4, 4, 5], []]


@pytest.fixture(scope="module", params=NAMES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path]:
    """Return a run with a tiny confident model, and its exported folder."""
    case = CASES[request.param]
    both = tokenizers()
    recipe = RunConfig(data=DATA, model=case.config(), search=SearchConfig(beam_size=3))
    contents = Checkpoint(recipe, both, case.model(31).float(), 0, "none", {})
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
    onnx = OnnxModel(folder)
    generator = torch.Generator().manual_seed(1)
    targets = torch.randint(3, 31, (len(SOURCES), 12), generator=generator)
    targets[:, 0] = BOS

    expected, attention = decode(contents.model, SOURCES, targets)
    actual, onnx_attention = decode(onnx, SOURCES, targets)
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0)
    if attention is not None:
        torch.testing.assert_close(onnx_attention, attention, atol=1e-6, rtol=0)
    assert (attention is None) == (onnx_attention is None)

    for row, source in enumerate(SOURCES):  # a sentence does not depend on its batch
        alone, _ = decode(onnx, [source], targets[row : row + 1])
        torch.testing.assert_close(alone[0], actual[row], atol=TOLERANCE, rtol=0)

    inputs = [SearchInput(source) for source in SOURCES]
    for beam_size in (1, 3):
        config = replace_beam(contents.config.search, beam_size)
        actual_best = search(onnx, inputs, config, top_beams=1, with_attention=False)
        assert [best.tokens for (best,) in actual_best] == [
            best.tokens for (best,) in search(contents.model, inputs, config, top_beams=1, with_attention=False)
        ]


def replace_beam(config: SearchConfig, beam_size: int) -> SearchConfig:
    return config.model_copy(update={"beam_size": beam_size})
