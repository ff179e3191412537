"""The weights of transformer2017 under the names of Hugging Face's MarianMT, both ways.

Marian's table of positions has all sines before all cosines; the paper's, and ours, has them by
turns. So the axes along which the two models differ, those of the residual stream, are reordered:
the models are then the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.models.transformer2017 import Config

RESIDUAL = "residual"


@dataclass(frozen=True)
class Tie:
    """A weight of ours, and those of Marian's that are its parts, one behind the other along the first axis.

    axes: what each axis of a part runs along: residual, heads, ff, source or target.
    """

    ours: str
    theirs: tuple[str, ...]
    axes: tuple[str, ...]


def ties(config: Config, *, joint: bool) -> list[Tie]:
    """For every weight but the output's bias."""
    tables = ("model.shared", "model.shared") if joint else ("model.encoder.embed_tokens", "model.decoder.embed_tokens")
    found = [
        Tie(f"{stack}.embedding.table.weight", (f"{table}.weight",), (side, RESIDUAL))
        for stack, side, table in zip(("encoder", "decoder"), ("source", "target"), tables, strict=True)
    ]
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for number in range(layers):
            found += _layer(f"{stack}.layers.{number}", attends=stack == "decoder")
    return found


def _layer(layer: str, *, attends: bool) -> Iterator[Tie]:
    yield from _attention(f"{layer}.attention", f"model.{layer}.self_attn")
    yield from _norm(f"{layer}.attention_norm", f"model.{layer}.self_attn_layer_norm")
    if attends:
        yield from _attention(f"{layer}.source_attention", f"model.{layer}.encoder_attn")
        yield from _norm(f"{layer}.source_norm", f"model.{layer}.encoder_attn_layer_norm")
    yield from _linear(f"{layer}.ff.0", [f"model.{layer}.fc1"], ("ff", RESIDUAL))
    yield from _linear(f"{layer}.ff.2", [f"model.{layer}.fc2"], (RESIDUAL, "ff"))
    yield from _norm(f"{layer}.ff_norm", f"model.{layer}.final_layer_norm")


def _attention(ours: str, theirs: str) -> Iterator[Tie]:
    yield from _linear(f"{ours}.query", [f"{theirs}.q_proj"], ("heads", RESIDUAL))
    yield from _linear(f"{ours}.key_value", [f"{theirs}.k_proj", f"{theirs}.v_proj"], ("heads", RESIDUAL))
    yield from _linear(f"{ours}.output", [f"{theirs}.out_proj"], (RESIDUAL, "heads"))


def _linear(ours: str, theirs: Iterable[str], axes: tuple[str, str]) -> Iterator[Tie]:
    theirs = tuple(theirs)
    yield Tie(f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), axes)
    yield Tie(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs), axes[:1])


def _norm(ours: str, theirs: str) -> Iterator[Tie]:
    return (Tie(f"{ours}.{part}", (f"{theirs}.{part}",), (RESIDUAL,)) for part in ("weight", "bias"))


def to_marian(tie: Tie, weight: Tensor) -> dict[str, Tensor]:
    """A weight of ours as Marian's."""
    parts = weight.chunk(len(tie.theirs))
    order = torch.arange(_residual(tie, parts[0])).view(-1, 2).t().flatten()  # 0, 2, 4 ..., 1, 3, 5 ...
    return {name: _reorder(tie, part, order) for name, part in zip(tie.theirs, parts, strict=True)}


def from_marian(tie: Tie, given: Mapping[str, Tensor]) -> Tensor:
    """Marian's weights as one of ours."""
    parts = [given[name] for name in tie.theirs]
    order = torch.arange(_residual(tie, parts[0])).view(2, -1).t().flatten()  # 0, d/2, 1, d/2 + 1 ...
    return torch.cat([_reorder(tie, part, order) for part in parts])


def _residual(tie: Tie, part: Tensor) -> int:
    return part.shape[tie.axes.index(RESIDUAL)] if RESIDUAL in tie.axes else 0


def _reorder(tie: Tie, part: Tensor, order: Tensor) -> Tensor:
    for axis, along in enumerate(tie.axes):
        if along == RESIDUAL:
            part = part.index_select(axis, order)
    return part
