"""The documentation site: it builds without a warning, needs no network, and every link on it leads somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer.main

import regard
from regard.cli.main import app
from regard.models import ARCHITECTURES

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RESOURCES = {"src", "srcset", "data", "poster", "action", "xlink:href"}  # what a browser loads, on any element
CSS_ADDRESS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class Page(HTMLParser):
    """The addresses and the anchors of a page."""

    path: Path
    loaded: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        text = self.path.read_text(encoding="utf-8")
        self.feed(text)
        self.loaded |= {"".join(match) for match in CSS_ADDRESS.findall(text)}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.loaded |= {values[name] for name in RESOURCES & values.keys()}
        if "href" in values:
            (self.links if tag in {"a", "area"} else self.loaded).add(values["href"])
        if tag == "base" or values.get("http-equiv", "").lower() == "refresh":
            self.loaded.add(values.get("content", "http://base"))


def _is_external(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in {"", "data"}


def external_resources(page: Page) -> set[str]:
    return {address for address in page.loaded if _is_external(address)}


def broken_links(page: Page, pages: dict[Path, Page]) -> set[str]:
    """Return the addresses of a page that lead to no file of the site, or to no place on a page of it."""
    broken = set()
    for address in page.links | page.loaded:
        parts = urlsplit(address)
        if _is_external(address) or parts.scheme:
            continue
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
        if not target.is_file() or (
            parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
        ):
            broken.add(address)
    return broken


@pytest.mark.slow
def test_every_page_of_the_site_is_complete_and_needs_no_network(tmp_path: Path) -> None:
    site = tmp_path / "site"
    settings = ["-q", "-E", "-b", "html", "-n", "-W", "--keep-going", "-d", str(tmp_path / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *settings, "-c", "docs/site", ".", str(site)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert site / "index.html" in pages
    assert {address for page in pages.values() for address in external_resources(page)} == set()
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not [match for style in styles for match in CSS_ADDRESS.findall(style) if _is_external("".join(match))]
    broken = {str(page.path.relative_to(site)): broken_links(page, pages) for page in pages.values()}
    assert not {name: addresses for name, addresses in broken.items() if addresses}
    assert "<mi>&</mi>" not in (site / "docs/papers/cho2014.html").read_text(encoding="utf-8")  # of `aligned`
    _check_reference(site)
    _check_search(site)
    _check_papers(site)


def _check_reference(site: Path) -> None:
    """Check that all commands with their options, and all public names of Python, are documented."""
    commands = (site / "docs/cli.html").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f'id="regard-{name}' in commands
        options = [option for option in command.params if option.param_type_name == "option" and not option.hidden]
        assert not [option.opts for option in options if option.opts[0] not in commands], name
    anchors = Page(site / "docs/api.html").anchors
    assert {f"regard.{name}" for name in regard.__all__ if name != "__version__"} <= anchors


def _check_search(site: Path) -> None:
    """Check that the search finds a page in a browser, from files, and that the browser asks for nothing else."""
    assert "docs/papers/bahdanau2014" in (site / "searchindex.js").read_text(encoding="utf-8")
    if CHROMIUM is None:
        return
    from playwright.sync_api import expect, sync_playwright

    requests: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{site.as_uri()}/search.html?q=bahdanau2014")
        expect(page.get_by_role("link", name="RNNsearch: bahdanau2014").first).to_be_visible(timeout=60_000)
        browser.close()
    assert not [request for request in requests if not request.startswith(("file:", "data:"))]


def _check_papers(site: Path) -> None:
    """Check that the page of every paper is small, and that its live figure runs its model when it is in view."""
    if CHROMIUM is None:
        return
    from playwright.sync_api import expect, sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for architecture in ARCHITECTURES:
            page = browser.new_page(viewport={"width": 1000, "height": 300})
            loaded: dict[str, int] = {}
            errors: list[str] = []
            page.on("response", lambda response: loaded.update({response.url: len(response.body())}))  # noqa: B023
            page.on("pageerror", lambda error: errors.append(str(error)))  # noqa: B023
            page.goto(f"http://127.0.0.1:{server.server_port}/docs/papers/{architecture}.html")
            expect(page.locator(".figure[data-ready]")).to_have_count(1)
            page.wait_for_load_state("networkidle")
            assert sum(loaded.values()) < 3_000_000
            assert not [url for url in loaded if url.endswith((".onnx", ".wasm.gz"))]
            page.locator(".figure .controls").scroll_into_view_if_needed()
            expect(page.locator(".figure .status")).to_contain_text(f"{architecture}: ", timeout=120_000)
            assert not errors
            page.close()
        browser.close()
    server.shutdown()
    server.server_close()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


def test_external_resources_and_broken_links_are_found(tmp_path: Path) -> None:
    for name, text in {
        "a.html": '<script src="https://cdn.example/x.js"></script>'
        "<style>a { background: url(//cdn.example/a.png) }</style>"
        '<link rel="stylesheet" href="http://fonts.example/f.css"><a href="https://example.org">fine</a>'
        '<a href="b.html#there">fine</a><a href="b.html#absent">broken</a><a href="c.html">broken</a><img src="d.png">',
        "b.html": '<p id="there">text</p>',
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    pages = {path.resolve(): Page(path) for path in tmp_path.glob("*.html")}
    first = pages[(tmp_path / "a.html").resolve()]
    assert external_resources(first) == {
        "https://cdn.example/x.js",
        "//cdn.example/a.png",
        "http://fonts.example/f.css",
    }
    assert broken_links(first, pages) == {"b.html#absent", "c.html", "d.png"}
