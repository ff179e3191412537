"""Limits of requests and connections, and the exception that rejects a request."""

from __future__ import annotations

from dataclasses import dataclass

RESERVE = 32  # file descriptors for checkpoints, imports and logs


@dataclass(frozen=True)
class Limits:
    """All limits of the server. Times are in seconds."""

    body: int = 1 << 20  # bytes of a request
    characters: int = 20_000  # in all texts of a request
    texts: int = 128  # per request
    attention_tokens: int = 100  # per side for /attention, whose response grows with the product of both lengths
    alternatives: int = 8
    beam: int = 10  # largest beam, whether set by the recipe or needed for alternatives
    batch: int = 32  # sentences per batch
    requests: int = 256  # running at a time; each has a thread
    queue: int = 4096  # waiting sentences
    connections: int = 1024
    reserve: int = RESERVE  # file descriptors that connections leave free
    gather: float = 0.005  # time that the first sentence of a batch waits for others
    work: float = 60.0  # from the received request to its response
    receive: float = 15.0  # to receive the head of a request, and the same for its body
    send: float = 60.0  # for the client to read the response
    stop: float = 30.0  # to finish accepted requests
    reload: float = 2.0  # between two checks for a newer checkpoint
    load: float = 600.0  # to load a checkpoint
    file: int = 10 << 20  # bytes of a file to translate
    file_characters: int = 1_000_000  # to translate in a file
    documents: int = 8  # files that are being received or translated
    files: int = 200  # stored translations
    stored: int = 256 << 20  # bytes of all stored translations
    file_life: float = 1800.0  # from the translation of a file to its deletion
    file_work: float = 1800.0  # to translate a file
    upload: float = 120.0  # to receive a file


class RequestRejected(Exception):
    """A request is rejected.

    Attributes:
        status: The HTTP status of the response.
        message: The reason.
        retry_after: Seconds after which the client may try again, if any.
    """

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def invalid(message: str) -> RequestRejected:
    """Return the error for an invalid request."""
    return RequestRejected(400, f"Invalid request: {message}")


def busy(message: str) -> RequestRejected:
    """Return the error for a server that is too busy."""
    return RequestRejected(503, message, retry_after=1)
