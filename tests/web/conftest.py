"""A server with two small models of different architectures, and a browser to test its page."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from tests.end_to_end.helpers import call, start, write_lines

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
expect.set_options(timeout=120_000)
KEY = "a-key-of-the-tests-0123456789"
CHARACTERS = 700
SIZES = {
    "bahdanau2014": "hidden_size = 32\nembedding_size = 24\nattention_size = 24\nmaxout_size = 24",
    "transformer2017": "encoder_layers = 2\ndecoder_layers = 2\nhidden_size = 32\nffn_size = 48\nnum_heads = 2",
}
RECIPE = """
[data]
source = "train.en"
target = "train.de"
dev_source = "dev.en"
dev_target = "dev.de"
source_language = "en"
target_language = "de"

[tokenizer]
kind = "word"
vocabulary_size = 30

[model]
architecture = "{name}"
{sizes}
dropout = 0.0

[train]
max_steps = 100
tokens_per_batch = 512
optimizer = "muon"
learning_rate = 0.02
schedule = "cosine"
warmup_steps = 10
label_smoothing = 0.0
checkpoint_every = 100
patience = 0
metric = "loss"
device = "cpu"

[search]
beam_size = 5
"""
WORDS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
        strict=True,
    )
)


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[bytes]
    address: str

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
        assert self.process.stderr is not None
        self.process.stderr.close()


def _start_server(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return start("serve", *arguments, "--port", "0", "--device", "cpu", stdout=subprocess.DEVNULL)


def _wait_until_listening(process: subprocess.Popen[bytes]) -> Served:
    assert process.stderr is not None
    output = b""
    for line in process.stderr:
        output += line
        if match := re.search(rb"listening on (http://\S+)", line):
            return Served(process, match[1].decode() + "/")
    raise AssertionError(output.decode())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Train two models that translate English digits to German in reverse order."""
    folder = tmp_path_factory.mktemp("web")
    generator = random.Random(1)
    for name, count in (("train", 1200), ("dev", 40)):
        lines = [generator.choices(list(WORDS), k=generator.randint(1, 7)) for _ in range(count)]
        write_lines(folder / f"{name}.en", [" ".join(line) for line in lines])
        write_lines(folder / f"{name}.de", [" ".join(WORDS[word] for word in reversed(line)) for line in lines])
    for name, sizes in SIZES.items():
        (folder / f"{name}.toml").write_text(RECIPE.format(name=name, sizes=sizes))
        result = call("train", folder / f"{name}.toml", "--out", folder / name)
        assert result.code == 0, result.err
    return [folder / name for name in SIZES]


@pytest.fixture(scope="session")
def servers(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    keys = write_lines(tmp_path_factory.mktemp("keys") / "keys", [KEY])
    processes = _start_server(*models, "--characters", str(CHARACTERS)), _start_server(models[1], "--api-keys", keys)
    first, second = map(_wait_until_listening, processes)
    yield first, second
    first.stop()
    second.stop()


@pytest.fixture(scope="session")
def served(servers: tuple[Served, Served]) -> Served:
    """Return the server of both models, without API keys."""
    return servers[0]


@pytest.fixture(scope="session")
def guarded(servers: tuple[Served, Served]) -> Served:
    """Return the server of one model, with an API key."""
    return servers[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@dataclass
class Watch:
    """The hosts that a page contacts, and its messages; `expected` holds parts of those that a test causes."""

    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def on(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._record)

    def _request(self, request: Request) -> None:
        if host := urlsplit(request.url).netloc:  # a file has none
            self.hosts.add(host)

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)


@pytest.fixture
def watch(served: Served, guarded: Served) -> Iterator[Watch]:
    """Check that the page contacts no other host and logs no unexpected errors or warnings."""
    watch = Watch()
    yield watch
    assert watch.hosts <= {urlsplit(server.address).netloc for server in (served, guarded)}
    assert [error for error in watch.errors if not any(part in error for part in watch.expected)] == []


@pytest.fixture
def page(browser: Browser, served: Served, watch: Watch) -> Iterator[Page]:
    """Return the page once it has loaded the list of models."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(120_000)
        watch.on(page)
        page.goto(served.address)
        expect(page.get_by_label("Model")).to_have_value("bahdanau2014")
        yield page
