"""What a server does at signals: it ends what it has accepted, or ends at once."""

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
from tests.unit.serving.running import ASKED, Running

from regard.serving import translate
from regard.serving.app import create_app
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.server import Server
from regard.serving.service import Service

# Searches that end when the file GO is there, and never without it; there is time enough for them.
HELD = """
import os, time
from regard.serving import limits, translate as work
class Patient(limits.Limits):
    def __init__(self, **given):
        super().__init__(**{"stop": 600.0, "work": 600.0, **given})
limits.Limits = Patient
translate = work.translate
def held(*arguments):
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
    return translate(*arguments)
work.translate = held
"""


@contextmanager
def asking(url: str) -> Iterator[Future[httpx.Response]]:
    """A request that is worked on."""
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=url, timeout=120) as client:
        asked = pool.submit(httpx.post, f"{url}/translate", json=ASKED, timeout=120)
        while "regard_requests_in_work 1.0" not in client.get("/metrics").text:
            assert not asked.done()
        yield asked


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"


def until_told(server: Running, text: str) -> None:
    while not any(text in line for line in server.told):
        assert server.process.poll() is None
        time.sleep(0.01)


def test_it_is_killed_and_begins_again_at_the_same_port_and_ends_what_it_has_accepted(run: Path, go: Path) -> None:
    killed = Running(run, "--port", "0")
    assert killed.stop(signal.SIGKILL) == -signal.SIGKILL
    server = Running(run, "--port", str(killed.port), python=HELD, GO=str(go))
    with asking(server.url) as asked, httpx.Client(base_url=server.url, timeout=120) as client:
        assert client.get("/health").status_code == 200
        server.process.terminate()
        until_told(server, "SIGTERM: finishing 1 requests")
        refused = client.get("/health")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert not asked.done()
        go.touch()
        answer = asked.result()
    assert answer.json() == {"translatedText": "eins zwei drei"}
    assert server.ended() == 0
    assert not any("Traceback" in line for line in server.told)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_hangup_counts_unless_it_is_ignored(models: Models, ignored: bool) -> None:
    service = Service(models)
    server = Server(create_app(service), service, "127.0.0.1", 0, print)
    hangups = (signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in hangups}
    there = signal.SIG_IGN if ignored else signal.SIG_DFL  # ignored by nohup, or by a shell in the background
    try:
        for number in hangups:
            signal.signal(number, there)
        with server.capture_signals():
            assert signal.getsignal(signal.SIGTERM) == server.handle_exit
            for number in hangups:
                assert signal.getsignal(number) == (signal.SIG_IGN if ignored else server.handle_exit)
        assert {signal.getsignal(number) for number in hangups} == {there}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        service.close()


@pytest.mark.skipif(sys.platform != "linux", reason="how a terminal hangs up differs")
def test_a_terminal_that_goes_ends_it_as_a_signal_does(run: Path, go: Path) -> None:
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
    told = ""
    while not (found := re.search(r"listening on (http://\S+)\r?\n", told)):
        told += os.read(master, 4096).decode()
    with asking(found[1]) as asked, httpx.Client(base_url=found[1], timeout=120) as client:
        os.close(master)
        while client.get("/health").status_code == 200:
            time.sleep(0.01)
        go.touch()
        assert asked.result().json() == {"translatedText": "eins zwei drei"}
    assert process.wait(120) == 0


def test_a_second_signal_ends_it_at_once(run: Path, go: Path) -> None:
    server = Running(run, "--port", "0", python=HELD, GO=str(go))
    with asking(server.url) as asked:
        server.process.terminate()
        until_told(server, "SIGTERM")
        server.process.terminate()
        assert server.ended() == -signal.SIGTERM  # though a thread is at work that never ends
        with pytest.raises(httpx.TransportError):
            asked.result()
    assert not any("Traceback" in line for line in server.told)


@contextmanager
def serving(service: Service) -> Iterator[tuple[Server, str]]:
    """A server in a thread, and its address."""
    told: list[str] = []
    server = Server(create_app(service), service, "127.0.0.1", 0, told.append)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 120
    while not told:
        assert time.monotonic() < ends
        time.sleep(0.01)
    yield server, told[0].removeprefix("listening on ")
    thread.join(120)
    assert not thread.is_alive()


@pytest.mark.parametrize("where", ["in the search", "before it"])
@pytest.mark.parametrize("path", ["/translate", "/v2/translate"])
def test_what_does_not_end_in_time_is_refused_in_the_words_of_its_interface(
    models: Models, monkeypatch: pytest.MonkeyPatch, where: str, path: str
) -> None:
    service = Service(models, Limits(stop=0.2))
    begun, ended = threading.Event(), threading.Event()

    def hang(*arguments: Any, **options: Any) -> Any:
        begun.set()
        ended.wait()
        raise RuntimeError

    if where == "before it":
        monkeypatch.setattr(translate, "translate", hang)
    else:
        monkeypatch.setattr(models.served[0].translator.model.decoder, "advance", hang)
    body: dict[str, Any] = ASKED if path == "/translate" else {"text": ["one two"], "target_lang": "DE"}
    try:
        with ThreadPoolExecutor(1) as pool, serving(service) as (server, url):
            asked = pool.submit(httpx.post, url + path, json=body, timeout=120)
            assert begun.wait(120)
            server.handle_exit(signal.SIGTERM, None)
            answer = asked.result()
    finally:
        ended.set()
    assert answer.status_code == 503
    assert list(answer.json()) == ["error" if path == "/translate" else "message"]


def test_a_message_that_cannot_be_written_does_not_keep_it_from_ending(models: Models) -> None:
    def broken(text: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    service = Service(models)
    with serving(service) as (server, url):
        assert httpx.get(f"{url}/health", timeout=120).status_code == 200
        server.say = broken
        server.handle_exit(signal.SIGHUP, None)
