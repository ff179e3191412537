"""The kernels of kernels/, in C: built with this machine's own C compiler, once; without one PyTorch does their work.

They are for float32 on a CPU, where PyTorch's own spend much of a step on calls and on passes over memory. Set
REGARD_KERNELS=0 in the environment to do without them.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FOLDER = Path(__file__).with_name("kernels")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
WIDER = "-mprefer-vector-width=512"  # of some compilers only
PATIENCE = 60  # seconds for the compiler; it takes one
MOST_ROWS = 32  # of a sentence: beyond them PyTorch's attention is faster
LANES, PANEL = 16, 32  # as in kernels/
MOST_COLUMNS = 256  # beyond them the weights of attention, which training keeps, take too much memory

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "best_tokens": [_POINTER, *[_NUMBER] * 4, *[_POINTER] * 2],
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
    "linear_int8": [*[_POINTER] * 6, *[_NUMBER] * 3, ctypes.c_float],
}


_MAY_FAIL = ("best_tokens", "attend", "attention", "attention_gradient", "linear_int8")  # for lack of memory


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
    sources = b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))
    name = hashlib.sha256(target + sources + " ".join(FLAGS).encode()).hexdigest()[:16]
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
            command = [compiler, *flags, "-o", str(made), *map(str, sorted(FOLDER.glob("*.c"))), "-lm"]
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=flags == FLAGS)
            if done.returncode == 0:
                break
        made.replace(built)


def _with_signatures(library: ctypes.CDLL) -> ctypes.CDLL:
    library.has_int8.restype = ctypes.c_int
    for name, arguments in _SIGNATURES.items():
        if name != "linear_int8" or library.has_int8():
            function = getattr(library, name)
            function.argtypes = arguments
            function.restype = _checked if name in _MAY_FAIL else ctypes.c_double if name == "cross_entropy" else None
    return library


def has_int8() -> bool:
    """Whether linear_int8 is there: it needs a processor with AVX-512 VNNI."""
    built = library()
    return built is not None and bool(built.has_int8())


def knows(tensor: Tensor) -> bool:
    """Whether the kernels are for such a tensor: float32, on a CPU, and among others that are."""
    plain = tensor.dtype == torch.float32 and tensor.is_cpu and not torch.is_autocast_enabled("cpu")
    return plain and library() is not None


def suits(tensor: Tensor) -> bool:
    """Whether kernels that have no gradient may take the place of PyTorch's own for such a tensor, as in search."""
    return not torch.is_grad_enabled() and knows(tensor)


def attends(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> bool:
    """Whether `attend` can do it: few rows of a sentence, and heads that lie densely and are multiples of 16 wide."""
    width = queries.size(3)
    return (
        queries.size(1) <= MOST_ROWS
        and width % LANES == 0
        and suits(queries)
        and keys.stride()[2:] == (width, 1) == values.stride()[2:]
        and keys.dtype == values.dtype == queries.dtype
        and (mask is None or (mask.dtype == torch.bool and mask.stride(-1) == 1))
    )


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """As regard.nn.multihead's, in one pass that skips what is masked: (N, T, H, W) over (N, S, K, W) to (N, T, H x W).

    mask: (N, S) or (N, T, S). A row that sees nothing has no numbers.
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
    """The `count` best columns of each row of logits (N, V) from `first` on: log-probabilities and ids, (N, count).

    The best come first, and among equals the lower id. All columns have their share of the probability.
    """
    logits = logits.contiguous()
    rows, width = logits.shape
    values = torch.empty(rows, count)
    ids = torch.empty(rows, count, dtype=torch.long)
    kernels().best_tokens(logits.data_ptr(), rows, width, first, count, values.data_ptr(), ids.data_ptr())
    return values, ids


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Tensor:
    """norm(x + y) for x and y (..., D), D a multiple of 16, and a norm with gain and bias."""
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
    return out


class LinearInt8:
    """x W^T + b for W (O, I) in bytes, I a multiple of 16: see kernels/int8.c."""

    def __init__(self, whole: Tensor, shift: Tensor, scale: Tensor, bias: Tensor) -> None:
        self.outputs, self.inputs = whole.shape
        fill = -self.outputs % PANEL
        laid_out = F.pad(whole, (0, 0, 0, fill)).view(-1, PANEL, self.inputs // 4, 4).transpose(1, 2).contiguous()
        self._tensors = (laid_out, *(F.pad(part, (0, fill)).contiguous() for part in (shift, scale, bias)))
        self._pointers = tuple(tensor.data_ptr() for tensor in self._tensors)
        self.least = -math.inf  # what is below becomes it

    def __deepcopy__(self, memo: object) -> LinearInt8:
        return self  # nothing changes it

    def narrowed(self, outputs: Tensor) -> LinearInt8:
        """The same for some of its outputs (U,) alone."""
        laid_out, *others = self._tensors
        fours = laid_out.view(torch.int32).squeeze(-1)  # (O / PANEL, I / 4, PANEL)
        whole = fours[outputs // PANEL, :, outputs % PANEL].view(torch.int8)  # (U, I)
        narrow = LinearInt8(whole, *(part.index_select(0, outputs) for part in others))
        narrow.least = self.least
        return narrow

    def __call__(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O)."""
        x = x.contiguous()
        out = torch.empty(*x.shape[:-1], self.outputs)
        kernels().linear_int8(
            *(x.data_ptr(), *self._pointers, out.data_ptr()),
            *(x.numel() // self.inputs, self.inputs, self.outputs, self.least),
        )
        return out


def _checked(failed: int) -> None:
    if failed:
        raise MemoryError


def kernels() -> ctypes.CDLL:
    """The library, where it is known to be there."""
    built = library()
    assert built is not None
    return built
