"""The kernels of kernels.c: built with this machine's own C compiler, once; without one PyTorch does their work.

They are for search on a CPU in float32, where PyTorch's own spend most of a step on calls and on memory. Set
REGARD_KERNELS=0 in the environment to do without them.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
WIDER = "-mprefer-vector-width=512"  # of some compilers only
PATIENCE = 60  # seconds for the compiler; it takes one
MOST_ROWS = 32  # of a sentence: beyond them PyTorch's attention is faster
LANES, PANEL, DEEP = 16, 32, 16  # as in kernels.c

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "best_tokens": [_POINTER, *[_NUMBER] * 4, *[_POINTER] * 3],
    "attend": [*[_POINTER] * 5, *[_NUMBER] * 12, _POINTER],
    "linear_int8": [*[_POINTER] * 6, *[_NUMBER] * 3, *[_POINTER] * 2],
}


@cache
def library() -> ctypes.CDLL | None:
    """The kernels; None where they are not wanted, or where there is no compiler that builds them."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or os.environ.get("REGARD_KERNELS") == "0":
        return None
    try:
        return _loaded(compiler)
    except (OSError, RuntimeError, subprocess.SubprocessError, AttributeError):
        return None


def _loaded(compiler: str) -> ctypes.CDLL:
    target = subprocess.run(  # what the compiler is, and what it knows of this processor
        [compiler, *FLAGS, "-dM", "-E", "-x", "c", os.devnull], check=True, capture_output=True, timeout=PATIENCE
    ).stdout
    name = hashlib.sha256(target + SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regard"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        built = folder / f"kernels-{name}.so"
        if not built.exists():
            _build(compiler, built)
        return _with_signatures(ctypes.CDLL(str(built)))
    except OSError:  # no home to write to, or one that runs nothing
        with tempfile.TemporaryDirectory() as other:
            _build(compiler, Path(other) / "kernels.so")
            return _with_signatures(ctypes.CDLL(str(Path(other) / "kernels.so")))


def _build(compiler: str, built: Path) -> None:
    """Whole or not at all, whoever else builds at the same time."""
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        made = Path(folder) / built.name
        for flags in ((*FLAGS, WIDER), FLAGS):
            command = [compiler, *flags, "-o", str(made), str(SOURCE), "-lm"]
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=flags == FLAGS)
            if done.returncode == 0:
                break
        made.replace(built)


def _with_signatures(library: ctypes.CDLL) -> ctypes.CDLL:
    library.has_int8.restype = ctypes.c_int
    for name, arguments in _SIGNATURES.items():
        if name != "linear_int8" or library.has_int8():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
    return library


def has_int8() -> bool:
    """Whether linear_int8 is there: it needs a processor with AVX-512 VNNI."""
    kernels = library()
    return kernels is not None and bool(kernels.has_int8())


def suits(*tensors: Tensor) -> bool:
    """Whether the kernels may take the place of PyTorch's own for these tensors: float32, on a CPU, in search."""
    return (
        not torch.is_grad_enabled()
        and all(tensor.dtype == torch.float32 and tensor.is_cpu for tensor in tensors)
        and library() is not None
    )


def attends(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> bool:
    """Whether `attend` can do it: few rows of a sentence, and heads that lie densely and are multiples of 16 wide."""
    width = queries.size(3)
    dense = all(part.stride(3) == 1 and part.stride(2) == width for part in (keys, values))
    return (
        queries.size(1) <= MOST_ROWS
        and width % LANES == 0
        and dense
        and (mask is None or (mask.dtype == torch.bool and mask.stride(-1) == 1))
        and suits(queries, keys, values)
    )


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """As regard.nn.attention's, in one pass that skips what is masked: (N, T, H, W) over (N, S, K, W) to (N, T, H x W).

    mask: (N, S) or (N, T, S). A row that sees nothing has no numbers.
    """
    sentences, rows, heads, width = queries.shape
    slots = keys.size(1)
    queries = queries.contiguous()
    means = torch.empty(sentences, rows, heads * width)
    scratch = torch.empty(2 * slots + LANES)
    strides = (0, 0) if mask is None else (mask.stride(0), 0 if mask.dim() == 2 else mask.stride(1))
    _kernels().attend(
        queries.data_ptr(),
        keys.data_ptr(),
        values.data_ptr(),
        None if mask is None else mask.data_ptr(),
        means.data_ptr(),
        *(sentences, rows, slots, heads, keys.size(2), width),
        *(keys.stride(0), keys.stride(1), values.stride(0), values.stride(1)),
        *strides,
        scratch.data_ptr(),
    )
    return means


def best_tokens(logits: Tensor, first: int, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best columns of each row of logits (N, V) from `first` on: log-probabilities and ids, (N, count).

    The best come first, and among equals the lower id. All columns have their share of the probability.
    """
    logits = logits.contiguous()
    rows, width = logits.shape
    values = torch.empty(rows, count)
    ids = torch.empty(rows, count, dtype=torch.long)
    maxima = torch.empty(width // DEEP + LANES)
    _kernels().best_tokens(
        logits.data_ptr(),
        *(rows, width, first, count),
        maxima.data_ptr(),
        values.data_ptr(),
        ids.data_ptr(),
    )
    return values, ids


def linear_int8(x: Tensor, weight: Tensor, shift: Tensor, scale: Tensor, bias: Tensor, outputs: int) -> Tensor:
    """x (N, I) with a weight that `panels` has laid out, to (N, outputs).

    shift, scale and bias: (O,) with the zeros that fill the last panel; see kernels.c.
    """
    x = x.contiguous()
    rows, inputs = x.shape
    out = torch.empty(rows, outputs)
    scratch = torch.empty(rows * (inputs + 4), dtype=torch.uint8)  # a byte for each number, and a float for each row
    _kernels().linear_int8(
        x.data_ptr(),
        weight.data_ptr(),
        shift.data_ptr(),
        scale.data_ptr(),
        bias.data_ptr(),
        out.data_ptr(),
        *(rows, inputs, outputs),
        scratch.data_ptr(),
        scratch.data_ptr() + rows * inputs,
    )
    return out


def panels(whole: Tensor) -> Tensor:
    """A weight (O, I) in bytes, O a multiple of PANEL, as linear_int8 reads it: (O / PANEL, I / 4, PANEL, 4)."""
    outputs, inputs = whole.shape
    return whole.view(outputs // PANEL, PANEL, inputs // 4, 4).transpose(1, 2).contiguous()


def _kernels() -> ctypes.CDLL:
    kernels = library()
    assert kernels is not None
    return kernels
