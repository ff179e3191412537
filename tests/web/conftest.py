"""A server with two small models of different architectures, and a browser to look at its page with."""

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
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from tests.end_to_end.helpers import call, start, write_lines

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
expect.set_options(timeout=120_000)
KEY = "a-key-of-the-tests-0123456789"
CHARACTERS = 700
SIZES = {
    "bahdanau2014": "hidden_size = 32\nembedding_size = 24\nattention_size = 24\nmaxout_size = 24",
    "transformer2017": "encoder_layers = 2\ndecoder_layers = 2\nd_model = 32\nff = 48\nheads = 2",
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
    """A server that runs."""

    process: subprocess.Popen[bytes]
    address: str

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)
        assert self.process.stderr is not None
        self.process.stderr.close()


def _begun(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return start("serve", *arguments, "--port", "0", "--device", "cpu", stdout=subprocess.DEVNULL)


def _listening(process: subprocess.Popen[bytes]) -> Served:
    assert process.stderr is not None
    told = b""
    for line in process.stderr:
        told += line
        if found := re.search(rb"listening on (http://\S+)", line):
            return Served(process, found[1].decode() + "/")
    raise AssertionError(told.decode())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Spoken digits of English, backwards in German."""
    folder = tmp_path_factory.mktemp("web")
    dice = random.Random(1)
    for name, count in (("train", 1200), ("dev", 40)):
        lines = [dice.choices(list(WORDS), k=dice.randint(1, 7)) for _ in range(count)]
        write_lines(folder / f"{name}.en", [" ".join(line) for line in lines])
        write_lines(folder / f"{name}.de", [" ".join(WORDS[word] for word in reversed(line)) for line in lines])
    for name, sizes in SIZES.items():
        (folder / f"{name}.toml").write_text(RECIPE.format(name=name, sizes=sizes))
        done = call("train", folder / f"{name}.toml", "--out", folder / name)
        assert done.code == 0, done.err
    return [folder / name for name in SIZES]


@pytest.fixture(scope="session")
def servers(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    keys = write_lines(tmp_path_factory.mktemp("keys") / "keys", [KEY])
    begun = _begun(*models, "--characters", str(CHARACTERS)), _begun(models[1], "--api-keys", keys)
    first, second = map(_listening, begun)
    yield first, second
    first.stop()
    second.stop()


@pytest.fixture(scope="session")
def served(servers: tuple[Served, Served]) -> Served:
    """Both models."""
    return servers[0]


@pytest.fixture(scope="session")
def guarded(servers: tuple[Served, Served]) -> Served:
    """One model, for those who have a key."""
    return servers[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@dataclass
class Watch:
    """What a page asked for and complained of; `expected`: parts of complaints that a test brings about."""

    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def on(self, page: Page) -> None:
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture
def watch(served: Served, guarded: Served) -> Iterator[Watch]:
    """Nothing is asked of another host, and nothing complained of."""
    watch = Watch()
    yield watch
    assert watch.hosts <= {urlsplit(server.address).netloc for server in (served, guarded)}
    assert [one for one in watch.complaints if not any(part in one for part in watch.expected)] == []


@pytest.fixture
def page(browser: Browser, served: Served, watch: Watch) -> Iterator[Page]:
    """The page, once it has been told the models."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(120_000)
        watch.on(page)
        page.goto(served.address)
        expect(page.get_by_label("Model")).to_have_value("bahdanau2014")
        yield page
