"""The live figures of the papers' pages in Chromium: every architecture runs in the page as in regard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from playwright.sync_api import Locator, Page, Response, expect
from tests.web.conftest import Watch, at_rest, running
from tests.web.test_lessons import ACCESSIBLE, expected_translations, run, save_figures

import regard.lessons
from regard.inference.translator import Translator
from regard.interop.onnx.runtime import OnnxModel
from regard.lessons.pages import FOLDER
from regard.lessons.papers import paper_models
from regard.lessons.render import render_markdown
from regard.lessons.server import LessonServer, pages
from regard.special_tokens import BOS, EOS

DOCS = Path(__file__).parents[2] / "docs" / "papers"
MODELS = FOLDER / "static" / "models"
SYSTEMS = list(paper_models())
WITH_HEADS = {"convs2s2017", "transformer2017", "modern"}  # more than one
WITH_SELF_ATTENTION = {"transformer2017", "modern"}
MEASURED = regard.lessons.figure("papers")
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>{title}</title>
<link rel="stylesheet" href="static/page.css"><link rel="stylesheet" href="static/figures.css">
<style>img {{ max-width: 100% }}</style>
<main>{body}</main><script type="module" src="static/figures.js"></script></html>
"""
MINUS = "\N{MINUS SIGN}"
VERDICTS = re.compile(r", (right|wrong; right is [-\d ]+)\..*, (right|wrong; right is [-\d ]+)\. Token ")
CUT_OFF = """() => {
  const { left, right } = document.querySelector(".figure .drawing").getBoundingClientRect();
  return [...document.querySelectorAll(".figure svg text")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.left < left - 1 || box.right > right + 1;
  }).map((element) => element.textContent);
}"""
SOURCES = ["22 November 2026", "mar 3 mar 2020", "lunes, 4 de mayo de 1987; 1. Januar 2001", "x", "Zürich 5 日"]


def paper_page(system: str) -> bytes:
    """Return a page with the Markdown of a paper and its live figure; the site looks different."""
    markdown = (DOCS / f"{system}.md").read_text(encoding="utf-8")
    return PAGE.format(title=system, body=render_markdown(markdown)).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[LessonServer]:
    papers = {system: paper_page(system) for system in SYSTEMS}
    pictures = {f"pictures/{path.name}": path for path in (DOCS / "pictures").iterdir()}
    with running(LessonServer(0, {**pages(), **papers, **pictures})) as server:
        yield server


@pytest.fixture
def page(_watched: tuple[Page, Watch], server: LessonServer, watch: Watch) -> Page:
    return at_rest(_watched[0])


def visit(page: Page, server: LessonServer, system: str) -> Locator:
    """Open the page of a paper, and return its figure once the model has run."""
    page.goto("about:blank")
    page.goto(server.address + system)
    figure = page.locator("[data-figure=paper]")
    figure.locator(".controls").scroll_into_view_if_needed()
    expect(figure.locator(".status")).to_contain_text(f"{system}: ")
    return figure


@pytest.mark.parametrize("system", SYSTEMS)
def test_search_in_the_page_equals_regards(page: Page, server: LessonServer, system: str) -> None:
    if not page.url.startswith(server.address):
        visit(page, server, SYSTEMS[0])
    name = paper_models()[system].name
    model = OnnxModel(MODELS / name)
    for beam_size, settings in ((1, {}), (4, {"length_penalty": 0.6}), (3, {"length_norm": "average"})):
        search = {"beam_size": beam_size, "length_penalty": 0.0, **settings}
        shown = run(
            page,
            "const { Model } = await load('runtime.js'); const [folder, sources, search, top] = argument;"
            "return Promise.all(sources.map((source) => new Model(folder).translate(source, search, top)));",
            [f"models/{name}", SOURCES, search, beam_size],
        )
        expected = expected_translations(model, SOURCES, search, beam_size)
        for row, expected_row in zip(shown, expected, strict=True):
            assert [best["output"] for best in row] == [text for text, _ in expected_row]
            assert [best["score"] for best in row] == pytest.approx([score for _, score in expected_row], abs=1e-4)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_paper_has_a_live_figure(page: Page, server: LessonServer, system: str, tmp_path: Path) -> None:
    figure = visit(page, server, system)
    status, drawing = figure.locator(".status"), figure.locator("svg[role=img]")
    model = OnnxModel(MODELS / paper_models()[system].name)
    best = Translator(model, model.tokenizers, model.search.model_copy(update={"beam_size": 4})).translate(SOURCES[0])
    figure.get_by_label("Source", exact=True).fill(SOURCES[0])
    figure.get_by_label("beam_size").fill("4")
    expect(status).to_contain_text(f"{system}: {best.text}. Token 1 ({best.text[0]}): probability ")
    expect(drawing).to_contain_text(f"score {best.score:.4f}".replace("-", MINUS))
    expected = expected_step(model)
    if model.decoder.has_attention:
        expect(status).to_contain_text(f"; its largest weights: {expected}, ")
    else:
        expect(drawing).to_contain_text(expected)
    if system in WITH_HEADS:
        figure.get_by_label("Head").fill("1")
        expect(drawing).to_contain_text("layer 1")
        figure.locator("[data-pick='1']").nth(1).click()  # the first is an output token
        expect(figure.get_by_label("Head")).to_have_value("2")
    else:
        expect(figure.get_by_label("Head")).to_be_hidden()
    if system in WITH_SELF_ATTENTION:
        figure.get_by_label("encoder", exact=True).check()
        expect(drawing).to_contain_text("mean of all heads; looked at")

    second = SYSTEMS[SYSTEMS.index(system) - 1]
    figure.get_by_label("Compare with").select_option(second)
    expect(status).to_contain_text(f". {second}: ")
    for number in (1, 2):  # the second example has two dates
        figure.get_by_role("button", name="Another").click()
        expect(figure.get_by_label("Source", exact=True)).to_have_value(MEASURED["examples"][number][0])
        expect(status).to_contain_text(VERDICTS)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(ACCESSIBLE) == []
    (saved,) = save_figures(page, tmp_path)
    assert "var(" not in saved
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(100)  # the figure is drawn again in the next frame
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(ACCESSIBLE) == []
    assert page.evaluate(CUT_OFF) == []


def expected_step(model: OnnxModel) -> str:
    """Return what the figure says of the first source: the largest weight of the first step, or the size of a state."""
    source = model.tokenizers.source.encode(SOURCES[0])
    tokens = torch.tensor([[*source, EOS]])
    state = model.decoder.init_state(model.encode(tokens))
    attention = model.decoder.advance(torch.tensor([BOS]), state, with_attention=True).attention
    if attention is not None:
        place = int(attention[0].argmax())
        return f"{attention[0, place]:.2f} on source token {place + 1} ({SOURCES[0][place]})".replace("( )", "(␣)")
    vectors = [tensor for tensor in state.rows if tensor.dim() == 2]
    if vectors:
        return f"the decoder's state: {sum(vector.numel() for vector in vectors)} numbers"
    (columns,) = state.source.tensors
    return f"{tokens.numel()} source tokens become {columns.size(1)} columns of {columns.size(2)} numbers"


def test_no_model_is_loaded_before_the_figure_is_in_view(page: Page, server: LessonServer) -> None:
    loaded: dict[str, int] = {}

    def count(response: Response) -> None:
        loaded[urlsplit(response.url).path] = int(response.headers.get("content-length", "0"))

    page.on("response", count)
    for system in SYSTEMS:
        loaded.clear()
        page.set_viewport_size({"width": 1000, "height": 200})
        page.goto("about:blank")
        page.goto(server.address + system)
        expect(page.locator("[data-figure=paper][data-ready]")).to_have_count(1)
        assert f"/static/models/{paper_models()[system].name}/manifest.json" in loaded
        assert not [path for path in loaded if path.endswith((".onnx", ".wasm.gz"))]
        assert sum(loaded.values()) < 500_000
    visit(page, server, SYSTEMS[-1])
    assert [path for path in loaded if path.endswith("step.onnx")]
    page.remove_listener("response", count)


def test_the_figure_says_what_is_wrong_with_a_source(page: Page, server: LessonServer) -> None:
    figure = visit(page, server, "luong2015")
    source, status = figure.get_by_label("Source", exact=True), figure.locator(".status")
    source.fill("22 ноября 2026")
    expect(status).to_contain_text("The models do not know 6 characters of the source")
    source.fill("  ")
    expect(status).to_have_text("Write a date in words, such as 22 November 2026.")
