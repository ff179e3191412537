"""A server under load, over this machine's loopback alone: latency, throughput, and whether anything accepted is lost.

    python benchmarks/serving.py RUN --source FILE [--requests 2000] [--clients 16] [--seconds 300]

starts `regard serve RUN` in a process of its own and asks it for sentences of the file, drawn by chance, one a request,
by so many clients at a time, each of which asks again when it has its answer; one that is refused with 503 waits as
long as it is told and asks again. Then the same while broken clients send half a request, nonsense, or go before they
are answered, and slow ones send a byte at a time. Then a server that searches one sentence at a time (--batch-size 1),
with one request in four, and `regard translate` of the same sentences: the time of all less that of one, which is the
start. Every answer is held against that of `regard translate`; of the file only lines of one sentence are taken, since
a server divides others. Requests end after so many seconds.
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

from common import count, fail, read, told

from regard.checkpoints.run_folder import resolve_checkpoint
from regard.serving.models import Models
from regard.text.segments import split_sentences

HOST = "127.0.0.1"
TIMEOUT = 120


@dataclass
class Load:
    """What good clients saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  # of answers
    answers: list[tuple[str, str]] = field(default_factory=list)  # what was asked, and what came
    refused: int = 0
    lost: int = 0  # asked, neither answered nor refused
    broken: int = 0  # requests of broken and slow clients


class Wanted(NamedTuple):
    """How a server is asked."""

    batch: int
    clients: int
    broken: int
    seconds: float


class Server:
    """`regard serve` until it is stopped."""

    def __init__(self, run: Path, batch: int) -> None:
        command = [sys.executable, "-m", "regard", "serve", str(run), "--port", "0", "--batch-size", str(batch)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("listening on "):
                self.port = int(line.strip().rpartition(":")[2])
                break
        else:
            fail(f"{run}: the server did not begin")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self) -> int:
        """Its exit status."""
        self.process.terminate()
        return self.process.wait(TIMEOUT)


def ask(connection: http.client.HTTPConnection, text: str, pair: tuple[str, str]) -> tuple[int, dict[str, object], int]:
    """The status, the answer, and after how many seconds to try again."""
    body = json.dumps({"q": text, "source": pair[0], "target": pair[1]})
    connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()), int(answer.headers.get("Retry-After") or 0)


def client(port: int, pair: tuple[str, str], texts: Sequence[str], ends: float) -> Load:
    """One good client's part."""
    load = Load()
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    for text in texts:
        while time.monotonic() < ends:
            began = time.monotonic()
            try:
                status, answer, wait = ask(connection, text, pair)
            except (OSError, http.client.HTTPException):
                load.lost += 1
                connection.close()
                break
            if status == 503:
                load.refused += 1
                time.sleep(wait)
                continue
            if status == 200:
                load.latencies.append(time.monotonic() - began)
                load.answers.append((text, str(answer["translatedText"])))
            else:
                load.lost += 1
            break
    connection.close()
    return load


def annoy(port: int, pair: tuple[str, str], over: threading.Event, load: Load) -> None:
    """A broken client, again and again."""
    dice = random.Random(1)
    body = json.dumps({"q": "one two three. " * 50, "source": pair[0], "target": pair[1]}).encode()
    head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    kinds = [
        whole[:90],
        whole,
        b"\x00\xff\r\n\r\n",
        head + b"Content-Length: 99999999999\r\n\r\n",
        whole.replace(b"{", b"["),
    ]
    while not over.is_set():
        try:
            with socket.create_connection((HOST, port), timeout=5) as one:
                if dice.random() < 0.2:  # a slow one
                    for place in range(20):
                        one.sendall(whole[place : place + 1])
                        time.sleep(0.05)
                else:
                    one.sendall(dice.choice(kinds))
        except OSError:
            pass
        load.broken += 1
        time.sleep(0.05)


def under_load(port: int, pair: tuple[str, str], texts: Sequence[str], wanted: Wanted) -> Load:
    """All clients together."""
    over = threading.Event()
    whole, clients, seconds = Load(), wanted.clients, wanted.seconds
    annoying = [
        threading.Thread(target=annoy, args=(port, pair, over, whole), daemon=True) for _ in range(wanted.broken)
    ]
    for one in annoying:
        one.start()
    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        parts = [texts[number::clients] for number in range(clients)]
        loads = list(pool.map(lambda part: client(port, pair, part, began + seconds), parts))
    whole.seconds = time.monotonic() - began
    over.set()
    for one in annoying:
        one.join()
    for load in loads:
        whole.latencies += load.latencies
        whole.answers += load.answers
        whole.refused += load.refused
        whole.lost += load.lost
    return whole


def translate(run: Path, texts: Sequence[str]) -> tuple[list[str], float]:
    """By the command, and in how many seconds."""
    began = time.monotonic()
    text = "".join(f"{one}\n" for one in texts)
    done = subprocess.run(
        [sys.executable, "-m", "regard", "translate", str(run)], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"{run}: {done.stderr}")
    return done.stdout.splitlines(), time.monotonic() - began


def share(latencies: Sequence[float], part: float) -> float:
    """The latency that this part of them does not exceed, in ms."""
    ranked = sorted(latencies)
    return 1000 * ranked[min(len(ranked) - 1, int(part * len(ranked)))] if ranked else float("nan")


def measured(name: str, run: Path, texts: Sequence[str], wanted: Wanted) -> Load:
    """One server's row of the table."""
    served = Models([run], "cpu").served[0]
    pair = (served.source, served.target)
    server = Server(run, wanted.batch)
    client(server.port, pair, texts[:20], time.monotonic() + TIMEOUT)  # to warm up
    load = under_load(server.port, pair, texts, wanted)
    status = server.stop()
    done = len(load.answers)
    print(
        f"| {name} | {done:,} | {done / load.seconds:.1f} | {share(load.latencies, 0.5):.0f} | "
        f"{share(load.latencies, 0.99):.0f} | {load.refused:,} | {load.lost:,} | {load.broken:,} | {status} |",
        flush=True,
    )
    return load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--requests", type=count, default=2000)
    parser.add_argument("--clients", type=count, default=16)
    parser.add_argument("--seconds", type=count, default=300, help="of each load, at most")
    arguments = parser.parse_args()
    resolve_checkpoint(arguments.run)
    lines = [line for line in (line.strip() for line in read(arguments.source)) if line]
    language = Models([arguments.run], "cpu").served[0].source
    lines = [line for line in lines if len(list(split_sentences(line, (0, len(line)), language, ()))) == 1]
    texts = random.Random(1).choices(lines, k=arguments.requests)
    words = sum(len(text.split()) for text in texts)
    print(f"{len(texts):,} sentences, {words:,} words, {arguments.clients} clients, {os.cpu_count()} cores\n")
    print("| | answers | sentences/s | p50 ms | p99 ms | refused | lost | broken clients | exit status |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    every, quarter = texts, texts[: max(1, len(texts) // 4)]
    kinds = (
        ("in batches", every, Wanted(32, arguments.clients, 0, arguments.seconds)),
        ("in batches, broken clients among them", every, Wanted(32, arguments.clients, 3, arguments.seconds)),
        ("one at a time", quarter, Wanted(1, arguments.clients, 0, arguments.seconds)),
    )
    loads = [measured(name, arguments.run, some, wanted) for name, some, wanted in kinds]
    _, start = translate(arguments.run, texts[:1])
    said, seconds = translate(arguments.run, texts)
    print(f"| `regard translate` | {len(texts):,} | {len(texts) / max(1e-9, seconds - start):.1f} | | | | | | 0 |")
    known = dict(zip(texts, said, strict=True))
    differing = [sum(known[text] != answer for text, answer in load.answers) for load in loads]
    print(f"\nother than by `regard translate`: {', '.join(map(str, differing))} of these answers")


if __name__ == "__main__":
    with told():
        main()
