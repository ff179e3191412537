"""Lesson 6: what a step costs in each architecture, counted and measured.

Counted are the additions and multiplications of matrix products, the operations that have to wait for one another, and
the paths of `regard.lessons.paths`. Measured is the time on one thread, with the architectures in turn.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard.lessons.paths import source_paths, target_paths

LENGTHS = (8, 16, 32, 64, 128, 256)  # tokens of a source, and of its target
PRESET = "tiny"  # in all architectures about 2 M parameters
VOCABULARY = 1000
BATCH = 8  # sentences of a training step
ROUNDS = 9
STEPS = 8  # tokens that one measurement decodes

# Operations of a layer, steps that wait for one another, and the longest path between two source words and from a
# source word to a target word. n: source length, m: target length, d: units, k: width of a convolution.
FORMULAS: Mapping[str, tuple[str, str, str, str]] = {
    "cho2014": ("n d²", "n + m", "n", "n"),
    "sutskever2014": ("n d²", "n + m", "n", "n + m"),
    "bahdanau2014": ("n d² + n m d", "n + m", "n", "1"),
    "luong2015": ("n d² + n m d", "n + m", "n", "1"),
    "gnmt2016": ("n d² + n m d", "n + m", "n", "1"),
    "bytenet2016": ("k n d²", "1", "log n", "log n"),
    "convs2s2017": ("k n d² + n m d", "1", "n / k", "1"),
    "transformer2017": ("n d² + n² d", "1", "1", "1"),
    "modern": ("n d² + n² d", "1", "1", "1"),
}
QUANTITIES = ("operations", "sequential", "source_path", "target_path")


def cost(_: Mapping[str, Path]) -> dict[str, Any]:
    """Return what a training step and a decoded token cost in all architectures of regard. No runs are needed."""
    import torch

    from regard.nn.kernels import native
    from regard.runtime import processor_name

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = _times()
    finally:
        torch.set_num_threads(threads)
    systems = {}
    for name, formulas in FORMULAS.items():
        model, config = _model(name)
        sources, targets = (
            [asdict(paths(config, length)) for length in LENGTHS] for paths in (source_paths, target_paths)
        )
        systems[name] = {
            "parameters": model.num_parameters,
            "formulas": dict(zip(QUANTITIES, formulas, strict=True)),
            "source_paths": sources,
            "target_paths": targets,
            "training": _columns(name, _count_training) | times[name]["training"],
            "decoding": _columns(name, _count_decoding) | times[name]["decoding"],
        }
    return {
        "cpu": processor_name(),
        "kernels": native.describe().partition(" ")[0],
        "torch": torch.__version__,
        "preset": PRESET,
        "vocabulary": VOCABULARY,
        "batch": BATCH,
        "rounds": ROUNDS,
        "lengths": list(LENGTHS),
        "systems": systems,
    }


@dataclass(frozen=True)
class Count:
    """What a computation needs: operations of matrix products, and the longest chain of operations that wait."""

    operations: int
    chain: int


def _columns(name: str, count: Callable[[str, int], Count]) -> dict[str, list[int]]:
    counts = [count(name, length) for length in LENGTHS]
    return {"operations": [item.operations for item in counts], "chain": [item.chain for item in counts]}


def _model(name: str) -> tuple[Any, Any]:
    """Return an architecture's model, with the same weights each time, and its settings."""
    import torch

    from regard.contract import VocabularySizes
    from regard.models import ARCHITECTURES

    architecture = ARCHITECTURES[name]
    config = architecture.presets[PRESET]()
    torch.manual_seed(1)
    return architecture.build(config, VocabularySizes(VOCABULARY, VOCABULARY, joint=False)), config


def _tokens(sentences: int, length: int) -> Any:
    import torch

    from regard.special_tokens import EOS

    generator = torch.Generator().manual_seed(length)
    tokens = torch.randint(EOS + 2, VOCABULARY, (sentences, length), generator=generator)
    tokens[:, -1] = EOS
    return tokens


def training_loss(model: Any, tokens: Any) -> Any:
    """Return the loss (a sum) of sentences (B, N) that are their own translation."""
    from torch.nn.functional import cross_entropy

    from regard.special_tokens import BOS

    inputs = tokens.roll(1, 1)
    inputs[:, 0] = BOS
    features = model.decoder(inputs, model.encode(tokens)).features
    return cross_entropy(model.decoder.readout(features).flatten(0, 1), tokens.flatten(), reduction="sum")


def decoding_state(model: Any, length: int) -> Any:
    """Return the state of a decoder that has read a source of this length and written as many tokens."""
    tokens = _tokens(1, length)
    state = model.decoder.init_state(model.encode(tokens))
    for token in tokens.unbind(1):
        state = model.decoder.step(token, state).state
    return state


def _count_training(name: str, length: int) -> Count:
    """Count a training step of one batch: forward and backward for the operations, forward for the chain."""
    model = _model(name)[0].double().train()  # no kernel that hides operations computes in float64
    loss, count = counted(lambda: training_loss(model, _tokens(1, length)))
    _, backward = counted(loss.backward)
    return Count(BATCH * (count.operations + backward.operations), count.chain)


def _count_decoding(name: str, length: int) -> Count:
    """Count one step of the decoder, for one sentence: to the logits and the next state."""
    import torch

    from regard.interop.onnx.graphs import named_leaves

    def step(state: Any) -> list[Any]:
        result = model.decoder.step(_tokens(1, 1)[:, 0], state)
        return [result.logits, *(leaf.value for leaf in named_leaves(result.state))]

    model = _model(name)[0].double().eval()
    with torch.no_grad():
        state = decoding_state(model, length)
        return counted(lambda: step(state))[1]


def counted(compute: Callable[[], Any]) -> tuple[Any, Count]:
    """Compute something with PyTorch, and count its operations.

    The chain counts every operation that computes a new tensor or changes one, and no views. What is computed before
    is available at once.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

    depths: dict[int, int] = {}  # by the address of the memory of a tensor

    def addresses(values: object) -> set[int]:
        return {value.untyped_storage()._cdata for value in tree_leaves(values) if isinstance(value, torch.Tensor)}

    class ChainCounter(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            inputs = set() if func is torch.ops.aten.lift_fresh.default else addresses((args, kwargs))  # a constant
            result = func(*args, **(kwargs or {}))
            depth = max((depths.get(address, 0) for address in inputs), default=0)
            for address in addresses(result):
                is_view = address in inputs and not func._schema.is_mutable
                depths[address] = depth if is_view or not inputs else depth + 1
            return result

    chain_counter: Any = ChainCounter
    with sdpa_kernel(SDPBackend.MATH), chain_counter(), FlopCounterMode(display=False) as counter:
        result = compute()
    chain = max((depths.get(address, 0) for address in addresses(result)), default=0)
    return result, Count(counter.get_total_flops(), chain)


def _times() -> dict[str, Any]:
    """Return the medians of the time of each architecture at each length, in ms, with all of them in turn."""
    import torch

    models = {name: _model(name)[0] for name in FORMULAS}
    with torch.no_grad():
        states = {(name, length): decoding_state(models[name].eval(), length) for name in models for length in LENGTHS}
    samples: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for turn in range(-1, ROUNDS):  # the first one warms up
        for length in LENGTHS:
            tokens = _tokens(BATCH, length)
            for name, model in models.items():
                for kind, measured in (
                    ("training", _time_training(model, tokens)),
                    ("decoding", _time_decoding(model, states[name, length])),
                ):
                    if turn >= 0:
                        samples.setdefault((name, kind, length), []).append(measured)
    return {
        name: {
            kind: {
                clock: [statistics.median(pair[place] for pair in samples[name, kind, length]) for length in LENGTHS]
                for place, clock in enumerate(("wall", "cpu"))
            }
            for kind in ("training", "decoding")
        }
        for name in models
    }


def _time_training(model: Any, tokens: Any) -> tuple[float, float]:
    model.train().zero_grad(set_to_none=True)
    with _Stopwatch() as stopwatch:
        training_loss(model, tokens).backward()
    return stopwatch.milliseconds


def _time_decoding(model: Any, state: Any) -> tuple[float, float]:
    import torch

    model.eval()
    tokens = _tokens(1, STEPS)
    with torch.no_grad(), _Stopwatch() as stopwatch:
        for token in tokens.unbind(1):
            state = model.decoder.step(token, state).state
    wall, cpu = stopwatch.milliseconds
    return wall / STEPS, cpu / STEPS


class _Stopwatch:
    """Measures the wall time and the CPU time of a block, in ms."""

    milliseconds: tuple[float, float] = (math.nan, math.nan)

    def __enter__(self) -> _Stopwatch:
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = self._start
        self.milliseconds = 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)
