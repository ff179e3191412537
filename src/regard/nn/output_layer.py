"""Output layers: features to logits, over the whole vocabulary or a subset of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract import Decoder, Readout, State
from regard.nn.convolution import WeightNormLinear
from regard.nn.int8 import NativeLinear, OneDnnLinear
from regard.nn.packed_linear import PackedLinear

StateT = TypeVar("StateT", bound=State)


class TiedLinear(nn.Module):
    """x E^T, where E (V, D) is the table of an embedding (Press and Wolf 2017). It has no parameters."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self._table = (table,)  # in a tuple, so that the table is not registered as a submodule

    @property
    def weight(self) -> Tensor:
        """E (V, D)."""
        return self._table[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., V)."""
        return F.linear(x, self.weight)

    if TYPE_CHECKING:
        __call__ = forward


class OutputLayerDecoder(Decoder[StateT]):
    """A decoder whose logits are those of its linear layer `output`."""

    def readout(self, features: Tensor) -> Tensor:
        """Return the logits (..., V) of features (..., F)."""
        logits: Tensor = self.output(features)
        return logits

    def readout_subset(self, tokens: Tensor) -> Readout:
        """Return a function that computes only the logits of `tokens` (U,): features (..., F) to (..., U)."""
        return select_outputs(self.output, tokens)


def weight_and_bias(layer: nn.Linear | TiedLinear | WeightNormLinear) -> tuple[Tensor, Tensor | None]:
    """Return W (O, I) and b (O,) of a floating-point linear layer."""
    if isinstance(layer, WeightNormLinear):
        return layer.weight(), layer.bias
    return layer.weight, None if isinstance(layer, TiedLinear) else layer.bias


def select_outputs(layer: nn.Module, outputs: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that computes only some outputs (U,) of a linear layer: (..., I) to (..., U).

    The weights of these outputs are copied once.

    Raises:
        TypeError: The layer is not linear.
    """
    match layer:
        case NativeLinear() | OneDnnLinear() | PackedLinear():
            return layer.select_outputs(outputs)
        case nn.Linear() | TiedLinear() | WeightNormLinear():
            weight, bias = weight_and_bias(layer)
            selected_bias = None if bias is None else bias.index_select(0, outputs)
            return partial(F.linear, weight=weight.index_select(0, outputs), bias=selected_bias)
    raise TypeError(f"expected a linear layer, got {type(layer).__name__}")
