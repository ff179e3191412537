"""The structs of steps.c and search.c: what a program of kernels consists of, and what it runs on."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

LINEAR_INT8, LINEAR_FLOAT32, ADD_NORM, NORM, ADD, ROTATE, GATED, SSRU, ATTEND_TARGET, ATTEND_SOURCE, STORE_QUERIES = (
    range(11)
)
"""The kinds of operations."""

_Fields = list[tuple[str, Any]]
_NUMBER, _POINTER = ctypes.c_int64, ctypes.c_void_p


class Input(ctypes.Structure):
    """Where the input of an operation is in the workspace."""

    _fields_: ClassVar[_Fields] = [("start", _NUMBER), ("step", _NUMBER), ("offset", _NUMBER)]


class Operation(ctypes.Structure):
    """A call of a kernel."""

    _fields_: ClassVar[_Fields] = [
        ("kind", _NUMBER),
        ("layer", _NUMBER),
        ("inputs", Input * 3),
        ("out", _NUMBER),
        ("width", _NUMBER),
        ("outputs", _NUMBER),
        ("heads", _NUMBER),
        ("groups", _NUMBER),
        ("constants", _POINTER * 4),
        ("number", ctypes.c_float),
    ]


class Layer(ctypes.Structure):
    """The cache of a layer, or its recurrent state, and the source that it attends to."""

    _fields_: ClassVar[_Fields] = [
        ("keys", _POINTER),
        ("values", _POINTER),
        ("written", _NUMBER),
        ("source_keys", _POINTER),
        ("source_values", _POINTER),
        ("key_sentence", _NUMBER),
        ("key_slot", _NUMBER),
        ("value_sentence", _NUMBER),
        ("value_slot", _NUMBER),
        ("state", _POINTER),
    ]


class Batch(ctypes.Structure):
    """The rows of a step, and what they see."""

    _fields_: ClassVar[_Fields] = [
        ("rows", _NUMBER),
        ("sentences", _NUMBER),
        ("visible", _POINTER),
        ("source_mask", _POINTER),
        ("source_slots", _NUMBER),
        ("position", _NUMBER),
        ("rotations", _POINTER),
        ("queries", _POINTER),
    ]


class Decoder(ctypes.Structure):
    """The embedding, layers and output layer of a decoder."""

    _fields_: ClassVar[_Fields] = [
        ("table", _POINTER),
        ("positions", _POINTER),
        ("scale", ctypes.c_float),
        ("width", _NUMBER),
        ("vocabulary", _NUMBER),
        ("operations", _POINTER),
        ("count", _NUMBER),
        ("floats", _NUMBER),
        ("output", _POINTER),
        ("rotations", _POINTER),
    ]


class Search(ctypes.Structure):
    """The state of a decoder in a search."""

    _fields_: ClassVar[_Fields] = [
        ("layers", _POINTER),
        ("num_layers", _NUMBER),
        ("rows", _NUMBER),
        ("sentences", _NUMBER),
        ("position", _NUMBER),
        ("visible", _POINTER),
        ("spare", _POINTER),
        ("source_mask", _POINTER),
        ("source_slots", _NUMBER),
        ("embedded", _POINTER),
        ("queries", _POINTER),
        ("features", _POINTER),
    ]


class Beam(ctypes.Structure):
    """The state of a beam search."""

    _fields_: ClassVar[_Fields] = [
        ("sentences", _NUMBER),
        ("size", _NUMBER),
        ("width", _NUMBER),
        ("top", _NUMBER),
        ("enough", ctypes.c_double),
        ("total", _POINTER),
        ("token", _POINTER),
        ("parent", _POINTER),
        ("beam", _POINTER),
        ("row", _POINTER),
        ("score", _POINTER),
        ("end_total", _POINTER),
        ("end_token", _POINTER),
        ("end_parent", _POINTER),
        ("ended", _POINTER),
        ("is_done", _POINTER),
        ("limit", _POINTER),
        ("limit_divisor", _POINTER),
    ]
