"""Microbatches: a batch that does not fit in memory is split in halves, and training continues."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import torch

from regard.data.batch import Batch
from regard.errors import TrainingError
from regard.training.rng import get_rng_state, set_rng_state

# Found in the messages of allocations that failed: on the CPU, CUDA and MPS, in cuBLAS and cuDNN, and in C++.
ALLOCATION_ERRORS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED", "bad_alloc")
# Complete messages of failed allocations: of oneDNN for the memory of its code, of Python for the stack of a thread.
EXACT_ALLOCATION_ERRORS = ("could not create a primitive", "can't start new thread")
RESUME = "resume with `regard train --resume` when more memory is free, or start a run with a smaller model"
SAFETY_FACTOR = 0.9  # after a batch has failed, only batches smaller than this share of its size are tried whole
MOST_LINES = 10  # named of each corpus in a message

GradSync = Literal["none", "last", "all"]
"""The microbatches of a step that need the other processes: none, the last (DDP), or all of them (FSDP)."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    message = str(error)
    is_known = message in EXACT_ALLOCATION_ERRORS or any(words in message for words in ALLOCATION_ERRORS)
    return isinstance(error, RuntimeError) and is_known


@contextmanager
def raise_on_oom(purpose: str, fix: str = RESUME) -> Iterator[None]:
    """Turn an out-of-memory error inside, where nothing can be split, into a TrainingError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(f"out of memory {purpose}", fix=fix) from None


def describe_lines(batch: Batch) -> str:
    """Return, for example, `lines 3, 17 of a.en | a.de, line 4 of b.tmx`; without line numbers, the number of pairs."""
    if not batch.lines:
        return f"{len(batch.source):,} pairs of the training corpus"
    lines: dict[str, list[int]] = {}
    for line in sorted(batch.lines):
        origin = batch.origins.locate(line)
        lines.setdefault(origin.name, []).append(origin.line)
    return ", ".join(_describe_numbers(corpus, numbers) for corpus, numbers in lines.items())


def _describe_numbers(corpus: str, numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - MOST_LINES} more" if len(numbers) > MOST_LINES else ""
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:MOST_LINES]))}{more} of {corpus}"


def describe_shape(batch: Batch) -> str:
    """Return, for example, `32 pairs of at most 18 and 17 tokens`."""
    rows, source, target = len(batch.source), batch.source.shape[1], batch.target_out.shape[1]
    return f"{rows:,} {'pair' if rows == 1 else 'pairs'} of at most {source} and {target} tokens"


class Attempt:
    """One try at the microbatches of a step: iterate over it inside `with`.

    An out-of-memory error ends the `with` block without being raised. The error itself is dropped, because its
    traceback keeps the tensors of the failed microbatch alive.

    Attributes:
        failed: The number of the microbatch that did not fit; None if all have fitted.
    """

    def __init__(self, microbatches: Sequence[Batch], sync: GradSync) -> None:
        self.microbatches = microbatches
        self.failed: int | None = None
        self._sync = sync
        self._current = 0

    def __iter__(self) -> Iterator[tuple[Batch, bool]]:
        """Yield each microbatch, and whether gradients are exchanged between processes with it."""
        last = len(self.microbatches) - 1
        for number, microbatch in enumerate(self.microbatches):
            self._current = number
            yield microbatch, self._sync != "none" and number == last

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, (RuntimeError, MemoryError)) or not is_out_of_memory(error):
            return False
        self.failed = self._current
        return True

    def can_retry(self) -> bool:
        """Return whether no other process waits for the microbatch that failed."""
        return self._sync == "none" or (self._sync == "last" and self.failed != len(self.microbatches) - 1)


class MicrobatchSplitter:
    """Splits the batches of a step into microbatches that fit in memory.

    A batch that does not fit is halved, and its halves again if need be. Later batches that are not clearly smaller
    are halved without being tried. Size is counted in positions, padding included.

    Args:
        device: The device that the model is on.
        zero_grad: Clears the gradients of the model.
        notify: Called with a sentence for each batch that did not fit.
    """

    def __init__(
        self,
        device: torch.device,
        zero_grad: Callable[[], None],
        notify: Callable[[str], None],
    ) -> None:
        self._device = device
        self._zero_grad = zero_grad
        self._notify = notify
        self._max_positions = math.inf

    def attempts(self, batches: Sequence[Batch], sync: GradSync = "none") -> Iterator[Attempt]:
        """Yield attempts at the microbatches of a step until one has not run out of memory.

        Each attempt begins with zero gradients, since a backward that failed has left some, and with the same random
        numbers.

        Raises:
            TrainingError: If a single pair does not fit, or if other processes wait for the microbatch that failed.
        """
        rng_state = get_rng_state(self._device)
        microbatches = list(self._split(batches))
        while True:
            self._zero_grad()
            attempt = Attempt(microbatches, sync)
            yield attempt
            if attempt.failed is None:
                return
            self._zero_grad()
            _free_cached_memory(self._device)
            set_rng_state(rng_state, self._device)
            failed = microbatches[attempt.failed]
            if not attempt.can_retry():
                raise TrainingError(
                    f"out of memory: a batch of {describe_shape(failed)} does not fit, and other processes wait for it",
                    where=describe_lines(failed),
                    fix="start a new run with a lower train.tokens_per_batch or with more processes",
                )
            self._lower_limit(failed)
            microbatches = list(self._split(microbatches))

    def _lower_limit(self, batch: Batch) -> None:
        """Allow only batches smaller than this one, which did not fit."""
        if len(batch.source) == 1:
            raise TrainingError(
                f"out of memory: a single pair of {batch.source.shape[1]} and {batch.target_out.shape[1]} tokens "
                "does not fit",
                where=describe_lines(batch),
                fix="start a new run with a lower data.max_length, or with a smaller model",
            )
        self._max_positions = SAFETY_FACTOR * _positions(batch)
        self._notify(
            f"out of memory: a batch of {describe_shape(batch)} is split in two "
            f"({describe_lines(batch)}); a lower train.tokens_per_batch avoids this"
        )

    def _split(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if len(batch.source) > 1 and _positions(batch) > self._max_positions:
                yield from self._split(batch.halves())
            else:
                yield batch


def _positions(batch: Batch) -> int:
    return batch.source.numel() + batch.target_out.numel()


def _free_cached_memory(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if device.type == "mps":
        torch.mps.empty_cache()


@dataclass(frozen=True)
class BatchProbe:
    """A batch whose forward and backward were tried, the seconds they took, and the peak memory by then in bytes."""

    batch: Batch
    seconds: float
    memory: int


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of PyTorch on a GPU, of the whole process on a CPU; 0 if it is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
