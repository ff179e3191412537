from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from regard.serving import service as serving
from regard.serving.batcher import Ticket
from regard.serving.limits import Refused
from regard.serving.service import Service


def requested(receive: Callable[[], Awaitable[dict[str, Any]]]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/translate", "headers": []}, receive)


def status_of(work: Awaitable[object]) -> int:
    async def run() -> int:
        with pytest.raises(Refused) as refused:
            await asyncio.wait_for(work, 120)
        return refused.value.status

    return asyncio.run(run())


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def there() -> dict[str, Any]:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


def test_nothing_is_done_for_a_client_that_has_gone_before_it(service: Service) -> None:
    begun: list[Ticket] = []
    assert status_of(service.work(requested(gone), begun.append)) == 499
    assert begun == []


def test_a_client_that_goes_is_not_waited_for(service: Service) -> None:
    begun, ended = threading.Event(), threading.Event()
    tickets: list[Ticket] = []

    async def leaves() -> dict[str, Any]:
        while not begun.is_set():
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    def job(ticket: Ticket) -> None:
        tickets.append(ticket)
        begun.set()
        ended.wait()

    try:
        assert status_of(service.work(requested(leaves), job)) == 499
        assert tickets[0].over
    finally:
        ended.set()


def test_where_no_thread_can_be_started_the_server_is_busy(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(serving, "start_thread", full)
    working = service.working
    assert status_of(service.work(requested(there), lambda ticket: None)) == 503
    assert service.working == working
