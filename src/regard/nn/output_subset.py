"""Linear layers with some of their outputs alone, for a search that may say few of all tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from regard.nn.convolution import WeightNormLinear
from regard.nn.int8 import NativeLinear, OneDnnLinear
from regard.nn.tied import TiedLinear


def weight_and_bias(layer: nn.Linear | TiedLinear | WeightNormLinear) -> tuple[Tensor, Tensor | None]:
    """W (O, I) and b (O,) of a linear layer in floating point."""
    if isinstance(layer, WeightNormLinear):
        return layer.weight(), layer.bias
    return layer.weight, None if isinstance(layer, TiedLinear) else layer.bias


def narrowed(layer: nn.Module, outputs: Tensor) -> Callable[[Tensor], Tensor]:
    """The same product for some of a linear layer's outputs (U,) alone: (..., I) to (..., U).

    Their weights are copied, once. Raises TypeError for what is no linear layer.
    """
    match layer:
        case NativeLinear() | OneDnnLinear():
            return layer.narrowed(outputs)
        case nn.Linear() | TiedLinear() | WeightNormLinear():
            weight, bias = weight_and_bias(layer)
            some = None if bias is None else bias.index_select(0, outputs)
            return partial(F.linear, weight=weight.index_select(0, outputs), bias=some)
    raise TypeError(f"{type(layer).__name__} is no linear layer that can be narrowed")
