"""What a client may ask of the server, and how it is told that it asks too much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """All bounds, in one place; times are in seconds."""

    body: int = 1 << 20  # bytes of a request
    characters: int = 20_000  # of all texts of a request
    texts: int = 128  # in the list of a request
    looks: int = 100  # tokens on either side of what /attention looks at: its answer grows with their product
    alternatives: int = 8
    beam: int = 10  # the most that a recipe's beam and the alternatives may make of it
    batch: int = 32  # sentences searched together
    requests: int = 256  # worked on at a time; each has a thread
    queue: int = 4096  # sentences that wait
    connections: int = 1024
    gather: float = 0.005  # that the first sentence of a batch waits for others
    work: float = 60.0  # from the whole request to its answer
    receive: float = 15.0  # for the head of a request, and for its body
    send: float = 60.0  # for a client to take its answer
    stop: float = 30.0  # to finish what was accepted
    reload: float = 2.0  # between two looks at whether a run has a better checkpoint
    load: float = 600.0  # to load one; afterwards it is given up


class Refused(Exception):
    """A request is not done: an HTTP status, why, and after how many seconds it may be tried again."""

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def invalid(message: str) -> Refused:
    """What is asked for is wrong in itself."""
    return Refused(400, f"Invalid request: {message}")


def busy(message: str) -> Refused:
    """There is too much to do just now."""
    return Refused(503, message, retry_after=1)
