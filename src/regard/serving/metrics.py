"""Metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "regard_requests", "Requests by endpoint and status.", ["endpoint", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "regard_request_seconds",
            "Time from the head of a request to its response.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "regard_batch_sentences", "Sentences per batch.", buckets=_SIZES, registry=self._registry
        )
        self._characters = Counter("regard_characters", "Characters of translated texts.", registry=self._registry)
        self._queue = Gauge("regard_queue_sentences", "Waiting sentences.", registry=self._registry)
        self._working = Gauge("regard_requests_in_work", "Requests in progress.", registry=self._registry)
        self._deaths = Gauge(
            "regard_worker_deaths", "Worker processes that ended unexpectedly.", registry=self._registry
        )
        self.characters = 0

    def watch(self, queue: Callable[[], float], working: Callable[[], float], deaths: Callable[[], float]) -> None:
        """Set the functions that the gauges read."""
        self._queue.set_function(queue)
        self._working.set_function(working)
        self._deaths.set_function(deaths)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a response."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def batch(self, size: int) -> None:
        """Count a batch."""
        self._batches.observe(size)

    def text(self, characters: int) -> None:
        """Count translated characters."""
        self.characters += characters
        self._characters.inc(characters)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
