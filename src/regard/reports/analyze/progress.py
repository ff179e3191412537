"""A hook that shows the progress of long work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Watch(Protocol):
    """Shows how many of `total` items are done."""

    def __call__(self, description: str, items: Iterable[T], total: int) -> Iterable[T]:
        """Yield the items."""
        ...


def unwatched(description: str, items: Iterable[T], total: int) -> Iterable[T]:
    """Return the items, and show nothing."""
    return items
