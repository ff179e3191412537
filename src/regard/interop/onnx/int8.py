"""Store the matrices of a graph in 8 bits.

Only weights are quantized, each output of a matrix with its own scale. Activations stay in float32: ONNX's operators
for both quantize a whole batch with one scale, so that a sentence would depend on its batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1024  # values; smaller matrices stay in float32


def quantize_weights(path: Path, smallest: int = SMALLEST) -> None:
    """Replace the float32 matrices in the graph at `path` by int8, followed by DequantizeLinear."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    multiplied = {node.input[1] for node in graph.node if node.op_type == "MatMul"}  # (inputs, outputs)
    new_nodes: list[Any] = []
    for matrix in [*graph.initializer]:
        weight = onnx.numpy_helper.to_array(matrix)
        if weight.dtype != np.float32 or weight.ndim < 2 or weight.size < smallest:
            continue
        axis = weight.ndim - 1 if matrix.name in multiplied else 0
        quantized, scale = _quantize(weight, axis)
        names = f"{matrix.name}.int8", f"{matrix.name}.scale"
        graph.initializer.remove(matrix)
        graph.initializer.append(onnx.numpy_helper.from_array(quantized, names[0]))
        graph.initializer.append(onnx.numpy_helper.from_array(scale, names[1]))
        new_nodes.append(onnx.helper.make_node("DequantizeLinear", names, [matrix.name], axis=axis))
    nodes = [*new_nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)


def _quantize(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 weights, and a scale for each index of `axis`."""
    reduced = tuple(index for index in range(weight.ndim) if index != axis)
    scale = np.abs(weight).max(reduced, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.round(weight / scale).astype(np.int8), scale.reshape(-1).astype(np.float32)
