"""Measure a server under load over the loopback interface: latency, throughput, and lost requests.

    python benchmarks/serving.py RUN --source FILE [--requests 2000] [--clients 16] [--seconds 300]

starts `regard serve RUN` in a separate process and measures four cases with random sentences of the file:

1. Clients send one sentence per request, and the next one after each response. After a 503 response, a client waits as
   long as Retry-After says and tries again.
2. The same, while broken clients send incomplete or invalid requests or disconnect early, and slow clients send single
   bytes.
3. A server that translates one sentence at a time (--batch-size 1), with a quarter of the requests.
4. `regard translate` of the same sentences. The time for a single sentence is subtracted as start-up time.

Every response is compared with the output of `regard translate`. Only lines with a single sentence are used, because a
server splits the others. Each load ends after --seconds at the latest.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from common import count, exit_on_error, fail, print_machine, read

from regard.checkpoints.run_folder import resolve_checkpoint
from regard.serving.models import Models
from regard.text.segments import split_sentences

HOST = "127.0.0.1"
TIMEOUT = 120


@dataclass
class Load:
    """The results of well-behaved clients."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # of responses
    answers: list[tuple[str, str]] = field(default_factory=list)  # sentence, translation
    refused: int = 0
    lost: int = 0  # neither answered nor refused
    broken: int = 0  # requests of broken and slow clients


class Scenario(NamedTuple):
    """The batch size of a server, the numbers of clients, and the longest duration."""

    batch_size: int
    clients: int
    broken_clients: int
    seconds: float


class Server:
    """A running `regard serve`."""

    def __init__(self, run: Path, batch_size: int) -> None:
        command = [sys.executable, "-m", "regard", "serve", str(run), "--port", "0", "--batch-size", str(batch_size)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("listening on "):
                self.port = int(line.strip().rpartition(":")[2])
                break
        else:
            fail(f"{run}: the server did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self) -> int:
        """Stop the server and return its exit status."""
        self.process.terminate()
        return self.process.wait(TIMEOUT)


def post(
    connection: http.client.HTTPConnection, text: str, pair: tuple[str, str]
) -> tuple[int, dict[str, object], int]:
    """Return the status, the response, and the seconds to wait before a retry."""
    body = json.dumps({"q": text, "source": pair[0], "target": pair[1]})
    connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read()), int(response.headers.get("Retry-After") or 0)


def run_client(port: int, pair: tuple[str, str], texts: Sequence[str], deadline: float) -> Load:
    """Send the texts of one client, one after another."""
    load = Load()
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    for text in texts:
        while time.monotonic() < deadline:
            start = time.monotonic()
            try:
                status, answer, wait = post(connection, text, pair)
            except (OSError, http.client.HTTPException):
                load.lost += 1
                connection.close()
                break
            if status == 503:
                load.refused += 1
                time.sleep(wait)
                continue
            if status == 200:
                load.latencies.append(time.monotonic() - start)
                load.answers.append((text, str(answer["translatedText"])))
            else:
                load.lost += 1
            break
    connection.close()
    return load


def run_broken_client(port: int, pair: tuple[str, str], stop: threading.Event, load: Load) -> None:
    """Send broken requests until `stop` is set."""
    rng = random.Random(1)
    body = json.dumps({"q": "one two three. " * 50, "source": pair[0], "target": pair[1]}).encode()
    head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    kinds = [
        request[:90],
        request,
        b"\x00\xff\r\n\r\n",
        head + b"Content-Length: 99999999999\r\n\r\n",
        request.replace(b"{", b"["),
    ]
    while not stop.is_set():
        try:
            with socket.create_connection((HOST, port), timeout=5) as connection:
                if rng.random() < 0.2:  # a slow client
                    for index in range(20):
                        connection.sendall(request[index : index + 1])
                        time.sleep(0.05)
                else:
                    connection.sendall(rng.choice(kinds))
        except OSError:
            pass
        load.broken += 1
        time.sleep(0.05)


def under_load(port: int, pair: tuple[str, str], texts: Sequence[str], scenario: Scenario) -> Load:
    """Run all clients of a scenario at the same time and return their results together."""
    stop = threading.Event()
    total, clients, seconds = Load(), scenario.clients, scenario.seconds
    broken = [
        threading.Thread(target=run_broken_client, args=(port, pair, stop, total), daemon=True)
        for _ in range(scenario.broken_clients)
    ]
    for thread in broken:
        thread.start()
    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        parts = [texts[number::clients] for number in range(clients)]
        loads = list(pool.map(lambda part: run_client(port, pair, part, start + seconds), parts))
    total.seconds = time.monotonic() - start
    stop.set()
    for thread in broken:
        thread.join()
    for load in loads:
        total.latencies += load.latencies
        total.answers += load.answers
        total.refused += load.refused
        total.lost += load.lost
    return total


def translate(run: Path, texts: Sequence[str]) -> tuple[list[str], float]:
    """Translate with `regard translate`; return the translations and the seconds."""
    start = time.monotonic()
    lines = "".join(f"{text}\n" for text in texts)
    result = subprocess.run(
        [sys.executable, "-m", "regard", "translate", str(run)],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        fail(f"{run}: {result.stderr}")
    return result.stdout.splitlines(), time.monotonic() - start


def percentile(latencies: Sequence[float], fraction: float) -> float:
    """Return the latency that this fraction of the requests does not exceed, in ms."""
    ranked = sorted(latencies)
    return 1000 * ranked[min(len(ranked) - 1, int(fraction * len(ranked)))] if ranked else float("nan")


def measure(name: str, run: Path, texts: Sequence[str], scenario: Scenario) -> Load:
    """Measure one scenario and print its row of the table."""
    served = Models([run], "cpu").served[0]
    pair = (served.source, served.target)
    server = Server(run, scenario.batch_size)
    run_client(server.port, pair, texts[:20], time.monotonic() + TIMEOUT)  # warm-up
    load = under_load(server.port, pair, texts, scenario)
    status = server.stop()
    answers = len(load.answers)
    print(
        f"| {name} | {answers:,} | {answers / load.seconds:.1f} | {percentile(load.latencies, 0.5):.0f} | "
        f"{percentile(load.latencies, 0.99):.0f} | {load.refused:,} | {load.lost:,} | {load.broken:,} | {status} |",
        flush=True,
    )
    return load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--requests", type=count, default=2000)
    parser.add_argument("--clients", type=count, default=16)
    parser.add_argument("--seconds", type=count, default=300, help="the longest duration of each load, default 300")
    arguments = parser.parse_args()
    resolve_checkpoint(arguments.run)
    lines = [line for line in (line.strip() for line in read(arguments.source)) if line]
    language = Models([arguments.run], "cpu").served[0].source
    lines = [line for line in lines if len(list(split_sentences(line, (0, len(line)), language, ()))) == 1]
    texts = random.Random(1).choices(lines, k=arguments.requests)
    words = sum(len(text.split()) for text in texts)
    print_machine()
    print(f"{len(texts):,} sentences, {words:,} words, {arguments.clients} clients, {os.cpu_count()} cores\n")
    print("| | answers | sentences/s | p50 ms | p99 ms | refused | lost | broken clients | exit status |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    quarter = texts[: max(1, len(texts) // 4)]
    scenarios = (
        ("in batches", texts, Scenario(32, arguments.clients, 0, arguments.seconds)),
        ("in batches, with broken clients", texts, Scenario(32, arguments.clients, 3, arguments.seconds)),
        ("one at a time", quarter, Scenario(1, arguments.clients, 0, arguments.seconds)),
    )
    loads = [measure(name, arguments.run, sentences, scenario) for name, sentences, scenario in scenarios]
    _, startup = translate(arguments.run, texts[:1])
    translations, seconds = translate(arguments.run, texts)
    print(f"| `regard translate` | {len(texts):,} | {len(texts) / max(1e-9, seconds - startup):.1f} | | | | | | 0 |")
    expected = dict(zip(texts, translations, strict=True))
    differing = [sum(expected[text] != answer for text, answer in load.answers) for load in loads]
    print(f"\nresponses that differ from `regard translate`: {', '.join(map(str, differing))}")


if __name__ == "__main__":
    with exit_on_error():
        main()
