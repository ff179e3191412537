"""Convert the weights of transformer2017 to and from the names and the layout of Hugging Face's MarianMT.

Marian's position table has all sines before all cosines; regard interleaves them, as the paper does. The conversion
therefore permutes the axes of the residual stream, after which both models compute the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.models.transformer2017 import Config

RESIDUAL = "residual"


@dataclass(frozen=True)
class WeightMapping:
    """How one weight of regard maps to one or more weights of Marian.

    Attributes:
        name: The name in regard.
        marian_names: The names in Marian. Concatenated along the first axis, these weights make up the one in regard.
        axes: The meaning of each axis: residual, heads, ff, source or target.
    """

    name: str
    marian_names: tuple[str, ...]
    axes: tuple[str, ...]


def weight_mappings(config: Config, *, joint: bool) -> list[WeightMapping]:
    """Return the mapping of every weight except the output bias."""
    tables = ("model.shared", "model.shared") if joint else ("model.encoder.embed_tokens", "model.decoder.embed_tokens")
    mappings = [
        WeightMapping(f"{stack}.embedding.table.weight", (f"{table}.weight",), (side, RESIDUAL))
        for stack, side, table in zip(("encoder", "decoder"), ("source", "target"), tables, strict=True)
    ]
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for number in range(layers):
            mappings += _layer(f"{stack}.layers.{number}", has_cross_attention=stack == "decoder")
    return mappings


def _layer(layer: str, *, has_cross_attention: bool) -> Iterator[WeightMapping]:
    yield from _attention(f"{layer}.attention", f"model.{layer}.self_attn")
    yield from _norm(f"{layer}.attention_norm", f"model.{layer}.self_attn_layer_norm")
    if has_cross_attention:
        yield from _attention(f"{layer}.source_attention", f"model.{layer}.encoder_attn")
        yield from _norm(f"{layer}.source_norm", f"model.{layer}.encoder_attn_layer_norm")
    yield from _linear(f"{layer}.ff.0", [f"model.{layer}.fc1"], ("ff", RESIDUAL))
    yield from _linear(f"{layer}.ff.2", [f"model.{layer}.fc2"], (RESIDUAL, "ff"))
    yield from _norm(f"{layer}.ff_norm", f"model.{layer}.final_layer_norm")


def _attention(name: str, marian_name: str) -> Iterator[WeightMapping]:
    yield from _linear(f"{name}.query", [f"{marian_name}.q_proj"], ("heads", RESIDUAL))
    yield from _linear(f"{name}.key_value", [f"{marian_name}.k_proj", f"{marian_name}.v_proj"], ("heads", RESIDUAL))
    yield from _linear(f"{name}.output", [f"{marian_name}.out_proj"], (RESIDUAL, "heads"))


def _linear(name: str, marian_names: Iterable[str], axes: tuple[str, str]) -> Iterator[WeightMapping]:
    marian_names = tuple(marian_names)
    yield WeightMapping(f"{name}.weight", tuple(f"{part}.weight" for part in marian_names), axes)
    yield WeightMapping(f"{name}.bias", tuple(f"{part}.bias" for part in marian_names), axes[:1])


def _norm(name: str, marian_name: str) -> Iterator[WeightMapping]:
    return (WeightMapping(f"{name}.{part}", (f"{marian_name}.{part}",), (RESIDUAL,)) for part in ("weight", "bias"))


def to_marian(mapping: WeightMapping, weight: Tensor) -> dict[str, Tensor]:
    """Return Marian's weights for one weight of regard."""
    parts = weight.chunk(len(mapping.marian_names))
    order = torch.arange(_residual_size(mapping, parts[0])).view(-1, 2).t().flatten()  # 0, 2, 4 ..., 1, 3, 5 ...
    return {name: _reorder(mapping, part, order) for name, part in zip(mapping.marian_names, parts, strict=True)}


def from_marian(mapping: WeightMapping, weights: Mapping[str, Tensor]) -> Tensor:
    """Return one weight of regard, given Marian's weights by name."""
    parts = [weights[name] for name in mapping.marian_names]
    order = torch.arange(_residual_size(mapping, parts[0])).view(2, -1).t().flatten()  # 0, d/2, 1, d/2 + 1 ...
    return torch.cat([_reorder(mapping, part, order) for part in parts])


def _residual_size(mapping: WeightMapping, part: Tensor) -> int:
    return part.shape[mapping.axes.index(RESIDUAL)] if RESIDUAL in mapping.axes else 0


def _reorder(mapping: WeightMapping, part: Tensor, order: Tensor) -> Tensor:
    for axis, axis_name in enumerate(mapping.axes):
        if axis_name == RESIDUAL:
            part = part.index_select(axis, order)
    return part
