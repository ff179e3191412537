"""Signals: the server finishes accepted requests, or stops at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.doubles import watch_steps
from tests.unit.serving.running import PATIENT, REQUEST, Running

from regard.serving import translate
from regard.serving.app import create_app
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.server import Server
from regard.serving.service import Service

# Searches wait until the file GO exists.
HELD = f"""{PATIENT}
import os, time
from regard.serving import translate as translation
translate = translation.translate
def blocked(*arguments):
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
    return translate(*arguments)
translation.translate = blocked
"""


@contextmanager
def pending_request(url: str) -> Iterator[Future[httpx.Response]]:
    """Send a request and yield its future once it is in progress."""
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=url, timeout=120) as client:
        future = pool.submit(httpx.post, f"{url}/translate", json=REQUEST, timeout=120)
        while "regard_requests_in_work 1.0" not in client.get("/metrics").text:
            assert not future.done()
        yield future


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"


def wait_for_output(server: Running, text: str) -> None:
    while not any(text in line for line in server.output):
        assert server.process.poll() is None
        time.sleep(0.01)


def test_a_restart_on_the_same_port_after_a_kill_and_a_graceful_shutdown(run: Path, go: Path) -> None:
    killed = Running(run, "--port", "0")
    assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    server = Running(run, "--port", str(killed.port), python=HELD, GO=str(go))
    with pending_request(server.url) as future, httpx.Client(base_url=server.url, timeout=120) as client:
        assert client.get("/health").status_code == 200
        server.process.terminate()
        wait_for_output(server, "SIGTERM: finishing 1 requests")
        refused = client.get("/health")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert not future.done()
        go.touch()
        answer = future.result()
    assert answer.json() == {"translatedText": "eins zwei drei"}
    assert server.wait() == 0
    assert not any("Traceback" in line for line in server.output)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_hangup_stops_the_server_unless_it_is_ignored(models: Models, ignored: bool) -> None:
    service = Service(models)
    server = Server(create_app(service), service, "127.0.0.1", 0, print)
    hangups = (signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in hangups}
    initial = signal.SIG_IGN if ignored else signal.SIG_DFL  # ignored by nohup, or by a shell in the background
    try:
        for number in hangups:
            signal.signal(number, initial)
        with server.capture_signals():
            assert signal.getsignal(signal.SIGTERM) == server.handle_exit
            for number in hangups:
                assert signal.getsignal(number) == (signal.SIG_IGN if ignored else server.handle_exit)
        assert {signal.getsignal(number) for number in hangups} == {initial}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        service.close()


@pytest.mark.skipif(sys.platform != "linux", reason="how a terminal hangs up differs")
def test_closing_the_terminal_stops_the_server_gracefully(run: Path, go: Path) -> None:
    code = (
        f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{HELD}\nfrom regard.cli.main import run; run()"
    )
    command = [sys.executable, "-c", code, "serve", str(run), "--device", "cpu", "--port", "0"]
    master, slave = os.openpty()
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GO": str(go)},
    )
    os.close(slave)
    output = ""
    while not (match := re.search(r"listening on (http://\S+)\r?\n", output)):
        output += os.read(master, 4096).decode()
    with pending_request(match[1]) as future, httpx.Client(base_url=match[1], timeout=120) as client:
        os.close(master)
        while client.get("/health").status_code == 200:
            time.sleep(0.01)
        go.touch()
        assert future.result().json() == {"translatedText": "eins zwei drei"}
    assert process.wait(120) == 0


def test_a_second_signal_stops_the_server_at_once(run: Path, go: Path) -> None:
    server = Running(run, "--port", "0", python=HELD, GO=str(go))
    with pending_request(server.url) as future:
        server.process.terminate()
        wait_for_output(server, "SIGTERM")
        server.process.terminate()
        assert server.wait() == -signal.SIGTERM  # although a thread is still running
        with pytest.raises(httpx.TransportError):
            future.result()
    assert not any("Traceback" in line for line in server.output)


@contextmanager
def serving(service: Service) -> Iterator[tuple[Server, str]]:
    """Run a server in a thread; yield it and its address."""
    messages: list[str] = []
    server = Server(create_app(service), service, "127.0.0.1", 0, messages.append)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    while not messages:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield server, messages[0].removeprefix("listening on ")
    thread.join(120)
    assert not thread.is_alive()


@pytest.mark.parametrize("where", ["in the search", "before it"])
@pytest.mark.parametrize("path", ["/translate", "/v2/translate"])
def test_requests_that_exceed_the_shutdown_limit_are_rejected_in_their_format(
    models: Models, monkeypatch: pytest.MonkeyPatch, where: str, path: str
) -> None:
    service = Service(models, Limits(stop=0.2))
    started, ended = threading.Event(), threading.Event()

    def hang(*arguments: Any, **options: Any) -> Any:
        started.set()
        ended.wait()
        raise RuntimeError

    if where == "before it":
        monkeypatch.setattr(translate, "translate", hang)
    else:
        watch_steps(models.served[0].translator.model.decoder, hang, monkeypatch)
    body: dict[str, Any] = REQUEST if path == "/translate" else {"text": ["one two"], "target_lang": "DE"}
    try:
        with ThreadPoolExecutor(1) as pool, serving(service) as (server, url):
            future = pool.submit(httpx.post, url + path, json=body, timeout=120)
            assert started.wait(120)
            server.handle_exit(signal.SIGTERM, None)
            answer = future.result()
    finally:
        ended.set()
    assert answer.status_code == 503
    assert list(answer.json()) == ["error" if path == "/translate" else "message"]


def test_an_unwritable_message_does_not_block_the_shutdown(models: Models) -> None:
    def broken(text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    service = Service(models)
    with serving(service) as (server, url):
        assert httpx.get(f"{url}/health", timeout=120).status_code == 200
        server.say = broken
        server.handle_exit(signal.SIGHUP, None)
