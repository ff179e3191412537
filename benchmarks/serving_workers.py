"""Compare `regard serve` with different numbers of worker processes: throughput, latency, CPU time and memory.

    python benchmarks/serving_workers.py RUN --source FILE [--workers 1 2] [--clients 64] [--rounds 5] [--seconds 15]

starts one server per number of workers and loads them in turn, over the loopback interface: each client sends one
sentence per request, and the next one after each response. The servers, which idle between their turns, and the clients
share the machine. Printed are medians over the rounds, and for each process:

- CPU time: of the server's main process, of its workers, and of the clients, per 1,000 sentences.
- Memory: the proportional set size (PSS), which divides each shared page by the number of processes that map it. The
  sum over the processes counts every page once. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from common import count, exit_on_error, fail, print_machine, read

from regard.checkpoints.run_folder import resolve_checkpoint
from regard.serving.models import Models
from regard.text.segments import split_sentences

HOST = "127.0.0.1"
TIMEOUT = 120
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A running `regard serve`."""

    def __init__(self, run: Path, workers: int, options: Sequence[str]) -> None:
        command = [sys.executable, "-m", "regard", "serve", str(run), "--port", "0", "--device", "cpu", *options]
        command += [] if workers == 1 else ["--workers", str(workers)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        messages = []
        for line in self.process.stderr:
            messages.append(line)
            if line.startswith("listening on "):
                self.port = int(line.strip().rpartition(":")[2])
                break
        else:
            fail("".join(messages))
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    @property
    def processes(self) -> list[int]:
        """The ids of all processes, the main process first."""
        return [self.process.pid, *descendants(self.process.pid)]

    def stop(self) -> None:
        """Stop the server."""
        self.process.terminate()
        if self.process.wait(TIMEOUT):
            fail(f"the server ended with exit code {self.process.returncode}")


def descendants(pid: int) -> Iterator[int]:
    """Yield the ids of the processes that a process has started, directly or not."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from descendants(child)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss(pid: int) -> float:
    """Return the proportional set size of a process in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Answer(NamedTuple):
    """A response to a client."""

    text: str
    status: int
    body: bytes
    seconds: float


class Client:
    """A connection that costs little CPU time: http.client would use a third of what the server's main process does."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, text: str, pair: tuple[str, str]) -> Answer:
        """Translate a text."""
        body = json.dumps({"q": text, "source": pair[0], "target": pair[1]}).encode()
        start = time.monotonic()
        self.socket.sendall(
            b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, content = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(content) < length:
            content += self._receive()
        return Answer(text, int(head[9:12]), content, time.monotonic() - start)

    def _receive(self) -> bytes:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part


@dataclass
class Round:
    """One turn of one server."""

    answers: list[Answer]
    seconds: float
    main: float  # CPU seconds of the server's main process
    workers: float  # CPU seconds of the processes that it has started
    clients: float

    @property
    def throughput(self) -> float:
        """Translations per second."""
        return len(self.answers) / self.seconds

    def latency(self, fraction: float) -> float:
        """Return the milliseconds that this fraction of the responses did not exceed."""
        ranked = sorted(answer.seconds for answer in self.answers)
        return 1000 * ranked[min(len(ranked) - 1, int(fraction * len(ranked)))]


def load(server: Server, texts: Sequence[str], pair: tuple[str, str], clients: int, seconds: float) -> Round:
    """Load a server for some seconds."""
    stop = time.monotonic() + seconds

    def run(number: int) -> list[Answer]:
        client, answers = Client(server.port), []
        order = random.Random(number)
        while time.monotonic() < stop:
            answers.append(client.post(order.choice(texts), pair))
        client.socket.close()
        return answers

    before = {pid: cpu_seconds(pid) for pid in server.processes}
    own, start = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(chain.from_iterable(pool.map(run, range(clients))))
    used = {pid: cpu_seconds(pid) - before.get(pid, 0.0) for pid in server.processes}
    wall, own = time.monotonic() - start, time.process_time() - own
    if refused := [answer for answer in answers if answer.status != 200]:
        fail(f"{len(refused)} responses are not translations: {refused[0].body!r}")
    main = used.pop(server.process.pid)
    return Round(answers, wall, main, sum(used.values()), own)


def report(workers: int, rounds: Sequence[Round], server: Server, single: float) -> None:
    """Print the row of a number of workers."""

    def median(values: Iterator[float]) -> float:
        return statistics.median(values)

    def cpu(seconds: Iterator[float]) -> str:
        return f"{median(seconds):.2f}"

    throughput = median(turn.throughput for turn in rounds)
    memory = [pss(pid) for pid in server.processes]
    print(
        f"| {workers} | {throughput:.1f} | {throughput / single:.2f} | "
        f"{median(turn.latency(0.5) for turn in rounds):.0f} | {median(turn.latency(0.99) for turn in rounds):.0f} | "
        f"{cpu(1000 * turn.main / len(turn.answers) for turn in rounds)} | "
        f"{cpu(1000 * turn.workers / len(turn.answers) for turn in rounds)} | "
        f"{cpu(1000 * turn.clients / len(turn.answers) for turn in rounds)} | "
        f"{sum(memory):.0f} ({' + '.join(f'{part:.0f}' for part in memory)}) |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--workers", type=count, nargs="+", default=[1, 2])
    parser.add_argument("--clients", type=count, default=64)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=15, help="the length of each turn, default 15")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch-size", type=count, default=32)
    arguments = parser.parse_args()
    checkpoint = resolve_checkpoint(arguments.run)
    lines = [line for line in (line.strip() for line in read(arguments.source)) if line]
    served = Models([arguments.run], "cpu").served[0]
    pair = (served.source, served.target)
    texts = [line for line in lines if len(list(split_sentences(line, (0, len(line)), pair[0], ()))) == 1]
    weights = (checkpoint / "model.safetensors").stat().st_size / 2**20
    print_machine()
    print(
        f"{served.parameters:,} parameters ({weights:.0f} MiB), {arguments.precision}, {arguments.clients} clients, "
        f"{arguments.rounds} rounds of {arguments.seconds} s, {os.cpu_count()} cores\n"
    )
    print("| workers | sentences/s | times | p50 ms | p99 ms | main | workers | clients | memory MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    options = ["--precision", arguments.precision, "--batch-size", str(arguments.batch_size)]
    servers = {workers: Server(arguments.run, workers, options) for workers in arguments.workers}
    rounds: dict[int, list[Round]] = {workers: [] for workers in servers}
    for server in servers.values():
        load(server, texts, pair, arguments.clients, 2)  # warm-up
    for _ in range(arguments.rounds):
        for workers, server in servers.items():
            rounds[workers].append(load(server, texts, pair, arguments.clients, arguments.seconds))
    single = statistics.median(turn.throughput for turn in rounds[arguments.workers[0]])
    for workers, turns in rounds.items():
        report(workers, turns, servers[workers], single)
    for server in servers.values():
        server.stop()
    translations: dict[str, set[bytes]] = {}
    for answer in chain.from_iterable(turn.answers for turns in rounds.values() for turn in turns):
        translations.setdefault(answer.text, set()).add(answer.body)
    differing = sum(len(bodies) > 1 for bodies in translations.values())
    print(f"\nsentences with different translations: {differing} of {len(translations):,}")


if __name__ == "__main__":
    with exit_on_error():
        main()
