"""A server with two small models of different architectures, and a browser to test its page."""

from __future__ import annotations

import random
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect, sync_playwright
from tests.end_to_end.helpers import call, write_lines

from regard.corpus.corrections import CorrectionStore
from regard.lessons.server import LessonServer
from regard.serving.api_keys import ApiKeys
from regard.serving.app import create_app
from regard.serving.glossary_store import GlossaryStore
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
expect.set_options(timeout=120_000)
KEY = "a-key-of-the-tests-0123456789"
CHARACTERS = 700
SIZE: ViewportSize = {"width": 1200, "height": 900}
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


class Served:
    """A running server, in a thread of this process."""

    def __init__(
        self,
        runs: Sequence[Path],
        *,
        keys: Sequence[str] = (),
        corrections: CorrectionStore | None = None,
        glossaries: GlossaryStore | None = None,
        characters: int = 20_000,
    ) -> None:
        self.corrections = corrections
        limits = Limits(gather=0.001, characters=characters)
        self._service = Service(Models(runs, "cpu"), limits, ApiKeys(keys), corrections, glossaries)
        config = uvicorn.Config(
            create_app(self._service), port=0, log_level="error", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(120)
        self._listener.close()
        self._service.close()


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
def served(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server of both models, without API keys, that offers everything."""
    folder = tmp_path_factory.mktemp("stores")
    corrections = CorrectionStore(folder / "corrections.sqlite", create=True)
    glossaries = GlossaryStore(folder / "glossaries")
    served = Served(models, characters=CHARACTERS, corrections=corrections, glossaries=glossaries)
    yield served
    served.stop()


@pytest.fixture
def guarded(models: list[Path]) -> Iterator[Served]:
    """Return a server of one model, with an API key and nothing else."""
    guarded = Served(models[1:], keys=[KEY])
    yield guarded
    guarded.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@dataclass
class Watch:
    """The hosts that pages contact, and their messages; `expected` holds parts of those that a test causes."""

    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def on(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._record)

    def reset(self) -> None:
        self.hosts, self.errors, self.expected = set(), [], ()

    def _request(self, request: Request) -> None:
        if host := urlsplit(request.url).netloc:  # a file has none
            self.hosts.add(host)

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.location.get('url')}: {message.text}")


@contextmanager
def running(server: LessonServer) -> Iterator[LessonServer]:
    """Let a server of lessons answer inside the context."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def at_rest(page: Page) -> Page:
    """Return a page in its usual size, light and without motion."""
    page.set_viewport_size(SIZE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return page


@pytest.fixture(scope="module")
def _watched(browser: Browser) -> Iterator[tuple[Page, Watch]]:
    """Return a page that the tests of a module share, and what it does."""
    watch = Watch()
    with browser.new_context(viewport=SIZE, permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.set_default_timeout(120_000)
        watch.on(page)
        yield page, watch


@pytest.fixture
def watch(_watched: tuple[Page, Watch]) -> Iterator[Watch]:
    """Check that pages contact no other host than this machine and log no unexpected errors or warnings."""
    watch = _watched[1]
    watch.reset()
    yield watch
    assert {host.partition(":")[0] for host in watch.hosts} <= {"127.0.0.1"}
    assert [error for error in watch.errors if not any(part in error for part in watch.expected)] == []


@pytest.fixture
def page(_watched: tuple[Page, Watch], served: Served, watch: Watch) -> Iterator[Page]:
    """Return the page as a new reader sees it, once it has loaded the list of models."""
    page, _ = _watched
    page.set_viewport_size(SIZE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto("about:blank")
    page.goto(served.address)
    expect(page.get_by_label("Model")).to_have_value("bahdanau2014")
    expect(page.locator("#examples")).to_be_visible()
    yield page
    page.unroute_all()
    page.mouse.move(0, 0)
