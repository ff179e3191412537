"""Export a run to a folder with two ONNX graphs and a manifest: see docs/interop.md for their interface."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regard.checkpoints.checkpoint import Checkpoint
from regard.contract import Seq2Seq, State
from regard.errors import CheckpointError, ConfigError
from regard.interop.export_folder import new_folder
from regard.interop.onnx.graphs import EncoderGraph, Leaf, StepGraph, named_leaves
from regard.interop.onnx.int8 import quantize_weights
from regard.interop.onnx.manifest import ENCODER, FILE, STEP, GraphSpec, TensorSpec, as_json, manifest
from regard.special_tokens import BOS, EOS, PAD

OPSET = 18  # what PyTorch 2.9 writes without conversion

USAGE = """\
from regard.inference.translator import Translator
from regard.interop.onnx.runtime import OnnxModel
model = OnnxModel({folder!r})
translator = Translator(model, model.tokenizers, model.search)
print(translator.translate(["a line"])[0].text)
"""


def export_onnx(checkpoint: Checkpoint, out: Path, *, int8: bool = False) -> str:
    """Write the run to the folder `out` and return example Python code that translates with it.

    Args:
        checkpoint: The run to export.
        out: The folder to write. It must not exist, or be empty.
        int8: Store matrices in 8 bits.

    Raises:
        CheckpointError: The model cannot be traced, or the folder cannot be written.
        ConfigError: onnx or onnxscript is not installed.
    """
    model = frozen_copy(checkpoint)
    with torch.no_grad():
        small, large = Example.pair(model)
        encoder = Traceable(EncoderGraph(model), ["source"], [small.source], [large.source])
        graph = StepGraph(model, small.state)
        step = Traceable(graph, ["tokens", *graph.names], small.step_inputs, large.step_inputs)
        write_export(checkpoint, out, encoder, step, int8=int8)
    return USAGE.format(folder=str(out))


def frozen_copy(checkpoint: Checkpoint) -> Seq2Seq:
    """Return the model as it is traced: float32, without gradients. Raise ConfigError if a package is missing."""
    _check_installed()
    return copy.deepcopy(checkpoint.model).float().eval().requires_grad_(False)


@dataclass(frozen=True)
class Example:
    """Inputs of both graphs. Two examples of other sizes show which axes have no fixed size."""

    source: Tensor  # (N, S)
    tokens: Tensor  # (N,)
    state: State

    @classmethod
    def of(cls, model: Seq2Seq, rows: int, length: int, steps: int) -> Example:
        """Return an example with this many rows, after this many steps."""
        source = torch.full((rows, length), EOS)
        source[0, -1] = PAD
        encoder, tokens = EncoderGraph(model), torch.full((rows,), BOS)
        state = encoder.initial_state(source)
        for _ in range(steps):
            state = model.decoder.step(tokens, state).state
        return cls(source, tokens, state)

    @classmethod
    def pair(cls, model: Seq2Seq) -> tuple[Example, Example]:
        """Return a small and a large example: no size is the same in both, unless it is fixed."""
        return cls.of(model, rows=4, length=6, steps=3), cls.of(model, rows=5, length=9, steps=6)

    @property
    def step_inputs(self) -> list[Leaf]:
        """The inputs of the graph of a step."""
        return [self.tokens, *(leaf.value for leaf in named_leaves(self.state))]


@dataclass(frozen=True)
class Traceable:
    """A graph to trace: the names of its inputs, and two examples of them; see `Example.pair`."""

    graph: nn.Module
    names: Sequence[str]
    small: Sequence[Leaf]
    large: Sequence[Leaf]


def write_export(checkpoint: Checkpoint, out: Path, encoder: Traceable, step: Traceable, *, int8: bool = False) -> None:
    """Trace the graphs of a run and write them to the folder `out`, with the manifest and the tokenizers."""
    with new_folder(out) as folder:
        encoder_spec, step_spec = export_graph(encoder, folder / ENCODER), export_graph(step, folder / STEP)
        description = manifest(checkpoint, encoder_spec, step_spec, int8=int8)
        (folder / FILE).write_text(as_json(description), encoding="utf-8")
        checkpoint.tokenizers.save(folder)
        if int8:
            quantize_weights(folder / ENCODER)
            quantize_weights(folder / STEP)


_AXES = {(4, 5): "rows", (6, 9): "source_length", (3, 6): "target_length", (4, 7): "next_target_length"}
"""Names of axes by their sizes in the two examples."""


def _spec(name: str, small: Leaf, large: Leaf) -> TensorSpec:
    if not (isinstance(small, Tensor) and isinstance(large, Tensor)):
        return TensorSpec(name, "int64", ())
    sizes = zip(small.shape, large.shape, strict=True)
    shape = (a if a == b else _AXES.get((a, b), "memory_length") for a, b in sizes)
    return TensorSpec(name, str(small.dtype).removeprefix("torch."), tuple(shape))


def export_graph(traceable: Traceable, path: Path) -> GraphSpec:
    """Trace a graph with the small example, and write it with axes that differ between the examples dynamic.

    Raises:
        CheckpointError: The model cannot be traced.
    """
    graph, names, small, large = traceable.graph, traceable.names, traceable.small, traceable.large
    outputs, large_outputs = graph(*small), graph(*large)
    inputs = list(map(_spec, names, small, large))
    # The graph is the same for smaller sizes, but PyTorch has special cases for sizes such as 1, which it must exclude.
    dims = {name: torch.export.Dim(name, min=3) for name in (*_AXES.values(), "memory_length")}
    shapes = [
        {axis: dims[size] for axis, size in enumerate(spec.shape) if isinstance(size, str)}
        if isinstance(value, Tensor)
        else torch.export.Dim.DYNAMIC
        for spec, value in zip(inputs, small, strict=True)
    ]
    with _quiet():
        try:
            program = torch.export.export(
                graph, tuple(small), dynamic_shapes=_by_parameter(graph, shapes), strict=False
            )
            # PyTorch 2.9 compiles checks of example inputs into the graph, which fail for a forward with *arguments
            program.example_inputs = None
            onnx_program = torch.onnx.export(
                program,
                input_names=list(names),
                output_names=list(outputs),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:  # whatever the tracing of a plugin's code raises
            raise CheckpointError(
                f"PyTorch cannot trace the model: {_first_line(error)}",
                where="onnx",
                fix="in the code that runs the encoder and a step, write size(0) for len(), and branch on no tensor",
            ) from error
    assert onnx_program is not None
    assert [value.name for value in onnx_program.model.graph.outputs] == list(outputs)
    graph_ir = onnx_program.model.graph
    graph_ir.metadata_props.clear()
    for node in graph_ir:
        node.metadata_props.clear()  # stack traces, a fifth of a small model
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    onnx_program.save(path)
    return GraphSpec(inputs, [_spec(name, outputs[name], large_outputs[name]) for name in outputs])


def _by_parameter(graph: nn.Module, shapes: Sequence[Any]) -> dict[str, Any]:
    """Return the shapes by the names of the parameters of `forward`; a variadic one has all that are left."""
    parameters = list(inspect.signature(graph.forward).parameters.values())[: len(shapes)]
    return {
        parameter.name: tuple(shapes[place:]) if parameter.kind is inspect.Parameter.VAR_POSITIONAL else shapes[place]
        for place, parameter in enumerate(parameters)
    }


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed", where="onnx", fix="pip install 'regard[onnx]'") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence PyTorch's remarks on operators that no model has."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
