"""Run an exported folder with onnxruntime: a model with regard's contract, for all of its searches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.config.schema import SearchConfig
from regard.contract import Decoder, Encoder, Memory, PerSource, Seq2Seq, State, StepFeatures, expand_to_rows
from regard.errors import CheckpointError, ConfigError
from regard.interop.onnx.graphs import NEXT
from regard.interop.onnx.manifest import FILE, FORMAT, READABLE, VERSION
from regard.special_tokens import PAD
from regard.tokenizers.base import Tokenizers


class Graph:
    """A graph in onnxruntime, with named tensors as inputs and outputs."""

    def __init__(self, path: Path, threads: int) -> None:
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")  # convert int8 weights when loading
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return all outputs."""
        values = self._session.run(None, {name: np.ascontiguousarray(tensor) for name, tensor in inputs.items()})
        return {name: torch.as_tensor(value) for name, value in zip(self._outputs, values, strict=True)}


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        fix = "pip install 'regard[onnx]'"
        raise ConfigError("onnxruntime is not installed", where="onnx", fix=fix) from None
    return onnxruntime


@dataclass(frozen=True)
class _Source(PerSource):
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True)
class OnnxState(State):
    """The inputs of a step: those that belong to sources, those that belong to rows, and the number of steps so far."""

    source: _Source
    rows: tuple[Tensor, ...]
    steps: int = 0


class OnnxEncoder(Encoder):
    """The graph of the encoder. `final` has all that a step needs."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.device_marker = nn.Parameter(torch.zeros(0), requires_grad=False)  # searches ask a parameter

    def forward(self, tokens: Tensor, mask: Tensor) -> Memory:
        """Encode (B, S)."""
        outputs = self.graph({"source": tokens.masked_fill(~mask, PAD)})
        values = mask.unsqueeze(-1).float()  # no search reads them
        return Memory(values, values, mask, tuple(outputs.values()))


class OnnxDecoder(Decoder[OnnxState]):
    """The graph of a step. Features are log-probabilities."""

    output = nn.Identity()

    def __init__(self, graph: Graph, manifest: Mapping[str, Any]) -> None:
        super().__init__()
        self.graph = graph
        self.encoded = [tensor["name"] for tensor in manifest["encoder"]["outputs"]]
        self.memory: Sequence[str] = manifest["memory"]
        inputs = {tensor["name"]: tensor for tensor in manifest["step"]["inputs"]}
        states = [pair["input"] for pair in manifest["state"]]
        self.state = [name for name in states if inputs[name]["shape"]]
        self.numbers = [name for name in states if not inputs[name]["shape"]]
        outputs = {tensor["name"]: tensor for tensor in manifest["step"]["outputs"]}
        self.vocabulary_size = int(outputs["log_probabilities"]["shape"][-1])
        self.has_attention = "attention" in outputs

    def init_state(self, memory: Memory) -> OnnxState:
        """Return the outputs of the encoder."""
        named = dict(zip(self.encoded, memory.final, strict=True))
        return OnnxState(_Source(tuple(named[name] for name in self.memory)), tuple(named[name] for name in self.state))

    def advance(self, tokens: Tensor, state: OnnxState, *, with_attention: bool = False) -> StepFeatures[OnnxState]:
        """Feed one token per row (N,). Attention is the mean over layers and heads."""
        source = (expand_to_rows(tensor, len(tokens)) for tensor in state.source.tensors)
        inputs = {"tokens": tokens, **dict(zip(self.memory, source, strict=True))}
        inputs |= dict(zip(self.state, state.rows, strict=True))
        inputs |= {name: torch.tensor(state.steps) for name in self.numbers}
        outputs = self.graph(inputs)
        rows = tuple(outputs[NEXT + name] for name in self.state)
        attention = outputs["attention"].mean((1, 2)) if with_attention and self.has_attention else None
        return StepFeatures(outputs["log_probabilities"], OnnxState(state.source, rows, state.steps + 1), attention)

    def readout(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features


class OnnxModel(Seq2Seq):
    """An exported folder: the graphs, with the tokenizers and the [search] of the run."""

    def __init__(self, folder: str | Path, *, threads: int = 1) -> None:
        """Load a folder. Raise CheckpointError if it cannot be read, and ConfigError without onnxruntime."""
        folder = Path(folder)
        try:
            manifest = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT or manifest["version"] not in READABLE:
                raise ValueError(f"it is not {FORMAT} {VERSION}")
            graphs = [Graph(folder / manifest[part]["file"], threads) for part in ("encoder", "step")]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"the manifest cannot be read: {error}", where=folder / FILE, fix="export the run again"
            ) from None
        super().__init__(OnnxEncoder(graphs[0]), OnnxDecoder(graphs[1], manifest))
        self.tokenizers = Tokenizers.load(folder)
        self.search = SearchConfig(**manifest["search"])
