"""Lists of layers in [model]: sizes of convolutions, and numbers of layers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from regard.config.schema import MAX_KERNEL, MAX_LAYERS, MAX_WIDTH


def _as_convolutions(value: Any) -> Any:
    """Turn a list of pairs, as in TOML, into a tuple of tuples."""
    if not isinstance(value, (list, tuple)) or not all(_is_convolution(pair) for pair in value):
        raise ValueError(
            f"each layer is [size, kernel size], whole numbers from 1 to {MAX_WIDTH:,} and {MAX_KERNEL:,}: "
            "for example [[256, 3], [256, 3]]"
        )
    return tuple(tuple(pair) for pair in value)


def _is_convolution(pair: Any) -> bool:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(type(number) is int for number in pair):
        return False
    size, kernel_size = pair
    return bool(0 < size <= MAX_WIDTH and 0 < kernel_size <= MAX_KERNEL)


def _as_layer_numbers(value: Any) -> Any:
    """Turn a list of numbers, as in TOML, into a tuple."""
    if value is None:
        return None
    is_list = isinstance(value, (list, tuple)) and all(type(number) is int and number > 0 for number in value)
    if not is_list or not value or list(value) != sorted(set(value)):
        raise ValueError("give the numbers of layers in ascending order, such as [1, 3]; 1 is the lowest layer")
    return tuple(value)


Convolutions = Annotated[
    tuple[tuple[int, int], ...], BeforeValidator(_as_convolutions), Field(min_length=1, max_length=MAX_LAYERS)
]
"""Each layer's size and kernel size, from the bottom up."""

LayerNumbers = Annotated[tuple[int, ...] | None, BeforeValidator(_as_layer_numbers)]
"""Numbers of layers in ascending order, counted from 1, from the bottom up; None for all layers."""
