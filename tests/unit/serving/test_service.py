from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request

from regard.serving import service as serving
from regard.serving.batcher import Ticket
from regard.serving.limits import RequestRejected
from regard.serving.service import Service


def make_request(receive: Callable[[], Awaitable[dict[str, Any]]]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/translate", "headers": []}, receive)


def status_of(work: Awaitable[object]) -> int:
    async def run() -> int:
        with pytest.raises(RequestRejected) as error:
            await asyncio.wait_for(work, 120)
        return error.value.status

    return asyncio.run(run())


async def disconnected() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def connected() -> dict[str, Any]:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


def test_no_job_is_started_for_a_disconnected_client(service: Service) -> None:
    started: list[Ticket] = []
    assert status_of(service.run_job(make_request(disconnected), started.append)) == 499
    assert started == []


def test_a_job_is_abandoned_when_the_client_disconnects(service: Service) -> None:
    started, ended = threading.Event(), threading.Event()
    tickets: list[Ticket] = []

    async def leave() -> dict[str, Any]:
        while not started.is_set():
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    def job(ticket: Ticket) -> None:
        tickets.append(ticket)
        started.set()
        ended.wait()

    try:
        assert status_of(service.run_job(make_request(leave), job)) == 499
        assert tickets[0].is_over
    finally:
        ended.set()


def test_the_server_is_busy_if_no_thread_can_be_started(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(serving, "start_thread", full)
    working = service.working
    assert status_of(service.run_job(make_request(connected), lambda ticket: None)) == 503
    assert service.working == working
