"""Batches that do not fit in memory: they are divided, and training goes on."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from regard.corpus.corpus import LineOrigins
from regard.data.batch import Batch
from regard.errors import TrainingError
from regard.training.rng import get_rng_state, set_rng_state

SIGNS = (  # of an allocation that failed, in what a RuntimeError says: the CPU, CUDA and MPS, cuBLAS and cuDNN, C++
    *("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED", "bad_alloc"),
)
ONEDNN = "could not create a primitive"  # all that oneDNN says where memory for its code cannot be mapped
NO_THREAD = "can't start new thread"  # of Python: no memory for its stack
GO_ON = "go on with `regard train --resume` where more memory is free, or begin a run with a smaller model"
Waits = Literal["none", "last", "all"]
WELL_SMALLER = 0.9
NAMED = 10  # lines of a batch that a message names, of a corpus, at most


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is of memory that could not be had."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (said in (ONEDNN, NO_THREAD) or any(sign in said for sign in SIGNS))


@contextmanager
def raise_on_oom(purpose: str, fix: str = GO_ON) -> Iterator[None]:
    """Turn an allocation that fails inside, where nothing can be divided, into a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(f"there is not memory enough {purpose}", fix=fix) from None


def describe_lines(batch: Batch, origins: LineOrigins = LineOrigins()) -> str:
    """`lines 3, 17 of a.en | a.de, line 4 of b.tmx`; for a corpus that was prepared without them, how many pairs."""
    if not batch.lines:
        return f"{len(batch.source):,} pairs of the training corpus"
    found: dict[str, list[int]] = {}
    for line in sorted(batch.lines):
        origin = origins.locate(line)
        found.setdefault(origin.name, []).append(origin.line)
    return ", ".join(_lines_of(name, lines) for name, lines in found.items())


def _lines_of(name: str, lines: Sequence[int]) -> str:
    more = f" and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:NAMED]))}{more} of {name}"


def describe_shape(batch: Batch) -> str:
    """`32 pairs of at most 18 and 17 tokens`."""
    rows, source, target = len(batch.source), batch.source.shape[1], batch.target_out.shape[1]
    return f"{rows:,} {'pair' if rows == 1 else 'pairs'} of at most {source} and {target} tokens"


class MicrobatchSplitter:
    """The gradient of a step's batches, of which those that do not fit are divided in halves, and these again.

    What is not well smaller than one that did not fit, by its places with padding, is divided without a try.
    tell: is told of each batch that did not fit. origins: what the batches' lines are of.
    """

    def __init__(
        self,
        device: torch.device,
        clear: Callable[[], None],
        tell: Callable[[str], None],
        origins: LineOrigins = LineOrigins(),
    ) -> None:
        self._device = device
        self._origins = origins
        self._clear = clear
        self._tell = tell
        self._most = math.inf  # places

    def backward(self, batches: Sequence[Batch], one: Callable[[Batch, bool], float], waits: Waits = "none") -> float:
        """The sum of what `one`, which adds to the gradients of a batch, gives of each; `clear` takes them back.

        After a failure the whole step begins again, from no gradients and the same random numbers, since a
        backward that broke off has left some of its own. `one` is told whether a batch is the last, and `waits` says in
        which other processes take part, so that it cannot be tried again by this one alone. Raises TrainingError for
        such a one, and for a pair that does not fit alone.
        """
        state = get_rng_state(self._device)
        parts = [part for batch in batches for part in self._divided(batch)]
        while True:
            self._clear()
            total, failed = self._try(parts, one, waits)
            if failed is None:
                return total
            self._clear()
            _give_back(self._device)
            set_rng_state(state, self._device)
            if waits == "all" or (waits == "last" and failed == len(parts) - 1):
                raise TrainingError(
                    f"out of memory: {describe_shape(parts[failed])} do not fit, and other processes wait for them",
                    where=describe_lines(parts[failed], self._origins),
                    fix="begin a new run with a lower train.tokens_per_batch, or give it to more processes",
                )
            self._refuse(parts[failed])
            parts = [part for batch in parts for part in self._divided(batch)]

    def _try(
        self, parts: Sequence[Batch], one: Callable[[Batch, bool], float], waits: Waits
    ) -> tuple[float, int | None]:
        """The sum, and which part did not fit. The error goes no further: it holds on to what was allocated."""
        total = 0.0
        for at, part in enumerate(parts):
            try:
                last = waits != "none" and at == len(parts) - 1
                total += one(part.to(self._device), last)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                return total, at
        return total, None

    def _refuse(self, batch: Batch) -> None:
        if len(batch.source) == 1:
            raise TrainingError(
                f"one pair alone, of {batch.source.shape[1]} and {batch.target_out.shape[1]} tokens, "
                "does not fit in memory",
                where=describe_lines(batch, self._origins),
                fix="begin a new run with a lower data.max_length, or with a smaller model",
            )
        self._most = WELL_SMALLER * _places(batch)
        self._tell(
            f"out of memory: {describe_shape(batch)} are taken in two parts ({describe_lines(batch, self._origins)}); "
            "a lower train.tokens_per_batch would spare the try"
        )

    def _divided(self, batch: Batch) -> Iterator[Batch]:
        if len(batch.source) > 1 and _places(batch) > self._most:
            for half in batch.halves():
                yield from self._divided(half)
        else:
            yield batch


def _places(batch: Batch) -> int:
    return batch.source.numel() + batch.target_out.numel()


def _give_back(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if device.type == "mps":
        torch.mps.empty_cache()


@dataclass(frozen=True)
class BatchProbe:
    """A batch, how long its forward and backward took, and the most memory (bytes) that was in use by then."""

    batch: Batch
    seconds: float
    memory: int


def peak_memory(device: torch.device) -> int:
    """Bytes in use at the peak: of the GPU by PyTorch, on a CPU of the whole process; 0 where it is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
