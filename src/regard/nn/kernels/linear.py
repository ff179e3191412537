"""Linear layers by a native kernel, with weights in the order in which it reads them."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.nn.kernels import operations
from regard.nn.kernels.native import KernelCall, call_listener, kernels
from regard.nn.kernels.operations import Operation
from regard.nn.kernels.parallel import run_in_parallel

ZERO = 128  # as in int8.c: the unsigned byte that represents 0
PARALLEL = 2**25  # products of numbers: fewer are computed in less time than it takes to divide them among threads


class LinearInt8:
    """x W^T + b for W (O, I) in bytes, I a multiple of UNIT: see int8.c."""

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor) -> None:
        self.outputs, self.inputs = weight.shape
        self.kernels = kernels()
        panel, depth = self.kernels.int8_panel(), self.kernels.int8_depth()
        padding = -self.outputs % panel
        padded = F.pad(weight, (0, 0, 0, padding))
        panels = padded.view(-1, panel, self.inputs // depth, depth).transpose(1, 2).contiguous()
        shift = -ZERO * weight.sum(1, dtype=torch.int32)
        self._tensors = (panels, *(F.pad(part, (0, padding)).contiguous() for part in (shift, scale, bias)))
        self.pointers = tuple(tensor.data_ptr() for tensor in self._tensors)
        self.minimum = -math.inf  # smaller outputs are raised to it

    @property
    def operation(self) -> Operation:
        """The layer as an operation, without places of input and output."""
        return _operation(operations.LINEAR_INT8, self.inputs, self.outputs, self.minimum, self.pointers)

    def __deepcopy__(self, memo: object) -> LinearInt8:
        return self  # the tensors never change

    def select_outputs(self, outputs: Tensor) -> LinearInt8:
        """Return a layer with only these outputs (U,)."""
        panels, _, *scale_and_bias = self._tensors  # (O / panel, I / depth, panel, depth)
        panel = panels.size(2)
        weight = panels[outputs // panel, :, outputs % panel].flatten(1)  # (U, I)
        selected = LinearInt8(weight, *(part.index_select(0, outputs) for part in scale_and_bias))
        selected.minimum = self.minimum
        return selected

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        x = x.contiguous()
        out = torch.empty(*x.shape[:-1], self.outputs)
        self.kernels.linear_int8(
            *(x.data_ptr(), *self.pointers, out.data_ptr()),
            *(x.numel() // self.inputs, self.inputs, self.outputs, self.minimum),
        )
        if (listener := call_listener.get()) is not None:
            listener(KernelCall(operations.LINEAR_INT8, (x,), out, self._tensors, self.minimum))
        return out


class LinearFloat32:
    """x W^T + b for W (O, I) in float32. The outputs of a row do not depend on other rows: see float32.c."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.outputs, self.inputs = weight.shape
        self.kernels = kernels()
        panel = self.kernels.float32_panel()
        padding = -self.outputs % panel
        panels = F.pad(weight, (0, 0, 0, padding)).view(-1, panel, self.inputs).transpose(1, 2).contiguous()
        self._tensors = (panels, F.pad(bias, (0, padding)).contiguous())
        self.pointers = tuple(tensor.data_ptr() for tensor in self._tensors)
        self.minimum = -math.inf  # smaller outputs are raised to it

    @property
    def operation(self) -> Operation:
        """The layer as an operation, without places of input and output."""
        return _operation(operations.LINEAR_FLOAT32, self.inputs, self.outputs, self.minimum, self.pointers)

    def __deepcopy__(self, memo: object) -> LinearFloat32:
        return self  # the tensors never change

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.weight, self.bias, self.minimum)  # another process may have other kernels

    @property
    def weight(self) -> Tensor:
        """W, copied from the panels."""
        return self._tensors[0].transpose(1, 2).flatten(0, 1)[: self.outputs]

    @property
    def bias(self) -> Tensor:
        """b."""
        return self._tensors[1][: self.outputs]

    def select_outputs(self, outputs: Tensor) -> LinearFloat32:
        """Return a layer with only these outputs (U,)."""
        panels, bias = self._tensors  # (O / panel, I, panel)
        panel = panels.size(2)
        selected = LinearFloat32(panels[outputs // panel, :, outputs % panel], bias.index_select(0, outputs))
        selected.minimum = self.minimum
        return selected

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        x = x.contiguous()
        rows = x.numel() // self.inputs
        out = torch.empty(*x.shape[:-1], self.outputs)
        if rows * self.inputs * self.outputs < PARALLEL:
            self._run(x.data_ptr(), out.data_ptr(), 0, rows)
        else:
            run_in_parallel(rows, lambda first, end: self._run(x.data_ptr(), out.data_ptr(), first, end))
        if (listener := call_listener.get()) is not None:
            listener(KernelCall(operations.LINEAR_FLOAT32, (x,), out, self._tensors, self.minimum))
        return out

    def _run(self, x: int, out: int, first: int, end: int) -> None:
        """Compute the rows from `first` to `end` of matrices at these addresses."""
        x, out = x + 4 * first * self.inputs, out + 4 * first * self.outputs
        self.kernels.linear_float32(
            *(x, *self.pointers, out, end - first, self.inputs, self.outputs, self.minimum),
        )


def _unpickle(weight: Tensor, bias: Tensor, minimum: float) -> LinearFloat32:
    layer = LinearFloat32(weight, bias)
    layer.minimum = minimum
    return layer


def _operation(kind: int, inputs: int, outputs: int, minimum: float, pointers: tuple[int, ...]) -> Operation:
    operation = Operation(kind=kind, width=inputs, outputs=outputs, number=minimum)
    operation.constants[: len(pointers)] = pointers
    return operation
