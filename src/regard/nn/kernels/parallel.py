"""Divide the work of a kernel among threads: kernels run without Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

import torch

T = TypeVar("T")


def run_in_parallel(count: int, work: Callable[[int, int], T]) -> list[T]:
    """Divide `count` items among PyTorch's threads, call work(first, end) for each part, and return the results."""
    threads = min(torch.get_num_threads(), count)
    if threads < 2:
        return [work(0, count)]
    bounds = [count * number // threads for number in range(threads + 1)]
    futures = [_thread_pool().submit(work, *part) for part in pairwise(bounds[1:])]
    return [work(0, bounds[1]), *(future.result() for future in futures)]


@cache
def _thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="kernels")
