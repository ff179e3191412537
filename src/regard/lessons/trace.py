"""The steps of a Transformer as outputs of one ONNX graph, for lesson 6: `trace.onnx` next to the graphs of a model.

The graph decodes a whole target at once, as in training. Names of its outputs are those of the parts that compute them:
`encoder.0.attention` is what the attention of the first encoder layer returns, `encoder.0.attended` the same after add
and norm. Layers are counted from 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.nn.attention_recorder import record_attention
from regard.special_tokens import EOS

TRACE = "trace.onnx"
ARCHITECTURE = "transformer2017"
# Steps of a layer: the output's name, the submodule, and whether it is the submodule's output or its input, which is
# the norm before it.
ENCODER_STEPS = (
    ("attention", "attention", True), ("attended", "ff", False), ("inner", "ff.1", True), ("ff", "ff", True),
)  # fmt: skip
DECODER_STEPS = (
    ("attention", "attention", True), ("attended", "source_attention", False), ("source", "source_attention", True),
    ("read", "ff", False), ("inner", "ff.1", True), ("ff", "ff", True),
)  # fmt: skip
STATES = ("attended", "read", "output")  # of a decoder layer: what a next layer, or the output layer, could read


class TraceGraph(nn.Module):
    """A source (1, S) and a target (1, T) that begins with BOS to the values of all steps, without the first axis.

    Outputs are (S or T, size), weights of attention (H, S or T, S or T), and logits (T, V): `logits` of the model, and
    `lens.NAME` what its output layer makes of another state of the decoder.
    """

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the values by name."""
        model: Any = self.model
        values: dict[str, Tensor] = {
            f"{side}.embedded": stack.embedding.table(tokens) * stack.embedding.scale
            for side, stack, tokens in (("encoder", model.encoder, source), ("decoder", model.decoder, target))
        }
        with torch.no_grad(), record_attention() as recorder, _recorded(model, values):
            features = model.decoder(target, model.encode(source), with_attention=True).features
        layers = len(model.encoder.layers)
        weights = {f"encoder.{layer}.weights": recorder.self_attention[layer] for layer in range(layers)}
        for layer, (to_target, to_source) in enumerate(
            zip(recorder.self_attention[layers:], recorder.source_attention, strict=True)
        ):
            weights |= {f"decoder.{layer}.weights": to_target, f"decoder.{layer}.source_weights": to_source}
        lens = {
            f"lens.{name}": model.decoder.readout(value)
            for name, value in values.items()
            if name == "decoder.input" or (name.startswith("decoder.") and name.rpartition(".")[2] in STATES)
        }
        outputs = values | weights | lens | {"logits": model.decoder.readout(features)}
        return {name: value.squeeze(0).clone() for name, value in outputs.items()}


@contextmanager
def _recorded(model: Any, values: dict[str, Tensor]) -> Iterator[None]:
    """Record what the parts of a Transformer compute inside the context."""
    handles = []
    for side, steps in (("encoder", ENCODER_STEPS), ("decoder", DECODER_STEPS)):
        stack = getattr(model, side)
        recorded = [("input", stack.embedding, True)]
        for number, layer in enumerate(stack.layers):
            recorded += [(f"{number}.{name}", layer.get_submodule(part), at_end) for name, part, at_end in steps]
            recorded += [(f"{number}.output", layer, True)]
        for name, module, at_end in recorded:
            handles.append(_record(module, f"{side}.{name}", values, at_end=at_end))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _record(module: nn.Module, name: str, values: dict[str, Tensor], *, at_end: bool) -> Any:
    """Store a module's output, or its first input, under a name."""
    if at_end:
        return module.register_forward_hook(lambda _, inputs, output: values.update({name: output}))
    return module.register_forward_pre_hook(lambda _, inputs: values.update({name: inputs[0]}))


def add_trace(checkpoint: Any, folder: Path) -> None:
    """Add the graph to an exported Transformer, and describe it in the manifest. Other architectures have none.

    Raises:
        CheckpointError: The model cannot be traced.
        ConfigError: A package that the export needs is not installed.
    """
    from regard.interop.onnx.export import Traceable, export_graph, frozen_copy
    from regard.interop.onnx.manifest import FILE, as_json

    config = checkpoint.config.model
    if config.architecture != ARCHITECTURE:
        return
    model = frozen_copy(checkpoint)
    small, large = (
        [torch.full((1, size), EOS) for size in sizes] for sizes in ((6, 3), (9, 6))
    )  # sources and targets of other lengths show which axes have no fixed size
    spec = export_graph(Traceable(TraceGraph(model), ["source", "target"], small, large), folder / TRACE)
    path = folder / FILE
    manifest = json.loads(path.read_text(encoding="utf-8"))
    sizes = {
        "encoder_layers": config.encoder_layers, "decoder_layers": config.decoder_layers, "heads": config.num_heads,
        "size": config.hidden_size, "ffn_size": config.ffn_size, "vocabulary": model.decoder.vocabulary_size,
        "activation": config.activation,
    }  # fmt: skip
    manifest["trace"] = {"file": TRACE, "sizes": sizes, "outputs": [output.name for output in spec.outputs]}
    path.write_text(as_json(manifest), encoding="utf-8")
