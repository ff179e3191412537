"""A server in a separate process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx

KEY = "a-key-of-a-test"
# The time limits are high enough for a machine that is busy with other work.
PATIENT = """
from regard.serving import limits
class PatientLimits(limits.Limits):
    def __init__(self, **options):
        super().__init__(**{"stop": 600.0, "work": 600.0, **options})
limits.Limits = PatientLimits
"""
REQUEST = {"q": "one two three", "source": "en", "target": "de"}


class Running:
    """A running `regard serve` process."""

    def __init__(self, run: Path, *options: str, shell: str = "", python: str = "", **environment: str) -> None:
        """Start it. `shell` and `python` are run in its process first, such as `ulimit -n 64`."""
        code = f"{python}\nfrom regard.cli.main import run\nrun()"
        command = [sys.executable, "-c", code, "serve", str(run), "--device", "cpu", *options]
        if shell:
            command = ["sh", "-c", f'{shell} && exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        assert self.process.stderr is not None
        self.output: list[str] = []
        for line in self.process.stderr:
            self.output.append(line)
            if line.startswith("listening on "):
                break
        else:
            raise AssertionError("".join(self.output))
        self.url = self.output[-1].removeprefix("listening on ").strip()
        self.port = int(self.url.rpartition(":")[2])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.output.extend(self.process.stderr)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(120)
        self._reader.join(120)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)

    def translates(self) -> bool:
        answer = httpx.post(f"{self.url}/translate", json={**REQUEST, "api_key": KEY}, timeout=120)
        return bool(answer.json() == {"translatedText": "eins zwei drei"})
