"""Progress of long work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class ProgressHook(Protocol):
    """Called with an iterable that takes long, to show its progress."""

    def __call__(self, description: str, items: Iterable[T], total: int, /) -> Iterable[T]:
        """Return the same items.

        Args:
            description: What is being done.
            items: The items to pass through.
            total: Their number.
        """
        ...


def no_progress(description: str, items: Iterable[T], total: int, /) -> Iterable[T]:
    """Return the items without showing progress."""
    return items
