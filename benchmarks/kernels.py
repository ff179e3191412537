"""Compare each native kernel with the PyTorch code that it replaces: CPU time with the kernel / CPU time without.

    python benchmarks/kernels.py [--rounds 15]

REGARD_KERNELS selects the instruction set. To simulate an AVX2 machine on one with AVX-512, restrict PyTorch too:

    REGARD_KERNELS=v3 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 \\
        python benchmarks/kernels.py

Both variants run in turn on one thread. The result is the median ratio of the rounds. Above 1, the kernel is slower.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from common import print_machine
from torch import Tensor, nn

from regard.decoding.next_tokens import best_tokens
from regard.nn.dropout import Dropout
from regard.nn.feedforward import feed_forward, silu_times
from regard.nn.int8 import int8_linear
from regard.nn.kernels import native
from regard.nn.norm import add_norm, add_then_norm
from regard.nn.packed_linear import PackedLinear
from regard.nn.packing import Packing
from regard.nn.scaled_dot_product import attend, attend_packed
from regard.training.loss import chunked_cross_entropy

SECONDS = 0.05  # the minimum duration of a round

Work = Callable[[], object]
Case = tuple[Work, Work]  # with the kernel, without it


@contextmanager
def without_kernels() -> Iterator[None]:
    """Disable the native kernels."""
    library = native.library
    native.library = lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        native.library = library


def both_ways(work: Work) -> Case:
    """Return the work with and without kernels."""

    def without() -> object:
        with without_kernels():
            return work()

    return work, without


def in_inference_mode(work: Work) -> Work:
    def run() -> object:
        with torch.inference_mode():
            return work()

    return run


def backward(out: Tensor) -> None:
    torch.autograd.backward(out, torch.ones_like(out))


def forward_backward(layer: Callable[..., Tensor], *inputs: object) -> None:
    backward(layer(*inputs))


def sum_of_add_then_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm, dropout: Dropout) -> Tensor:
    added, normed = add_then_norm(x, y, norm, dropout)
    return added + normed


def best_of_copy(logits: Tensor) -> object:
    return best_tokens(logits.clone(), 10, 1)


def search_cases() -> Iterator[tuple[str, Case]]:
    for rows, positions, heads, width in ((5, 15, 4, 64), (1, 15, 4, 64), (5, 40, 8, 32), (1, 40, 8, 32)):
        queries, keys = torch.randn(64, rows, heads, width), torch.randn(64, positions, heads, width)
        mask = torch.rand(64, rows, positions) > 0.2
        mask[..., 0] = True
        name = f"search attention, 64 x {rows} rows, {positions} positions, {heads} x {width}"
        yield name, both_ways(in_inference_mode(partial(attend, queries, keys, keys, mask=mask)))
    for rows in (1, 64, 320):
        logits = torch.randn(rows, 8000)
        yield (
            f"best 10 of 8,000, {rows} rows",
            both_ways(in_inference_mode(partial(best_of_copy, logits))),
        )
    for width in (128, 256, 512):
        x, norm, dropout = torch.randn(320, width), nn.LayerNorm(width), Dropout(0.1).eval()
        yield (
            f"add + norm, 320 x {width}",
            both_ways(in_inference_mode(partial(add_norm, x, x, norm, dropout))),
        )


def product_cases() -> Iterator[tuple[str, Case]]:
    shapes = (64, 64), (128, 128), (128, 512), (256, 256), (256, 1024), (1024, 256), (256, 8000)
    for rows in (1, 5, 40, 64, 320, 1280):
        for inputs, outputs in shapes:
            linear = nn.Linear(inputs, outputs).requires_grad_(False)
            x = torch.randn(rows, inputs)
            plain = in_inference_mode(partial(linear, x))
            layers = {
                "int8": int8_linear(linear.weight, linear.bias),
                "packed": PackedLinear(linear.weight, linear.bias),
            }
            for kind, layer in layers.items():
                case = in_inference_mode(partial(layer, x)), plain
                yield f"{kind} / float32, {rows} x {inputs} -> {outputs}", case


def training_cases() -> Iterator[tuple[str, Case]]:
    for heads, width in ((4, 64), (8, 32), (2, 64), (4, 16)):
        lengths = torch.randint(5, 25, (256,), generator=torch.Generator().manual_seed(1))
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        packing = Packing.of(mask)
        size = heads * width
        rows = torch.randn(1, len(packing.indices), size, requires_grad=True)
        padded = torch.randn(*mask.shape, size, requires_grad=True)

        def packed_step(rows: Tensor = rows, packing: Packing = packing, width: int = width) -> None:
            parts = rows.unflatten(-1, (-1, width))
            backward(attend_packed(parts, parts, parts, packing.starts, packing.starts, causal=False))

        def padded_step(padded: Tensor = padded, mask: Tensor = mask, width: int = width) -> None:
            parts = padded.unflatten(-1, (-1, width))
            backward(attend(parts, parts, parts, mask=mask))

        name = f"training attention, 256 sequences of 5 to 24, {heads} x {width}"
        yield name, (packed_step, both_ways(padded_step)[1])
    for width in (128, 256, 512):
        x = torch.randn(4096, width, requires_grad=True)
        norm, dropout = nn.LayerNorm(width), Dropout(0.1)
        yield (
            f"add + dropout + norm, 4,096 x {width}",
            both_ways(partial(forward_backward, add_norm, x, x, norm, dropout)),
        )
        yield (
            f"add + dropout, then norm, 4,096 x {width}",
            both_ways(partial(forward_backward, sum_of_add_then_norm, x, x, norm, dropout)),
        )
        yield f"dropout, 4,096 x {width}", both_ways(partial(forward_backward, dropout, x))
        layers = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

        yield (
            f"feed-forward, 4,096 x {width}",
            both_ways(partial(forward_backward, feed_forward, x, layers)),
        )
        yield f"silu(x) * y, 4,096 x {width}", both_ways(partial(forward_backward, silu_times, x, x))
    for vocabulary in (500, 8000):
        readout = nn.Linear(256, vocabulary)
        features, targets = torch.randn(2048, 256, requires_grad=True), torch.randint(vocabulary, (2048,))

        def loss(readout: nn.Linear = readout, features: Tensor = features, targets: Tensor = targets) -> None:
            chunked_cross_entropy(readout, readout.parameters(), features, targets, smoothing=0.1).backward()

        yield f"output layer and loss, 2,048 x {vocabulary}", both_ways(loss)


def seconds(work: Work, repeats: int) -> float:
    """Return the CPU seconds of one call, averaged over `repeats` calls."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def measure(case: Case, rounds: int) -> tuple[float, float, float]:
    """Return the median CPU seconds with and without the kernel, and the median ratio."""
    repeats = [max(1, round(SECONDS / max(seconds(work, 3), 1e-7))) for work in case]
    pairs = [[seconds(work, count) for work, count in zip(case, repeats, strict=True)] for _ in range(rounds)]
    with_kernel, without = (statistics.median(side) for side in zip(*pairs, strict=True))
    return with_kernel, without, statistics.median(kernel / plain for kernel, plain in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="run only cases whose name contains this text")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    library = native.library()
    if library is None:
        raise SystemExit("the native kernels are not available")
    print_machine()
    print(f"Level {library.level}; PyTorch at {torch.backends.cpu.get_cpu_capability()}.\n")
    print("| | with, ms | without, ms | with / without |\n| --- | ---: | ---: | ---: |")
    for cases in (search_cases, product_cases, training_cases):
        for name, case in cases():
            if options.only in name:
                kernel, plain, ratio = measure(case, options.rounds)
                print(f"| {name} | {1e3 * kernel:.3f} | {1e3 * plain:.3f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
