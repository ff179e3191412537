"""How many processes are chosen to translate, and what happens if one of them is killed."""

from __future__ import annotations

import gc
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.queues import SimpleQueue
from typing import Any

import pytest
import torch

from regard.errors import DecodingError
from regard.inference import workers
from regard.inference.workers import PROBE, probe, stream


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def taking(seconds: Callable[[int], float], monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], object]:
    """Return a translation function that takes `seconds(threads)` for each line, by a fake clock."""
    clock = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock)

    def translate(lines: Sequence[str]) -> None:
        nonlocal clock
        clock += seconds(torch.get_num_threads()) * len(lines)

    return translate


LINES = [str(number) for number in range(10 * PROBE)]


def test_processes_are_chosen_where_threads_gain_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_room", lambda: 100)
    assert probe(taking(lambda threads: 1.0 if threads == 1 else 0.7, monkeypatch), LINES, 4) == 4
    assert torch.get_num_threads() == 4


def test_threads_are_chosen_where_they_gain_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_room", lambda: 100)
    assert probe(taking(lambda threads: 1 / threads, monkeypatch), LINES, 4) == 1


def test_there_are_no_more_processes_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for room, expected in ((3, 3), (1, 1), (0, 1)):
        monkeypatch.setattr(workers, "_room", lambda room=room: room)
        assert probe(taking(lambda threads: 1.0, monkeypatch), LINES, 4) == expected


def test_the_memory_of_this_machine_has_room_for_one_at_least() -> None:
    assert workers._room() >= 1


def test_the_probe_is_of_lines_from_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    probe(seen.extend, LINES, 4)
    assert len(seen) == 4 * PROBE
    assert seen[PROBE - 1] == LINES[10 * (PROBE - 1)]


class Killed:
    """A translator that is killed by SIGKILL while it sends the beginning of its result."""

    def translate(self, lines: Sequence[str], **options: object) -> None:
        (queue,) = filter(lambda item: isinstance(item, SimpleQueue), gc.get_objects())
        writer: Any = queue._writer
        os.write(writer.fileno(), struct.pack("!i", 1000) + b"the beginning")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_is_killed_while_it_sends_its_result_is_an_error(count: int) -> None:
    with pytest.raises(DecodingError, match="a worker process ended unexpectedly"):
        list(stream(Killed, ["1"], count))  # type: ignore[arg-type]
