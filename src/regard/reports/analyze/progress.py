"""Long work that can be watched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Watch(Protocol):
    """What sees things pass, of which there are `total`, while `what` is done."""

    def __call__(self, what: str, things: Iterable[T], total: int) -> Iterable[T]:
        """The same things."""
        ...


def unwatched(what: str, things: Iterable[T], total: int) -> Iterable[T]:
    """Nobody looks."""
    return things
