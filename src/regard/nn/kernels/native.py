"""Native kernels in C for float32 on a CPU. Without them, PyTorch computes the same.

The kernels are compiled for several levels of CPU: on x86-64 v4 (AVX-512 with VNNI), v3vnni (AVX2 with AVX-VNNI), v3
(AVX2 and FMA) and plain (portable C), on arm64 dotprod and neon, elsewhere plain. The best level that this CPU can run
is chosen at the first use. A wheel ships it compiled; in a source checkout it is built by the machine's C compiler,
unless an earlier process has built it. It is checked against known answers. The environment variable REGARD_KERNELS
forces a level by its name; REGARD_KERNELS=0 turns the kernels off.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from regard.errors import ConfigError
from regard.nn.kernels import build, check, operations
from regard.nn.kernels.build import BuildError
from regard.nn.kernels.levels import CPU, LEVELS, SLOW
from regard.special_tokens import EOS

MAX_ROWS = 32  # per sentence; for more, PyTorch's attention is faster
UNIT = 16  # as in lanes.h
MAX_RANKS = 64
NOT_FINITE, OUT_OF_MEMORY = -1, -2  # results of beam_step
MAX_COLUMNS = 256  # for more, the attention weights that training keeps need too much memory

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "best_tokens": [_POINTER, *[_NUMBER] * 4, *[_POINTER] * 2],
    "best_continuations": [*[_POINTER] * 4, *[_NUMBER] * 5, *[_POINTER] * 4],
    "attend": [*[_POINTER] * 5, *[_NUMBER] * 12],
    "attention": [*[_POINTER] * 7, *[_NUMBER] * 6, ctypes.c_int],
    "attention_gradient": [*[_POINTER] * 10, *[_NUMBER] * 7],
    "add_norm": [*[_POINTER] * 4, ctypes.c_float, _POINTER, *[_NUMBER] * 2],
    "drop_add_norm": [
        *[_POINTER] * 4,
        ctypes.c_float,
        *[_POINTER] * 4,
        *[_NUMBER] * 3,
        ctypes.c_int32,
        ctypes.c_float,
        ctypes.c_uint64,
    ],
    "drop_add_norm_gradient": [*[_POINTER] * 9, *[_NUMBER] * 3, ctypes.c_int32, ctypes.c_float, ctypes.c_uint64],
    "bias_relu": [*[_POINTER] * 2, *[_NUMBER] * 3],
    "bias_relu_gradient": [*[_POINTER] * 3, *[_NUMBER] * 3],
    "gated": [*[_POINTER] * 3, *[_NUMBER] * 2],
    "gated_gradient": [*[_POINTER] * 5, *[_NUMBER] * 2],
    "cross_entropy": [*[_POINTER] * 2, *[_NUMBER] * 2, ctypes.c_float],
    "dropout": [*[_POINTER] * 2, _NUMBER, ctypes.c_int32, ctypes.c_float, ctypes.c_uint64],
    "linear_float32": [*[_POINTER] * 4, *[_NUMBER] * 3, ctypes.c_float],
    "linear_int8": [*[_POINTER] * 6, *[_NUMBER] * 3, ctypes.c_float],
    "norm": [*[_POINTER] * 2, ctypes.c_float, _POINTER, *[_NUMBER] * 2],
    "add": [*[_POINTER] * 3, _NUMBER],
    "rotate": [*[_POINTER] * 3, *[_NUMBER] * 4],
    "ssru": [*[_POINTER] * 4, *[_NUMBER] * 3],
    "decoder_step": [_POINTER, _NUMBER, *[_POINTER] * 4, *[_NUMBER] * 2],
    "decoder_logits": [_POINTER] * 5,
    "beam_step": [*[_POINTER] * 2, *[_NUMBER] * 4, ctypes.c_float],
    "int8_panel": [],
    "int8_depth": [],
    "float32_panel": [],
}
_MAY_FAIL = (  # out of memory
    "best_tokens",
    "attend",
    "attention",
    "attention_gradient",
    "linear_int8",
    "decoder_step",
    "decoder_logits",
)
_RESULTS = {
    "cross_entropy": ctypes.c_double,
    "float32_panel": int,
    "int8_panel": int,
    "int8_depth": int,
    "beam_step": _NUMBER,
}


@dataclass(frozen=True)
class KernelCall:
    """A call that `regard.nn.step_program` can replay; the attributes are those of `operations.Operation`.

    A rotation also has `table`, which returns the table of rotary positions: see `regard.nn.kernels.layers.rotate`.
    """

    kind: int
    inputs: tuple[Tensor, ...]
    output: Tensor
    constants: tuple[Tensor, ...] = ()
    number: float = 0.0
    groups: int = 0
    table: Callable[[int], Tensor] | None = None


call_listener: ContextVar[Callable[[KernelCall], None] | None] = ContextVar("call_listener", default=None)
"""What is called after each kernel that a program can replay, in this thread."""


class Kernels:
    """The functions of one level's library, named as in C without the prefix `regard_LEVEL_`."""

    def __init__(self, loaded: build.Loaded, level: str) -> None:
        self.level, self.origin = level, loaded.origin
        for name, arguments in _SIGNATURES.items():
            function = getattr(loaded.library, f"regard_{level}_{name}")
            function.argtypes = arguments
            if name in _MAY_FAIL:
                function.restype = _checked
            else:
                function.restype = _RESULTS.get(name)
            setattr(self, name, function)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


@cache
def library() -> Kernels | None:
    """Return the kernels to use, or None to use PyTorch instead.

    If kernels should be used but cannot be built, one warning is logged.

    Raises:
        ConfigError: REGARD_KERNELS names an unknown level, or one that this CPU cannot run.
    """
    forced = os.environ.get("REGARD_KERNELS", "")
    if forced == "0":
        return None
    try:
        return load(_choose(forced))
    except (BuildError, MismatchError) as error:
        build.warn(
            "regard's own kernels are not used, so training and translation are slower: %s. "
            "REGARD_KERNELS=0 turns this message off.",
            error,
        )
        return None


def _choose(forced: str) -> str:
    """Return the forced level, or the best one. Raises ConfigError, and BuildError if there is none to choose."""
    if forced and forced not in LEVELS:
        raise ConfigError(
            f"unknown kernel level {forced!r}", where="REGARD_KERNELS", fix=f"use 0 or {', '.join(LEVELS)}"
        )
    runs = executable()
    if forced and forced not in runs:
        raise ConfigError(
            f"this CPU cannot run level {forced}, which needs {LEVELS[forced].features}",
            where="REGARD_KERNELS",
            fix=f"use 0 or {', '.join(runs)}",
        )
    chosen = forced or next((level for level in runs if level not in SLOW), None)
    if chosen is None:
        raise BuildError("this CPU has no AVX2")
    return chosen


def describe() -> str:
    """Return which kernels run, and why, for people to read. Raises ConfigError as `library` does."""
    forced = os.environ.get("REGARD_KERNELS", "")
    if forced == "0":
        return "none: REGARD_KERNELS=0 turns them off, so PyTorch does the work"
    try:
        level = _choose(forced)
        kernels = load(level)
    except (BuildError, MismatchError) as error:
        return f"none, so PyTorch does the work: {error}"
    reason = "as REGARD_KERNELS says" if forced else "the best level that this CPU can run"
    return f"{level} ({LEVELS[level].features}), {reason}; {kernels.origin}"


class MismatchError(Exception):
    """A kernel does not give the known answer."""


@cache
def executable() -> list[str]:
    """Return the levels that this CPU can run, the best one first. Raises BuildError."""
    answer = build.load(CPU).library.regard_cpu_levels()
    return [name for name, level in LEVELS.items() if level.needs & answer == level.needs]


@cache
def load(level: str) -> Kernels:
    """Return the kernels of a level that this CPU can run. Raises BuildError, and MismatchError for a wrong answer."""
    built = Kernels(build.load(LEVELS[level].library(level)), level)
    wrong = check.failing(built)
    if wrong is not None:
        raise MismatchError(f"the kernel {wrong} of level {level} does not give the known answer on this machine")
    return built


def supports(tensor: Tensor) -> bool:
    """Return whether the native kernels support this tensor: float32, on a CPU, outside autocast and `torch.export`."""
    is_supported = tensor.dtype == torch.float32 and tensor.is_cpu and not torch.is_autocast_enabled("cpu")
    return is_supported and not torch.compiler.is_exporting() and library() is not None


def supports_inference(tensor: Tensor) -> bool:
    """Return whether kernels without a gradient can be used for this tensor, as in search."""
    return not torch.is_grad_enabled() and supports(tensor)


def can_attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> bool:
    """Return whether `attend` supports these: few rows per sentence, contiguous heads of a multiple of 16 values."""
    width = queries.size(3)
    return (
        queries.size(1) <= MAX_ROWS
        and width % UNIT == 0
        and supports_inference(queries)
        and keys.stride()[2:] == (width, 1) == values.stride()[2:]
        and keys.dtype == values.dtype == queries.dtype
        and (mask is None or (mask.dtype == torch.bool and mask.stride(-1) == 1))
    )


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Compute `regard.nn.scaled_dot_product.attend` in one pass that skips masked slots.

    Args:
        queries: (N, T, H, W).
        keys: (N, S, K, W).
        values: (N, S, K, W).
        mask: (N, S) or (N, T, S).

    Returns:
        (N, T, H x W); NaN for a row that sees nothing.
    """
    sentences, rows, heads, width = queries.shape
    queries = queries.contiguous()
    means = torch.empty(sentences, rows, heads * width)
    strides = (0, 0) if mask is None else (mask.stride(0), 0 if mask.dim() == 2 else mask.stride(1))
    kernels().attend(
        queries.data_ptr(),
        keys.data_ptr(),
        values.data_ptr(),
        None if mask is None else mask.data_ptr(),
        means.data_ptr(),
        *(sentences, rows, keys.size(1), heads, keys.size(2), width),
        *(keys.stride(0), keys.stride(1), values.stride(0), values.stride(1)),
        *strides,
    )
    return means


def best_tokens(logits: Tensor, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` best tokens of each row of logits (N, V): log-probabilities and ids, both (N, count).

    The best come first, and among equals the lower id. Probabilities are over all tokens, but only ids from `first` on
    are returned.
    """
    logits = logits.contiguous()
    rows, width = logits.shape
    values = torch.empty(rows, count)
    ids = torch.empty(rows, count, dtype=torch.long)
    kernels().best_tokens(logits.data_ptr(), rows, width, first, count, values.data_ptr(), ids.data_ptr())
    return values, ids


def can_rank(totals: Tensor, values: Tensor, count: int) -> bool:
    """Return whether `best_continuations` supports these; to rank many, PyTorch's sort is faster."""
    return count <= MAX_RANKS and supports_inference(values) and totals.dtype == values.dtype and totals.stride(1) == 1


def best_continuations(
    totals: Tensor, values: Tensor, ids: Tensor, nodes: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the `count` best continuations of each of b sentences, best first, and the first one first among equals.

    Args:
        totals: (b, w) log-probabilities of the sentence's prefixes.
        values: (N, k) log-probabilities of their next tokens, N = b x w.
        ids: (N, k) the next tokens.
        nodes: (N,) the nodes of the prefixes.
        count: The number of continuations, at most w x k.

    Returns:
        Their log-probabilities, tokens, nodes and rows within their sentence, all (b, count).
    """
    sentences, width = totals.shape
    values, ids = values.contiguous(), ids.contiguous()
    best = torch.empty(sentences, count)
    tokens, parents, rows = (torch.empty(sentences, count, dtype=torch.long) for _ in range(3))
    kernels().best_continuations(
        *(totals.data_ptr(), values.data_ptr(), ids.data_ptr(), nodes.data_ptr()),
        *(sentences, width, ids.size(1), count, totals.stride(0)),
        *(best.data_ptr(), tokens.data_ptr(), parents.data_ptr(), rows.data_ptr()),
    )
    return best, tokens, parents, rows


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Return norm(x + y) for x and y (..., D), D a multiple of 16, and a norm with gain and bias."""
    x, y = x.contiguous(), y.contiguous()
    out = torch.empty_like(x)
    width = x.size(-1)
    kernels().add_norm(
        x.data_ptr(),
        y.data_ptr(),
        norm.weight.data_ptr(),
        norm.bias.data_ptr(),
        norm.eps,
        out.data_ptr(),
        *(x.numel() // width, width),
    )
    if (listener := call_listener.get()) is not None:
        listener(KernelCall(operations.ADD_NORM, (x, y), out, (norm.weight, norm.bias), norm.eps))
    return out


def can_advance(values: Tensor, beam_size: int, vocabulary: int) -> bool:
    """Return whether `beam_step` supports a beam over a vocabulary, for a decoder that computes like these values."""
    return 2 * beam_size <= min(MAX_RANKS, vocabulary - EOS) and supports_inference(values)


def _checked(failed: int) -> None:
    if failed:
        raise MemoryError


def kernels() -> Kernels:
    """Return the library, which must be available."""
    built = library()
    assert built is not None
    return built
