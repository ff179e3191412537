"""A server with two workers, in separate processes: killed workers, reloading, metrics, and signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.unit.serving.running import PATIENT, REQUEST, Running
from tests.unit.serving.runs import add_checkpoint, sentences

from regard.serving.models import Models

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers need Linux")


def start(folder: Path) -> Running:
    return Running(folder, "--port", "0", "--workers", "2", python=PATIENT)


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the run, to which a test adds a checkpoint."""
    return shutil.copytree(run, tmp_path_factory.mktemp("workers") / "small", symlinks=True)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    running = start(folder)
    yield running
    if running.process.poll() is None:
        running.stop()


def sample(models: Models, seed: int) -> tuple[list[str], list[str]]:
    """Return texts, and how one process translates them."""
    texts = sentences(12, seed)
    return texts, [translation.text for translation in models.served[0].translator.translate(texts)]


def children(pid: int) -> list[int]:
    """Return the processes that any thread of a process has started."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def processes(server: Running) -> tuple[int, list[int]]:
    """Return the id of the latest model process, and those of its workers."""
    model = max((pid for pid in children(server.process.pid) if children(pid)), default=0)
    return model, children(model) if model else []


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def have_ended(pids: Sequence[int]) -> bool:
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                return False
    return True


def metric(server: Running, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics", timeout=120).text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def pending(server: Running, texts: Sequence[str]) -> Iterator[tuple[list[int], list[Future[str]]]]:
    """Send requests while both workers are stopped. Yield the workers and the responses once both have a batch."""

    def send(text: str) -> str:
        answer = httpx.post(f"{server.url}/translate", json={**REQUEST, "q": text}, timeout=120)
        return str(answer.json().get("translatedText"))

    until(lambda: len(processes(server)[1]) == 2)
    _, stopped = processes(server)
    batches = metric(server, "regard_batch_sentences_count")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(len(texts)) as pool:
        try:
            futures = [pool.submit(send, text) for text in texts]
            until(lambda: metric(server, "regard_requests_in_work") == len(texts))
            until(lambda: metric(server, "regard_batch_sentences_count") >= batches + 2)
            yield stopped, futures
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def test_nothing_is_lost_when_workers_are_killed(server: Running, models: Models) -> None:
    texts, expected = sample(models, 9)
    model, workers = processes(server)
    assert len(workers) == 2
    with pending(server, texts) as (stopped, futures):
        os.kill(stopped[0], signal.SIGKILL)
        os.kill(stopped[1], signal.SIGCONT)
        assert [future.result(120) for future in futures] == expected
    until(lambda: metric(server, "regard_worker_deaths") == 1)
    assert any(f"worker process {workers[0]} was ended by SIGKILL" in line for line in server.output)
    with pending(server, texts) as (stopped, futures):
        for pid in (model, *stopped):
            with suppress(ProcessLookupError):  # workers end with their model process
                os.kill(pid, signal.SIGKILL)
        assert [future.result(120) for future in futures] == expected
    until(lambda: have_ended([model, *workers]))
    until(lambda: any("the process that holds the model was ended by SIGKILL" in line for line in server.output))
    assert metric(server, 'regard_requests_total{endpoint="/translate",status="200"}') == 2 * len(texts)
    assert metric(server, "regard_batch_sentences_sum") == 2 * len(texts)


def test_workers_translate_a_file(server: Running, models: Models) -> None:
    texts, expected = sample(models, 80)
    fields, file = {"source": "en", "target": "de"}, ("a.json", json.dumps(texts).encode())
    answer = httpx.post(f"{server.url}/translate_file", data=fields, files={"file": file}, timeout=120)
    assert httpx.get(answer.json()["translatedFileUrl"], timeout=120).json() == expected


def test_a_new_checkpoint_reaches_all_workers(server: Running, folder: Path, models: Models) -> None:
    texts, expected = sample(models, 10)
    model, workers = processes(server)
    with pending(server, texts) as (_, futures):
        add_checkpoint(folder, 2, steps=1)
        until(lambda: any("now serving a new checkpoint" in line for line in server.output))
        assert not have_ended(workers)
    assert [future.result() for future in futures] == expected  # by the previous model
    until(lambda: have_ended([model, *workers]))
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: server.translates(), range(16)))


def test_a_signal_to_all_processes_drains_the_server(server: Running) -> None:
    model, workers = processes(server)
    with pending(server, ["one two"] * 3) as (_, futures):
        for pid in (server.process.pid, model, *workers):
            os.kill(pid, signal.SIGTERM)
        until(lambda: any("SIGTERM: finishing 3 requests" in line for line in server.output))
    assert "None" not in [future.result() for future in futures]
    assert server.wait() == 0
    until(lambda: have_ended([model, *workers]))
    assert not any("Traceback" in line for line in server.output)


def test_a_second_signal_ends_all_processes(run: Path) -> None:
    server = start(run)
    model, workers = processes(server)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(httpx.post, f"{server.url}/translate", json=REQUEST, timeout=120)
        until(lambda: metric(server, "regard_requests_in_work") == 1)
        server.process.terminate()
        until(lambda: any("SIGTERM" in line for line in server.output))
        server.process.terminate()
        assert server.wait() == -signal.SIGTERM
        with pytest.raises(httpx.TransportError):
            future.result()
    until(lambda: have_ended([model, *workers]))
