"""Prepare a model for inference: compute once what training computes at every step."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from regard.contract import Seq2Seq
from regard.nn.convolution import WeightNormLinear
from regard.nn.int8 import NativeLinear, int8_linear, is_worthwhile
from regard.nn.kernels import native
from regard.nn.output_layer import TiedLinear, weight_and_bias
from regard.nn.packed_linear import PackedLinear, can_pack
from regard.nn.transformer import TransformerDecoder
from regard.special_tokens import EOS

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def freeze_for_inference(model: M, *, int8: bool = False) -> M:
    """Return a copy of the model that computes the same and cannot be trained.

    Weights are shared with the given model, which does not change.

    Args:
        model: The model.
        int8: Store large matrices in 8 bits. Embeddings, norms and torch.nn.LSTM stay in floating point.

    Raises:
        ConfigError: int8 is set, and this machine has no exact 8-bit products.
    """
    shared = [*model.parameters(), *model.buffers()]
    frozen = copy.deepcopy(model, {id(tensor): tensor for tensor in shared}).eval()
    for parent in [*frozen.modules()]:
        for name, module in [*parent.named_children()]:
            if isinstance(module, (nn.Linear, TiedLinear, WeightNormLinear)):
                setattr(parent, name, _freeze(module, int8))
        if isinstance(parent, nn.Sequential):
            _fuse_relu(parent)
    if isinstance(frozen, Seq2Seq) and native.supports_inference(next(frozen.parameters())):
        _record_step(frozen)
    return frozen


def _record_step(model: Seq2Seq) -> None:
    """Let a Transformer decoder record its step, with any sentences as source."""
    if isinstance(model.decoder, TransformerDecoder):
        model.decoder.record_step(model.encode(torch.full((2, 3), EOS)))


def _fuse_relu(layers: nn.Sequential) -> None:
    """Let native layers apply the ReLU that follows them."""
    for index in reversed(range(len(layers) - 1)):
        layer = layers[index]
        if isinstance(layer, (NativeLinear, PackedLinear)) and isinstance(layers[index + 1], nn.ReLU):
            layer.fuse_relu()
            del layers[index + 1]


def _freeze(layer: nn.Linear | TiedLinear | WeightNormLinear, int8: bool) -> nn.Module:
    weight, bias = weight_and_bias(layer)
    if int8 and is_worthwhile(weight):
        return int8_linear(weight, bias)
    if can_pack(weight):
        return PackedLinear(weight, bias)
    if not isinstance(layer, WeightNormLinear):
        return layer
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, weight.size(1), weight.size(0))
    linear.weight, linear.bias = nn.Parameter(weight, requires_grad=False), layer.bias
    return linear
