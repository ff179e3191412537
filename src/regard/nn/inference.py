"""A model made ready for search alone: what training computes anew at each step is computed once."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from regard.nn.convolution import WeightNormLinear
from regard.nn.int8 import NativeLinear, int8_linear, is_worthwhile
from regard.nn.output_layer import TiedLinear, weight_and_bias

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def freeze_for_inference(model: M, *, int8: bool = False) -> M:
    """The same model with the same weights, to be used and not to be trained; with int8, its large matrices in 8 bits.

    Other weights are shared with the model that was given, which stays as it is. Embeddings, norms and the inside
    of torch.nn.LSTM are in floating point always. Raises ConfigError where there are no 8-bit kernels.
    """
    shared = [*model.parameters(), *model.buffers()]
    ready = copy.deepcopy(model, {id(tensor): tensor for tensor in shared}).eval()
    for parent in [*ready.modules()]:
        for name, module in [*parent.named_children()]:
            if isinstance(module, (nn.Linear, TiedLinear, WeightNormLinear)):
                setattr(parent, name, _fixed(module, int8))
        if isinstance(parent, nn.Sequential):
            _join(parent)
    return ready


def _join(layers: nn.Sequential) -> None:
    """Let our 8-bit products do the ReLU behind them."""
    for place in reversed(range(len(layers) - 1)):
        layer = layers[place]
        if isinstance(layer, NativeLinear) and isinstance(layers[place + 1], nn.ReLU):
            layer.rectified()
            del layers[place + 1]


def _fixed(layer: nn.Linear | TiedLinear | WeightNormLinear, int8: bool) -> nn.Module:
    weight, bias = weight_and_bias(layer)
    if int8 and is_worthwhile(weight):
        return int8_linear(weight, bias)
    if not isinstance(layer, WeightNormLinear):
        return layer
    plain: nn.Linear = nn.utils.skip_init(nn.Linear, weight.size(1), weight.size(0))
    plain.weight, plain.bias = nn.Parameter(weight, requires_grad=False), layer.bias
    return plain
