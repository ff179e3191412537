"""How far information travels inside an architecture: the hops from a source word to another one, and to a target word.

A hop moves information from one position to another: a step of a recurrent network, an offset inside the window of a
convolution, a weight of attention. Everything else (embeddings, feed-forward layers, residual connections, the layer
above) stays at its position and is no hop.

Matrices hold the number of hops from a position (row) to a position (column), and infinity where no path leads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Paths:
    """The longest of the shortest paths.

    Attributes:
        hops: The hops between the pair of words that is furthest apart, of those that a path connects.
        reached: The share of pairs that a path connects.
    """

    hops: int
    reached: float


def source_paths(config: Any, length: int) -> Paths:
    """Return the paths between two words of a source, in either direction, inside the encoder of an architecture."""
    hops = _encoder(config, length)[:length, :length]
    return _longest(np.minimum(hops, hops.T)[np.triu_indices(length, 1)])


def target_paths(config: Any, length: int) -> Paths:
    """Return the paths from a source word to a target word, with a target of the same length."""
    return _longest(target_hops(config, length))


def target_hops(config: Any, length: int) -> Array:
    """Return the hops from each word of a source to each word of a target of the same length."""
    encoder = _encoder(config, length)[:length]
    hops = _then(encoder, _handover(config, encoder.shape[1], length))
    for layer in _decoder_layers(config, length):
        hops = _then(hops, layer)
    return hops


def _longest(hops: Array) -> Paths:
    reached = np.isfinite(hops)
    return Paths(int(hops[reached].max()), float(reached.mean()))


def _encoder(config: Any, length: int) -> Array:
    match config.architecture:
        case "cho2014":
            return _recurrent(range(length))
        case "sutskever2014":  # the words from last to first, then the end token
            return _recurrent([*range(length - 2, -1, -1), length - 1])
        case "luong2015":
            return _recurrent(range(length)[:: -1 if config.reverse_source else 1])
        case "bahdanau2014" | "gnmt2016":  # in both directions
            return np.abs(np.subtract.outer(np.arange(length), np.arange(length))).astype(float)
        case "bytenet2016":
            columns = math.ceil(config.unfold_factor * length) + config.unfold_extra
            return _stack([_convolution(columns, *layer) for layer in _dilated(config, config.encoder_layers)])
        case "convs2s2017":
            return _stack([_convolution(length, kernel, 1) for _, kernel in config.encoder_convolutions])
        case "transformer2017" | "modern":
            return _attention(length, length) - np.eye(length)
    raise ValueError(f"no paths are known of {config.architecture}")


def _handover(config: Any, columns: int, length: int) -> Array:
    """Return the hops from what the encoder has computed (columns) to the positions of the decoder (length)."""
    hops = np.full((columns, length), math.inf)
    match config.architecture:
        case "cho2014":  # the last state is an input of every step
            hops[-1] = 1
        case "sutskever2014":  # the last state is the first one of the decoder
            hops[-1, 0] = 1
        case "bytenet2016":  # a column is an input at its position
            np.fill_diagonal(hops, 0)
        case _:
            hops = _attention(columns, length)
    return hops


def _decoder_layers(config: Any, length: int) -> list[Array]:
    match config.architecture:
        case "bytenet2016":
            layers = _dilated(config, config.decoder_layers)
            return [_convolution(length, *layer, is_causal=True) for layer in layers]
        case "sutskever2014":
            return [_recurrent(range(length))]
    return []  # every position has a path of one hop, which no layer makes shorter


def _recurrent(order: Sequence[int]) -> Array:
    """Return the hops of a recurrent network that reads positions in this order."""
    reading = np.argsort(order)
    steps = np.subtract.outer(reading, reading).T.astype(float)
    steps[steps < 0] = math.inf
    return steps


def _attention(rows: int, columns: int) -> Array:
    return np.ones((rows, columns))


def _convolution(length: int, kernel: int, dilation: int, *, is_causal: bool = False) -> Array:
    """Return the hops of a convolution, with its residual connection: at most one."""
    positions = np.arange(length)
    distance = np.subtract.outer(positions, positions).T  # from row to column
    side = kernel - 1 if is_causal else (kernel - 1) // 2
    is_read = (distance % dilation == 0) & (np.abs(distance) <= side * dilation)
    if is_causal:
        is_read &= distance >= 0
    return np.where(distance == 0, 0, np.where(is_read, 1, math.inf))


def _dilated(config: Any, layers: int) -> list[tuple[int, int]]:
    """Return the kernel and the dilation of each layer of ByteNet."""
    return [(config.kernel_size, 2 ** (number % config.num_dilations)) for number in range(layers)]


def _stack(layers: Sequence[Array]) -> Array:
    hops = layers[0]
    for layer in layers[1:]:
        hops = _then(hops, layer)
    return hops


def _then(first: Array, second: Array) -> Array:
    """Return the fewest hops through one matrix and then the other."""
    hops = np.full((first.shape[0], second.shape[1]), math.inf)
    for middle in range(first.shape[1]):
        np.minimum(hops, first[:, middle, None] + second[None, middle], out=hops)
    return hops
