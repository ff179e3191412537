"""The lessons in Chromium: their figures, their models in the page, and what they load."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, Response, expect
from tests.web.conftest import Watch, at_rest, running

import regard
import regard.lessons
from regard.config.schema import SearchConfig
from regard.corpus.tagged import add_tags
from regard.decoding import strategies
from regard.decoding.strategies import SearchInput
from regard.interop.onnx.manifest import describe_tokenizer
from regard.interop.onnx.runtime import Graph, OnnxDecoder, OnnxEncoder, OnnxModel
from regard.lessons.export import dev_sources, export_model, write_examples
from regard.lessons.own_run import prepare_run, step_scores
from regard.lessons.pages import FOLDER, lessons
from regard.lessons.server import LessonServer, pages
from regard.lessons.what_if import kendall
from regard.special_tokens import BOS, EOS, UNK
from regard.tokenizers.base import Tokenizer
from regard.tokenizers.simple import ByteTokenizer, CharacterTokenizer, VocabularyTokenizer, WordTokenizer
from regard.tokenizers.subword import SubwordTokenizer
from regard.tokenizers.tagged import TaggedTokenizer

ACCESSIBLE = (Path(__file__).parent / "accessible.js").read_text(encoding="utf-8")
MODELS = FOLDER / "static" / "models"
NAMES = [lesson.name for lesson in lessons()]
OF_FIRST_MODEL = ("/static/models/", "/static/ort/")
PLAY_AND_PAUSE = """async () => {
  const [play, steps] = ["button", "input[type=range]"].map((name) => document.querySelector(`.figure ${name}`));
  play.click();
  while (Number(steps.value) < 2) await new Promise((resume) => setTimeout(resume, 10));
  play.click();
}"""
PRESS_ALL = """() => {
  const buttons = [...document.querySelectorAll(".figure button")];
  for (const button of buttons) if (button.textContent !== "Save as SVG") button.click();
  for (const input of document.querySelectorAll(".figure :is([type=radio], [type=checkbox])")) input.click();
  for (const input of document.querySelectorAll(".figure [type=range]")) {
    input.value = input.max;
    input.dispatchEvent(new Event("input"));
  }
}"""
TEXTS = [
    "The dog runs.", "  two   dogs\tplay\x1cin the\u3000snow ", "", " ", "naïve Zürich ▁ x▁", "日本語 🙂 text",
    "the then there these", "aaaaaaaa", "aaaaa", "\u0e01\u0e33 \ufeff x", "line\u2028break", "e\u0301 ö ﬁ Ⅷ １２",
    "犬は雪の中を走る", "👩‍👩‍👧🏳️‍🌈🇩🇪", "\t\ttab\tbetween\r\nlines\n", "a\u00a0b\u200bc\x00d", "<s> </s> <unk> <0x41>",
    "שלום עולم مرحبا", "नमस्ते दुनिया", "lone \ud800 surrogate", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ▁▁ ▁", "the dog " * 60,
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[LessonServer]:
    with running(LessonServer(0, pages())) as server:
        yield server


@pytest.fixture
def page(_watched: tuple[Page, Watch], server: LessonServer, watch: Watch) -> Page:
    return at_rest(_watched[0])


def visit(page: Page, server: LessonServer, name: str, *, again: bool = False) -> None:
    """Open a lesson, unless it is open, and wait until its figures are drawn and its models have run."""
    if again or page.url != server.address + name:
        page.goto("about:blank")
        page.goto(server.address + name)
    expect(page.locator(".figure:not([data-ready])")).to_have_count(0)
    for status in page.locator(".figure .status").all():
        expect(status).not_to_have_text("Loading the models…")


def run(page: Page, code: str, argument: object = None) -> Any:
    """Return the result of a function of the modules in `static`; `load` imports one of them."""
    return page.evaluate(
        f"async (argument) => {{ const load = (name) => import(`/static/${{name}}`); {code} }}", argument
    )


@pytest.mark.parametrize("name", NAMES[::-1])  # the next test goes on with the first
def test_a_lesson_is_small_local_accessible_and_its_figures_are_saved(
    page: Page, server: LessonServer, name: str, tmp_path: Path
) -> None:
    loaded: dict[str, int] = {}

    def count(response: Response) -> None:
        loaded[urlsplit(response.url).path] = int(response.headers.get("content-length", "0"))

    page.on("response", count)
    visit(page, server, name, again=True)
    page.remove_listener("response", count)
    before_model = {path: size for path, size in loaded.items() if not path.startswith(OF_FIRST_MODEL)}
    assert sum(before_model.values()) < 300_000
    assert sum(loaded.values()) < 6_100_000  # with the font of formulas, the runtime and two models
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(ACCESSIBLE) == []
    for drawing in save_figures(page, tmp_path):
        assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in drawing
        assert "class=" not in drawing
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(100)  # the figures are drawn again in the next frame
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(ACCESSIBLE) == []


def save_figures(page: Page, folder: Path) -> list[str]:
    """Save all figures of the page and return their text."""
    texts = []
    for number, button in enumerate(page.get_by_role("button", name="Save as SVG").all()):
        with page.expect_download() as download:
            button.click()
        path = folder / f"{number}.svg"
        download.value.save_as(path)
        texts.append(path.read_text(encoding="utf-8"))
    return texts


def test_roots_in_formulas_are_drawn(page: Page, server: LessonServer) -> None:
    visit(page, server, "6-transformer")
    run(page, "await document.fonts.ready")
    widths = run(
        page,
        """const root = document.querySelector("msqrt");
        return [root, root.firstElementChild].map((element) => element.getBoundingClientRect().width);""",
    )
    assert widths[0] > widths[1] + 5


def test_a_long_source_does_not_fit_into_one_vector(page: Page, server: LessonServer) -> None:
    visit(page, server, "1-bottleneck")
    status = page.locator(".figure .status")
    page.get_by_label("Source", exact=True).fill("26277")
    expect(status).to_have_text("cho2014: 77262, right. bahdanau2014: 77262, right.")
    source = "7401938265510397"
    page.get_by_label("Source", exact=True).fill(source)
    expect(status).to_contain_text(f"bahdanau2014: {source[::-1]}, right.")
    expect(status).to_contain_text(", wrong. bahdanau2014")
    page.get_by_label("dates").check()
    expect(status).to_contain_text(", right. bahdanau2014")
    expect(page.get_by_label("Length of the source")).to_have_attribute("max", "5")


@pytest.mark.parametrize("name", NAMES)
def test_controls_do_no_harm_while_a_model_is_loading(page: Page, server: LessonServer, name: str) -> None:
    page.goto("about:blank")
    page.route("**/*.onnx", lambda route: None)  # it never arrives
    page.goto(server.address + name)
    expect(page.locator(".figure:not([data-ready])")).to_have_count(0)
    page.evaluate(PRESS_ALL)  # the fixture `watch` fails if there is an error
    page.wait_for_timeout(100)
    page.goto("about:blank")
    page.unroute_all()


def test_a_beam_in_the_page_equals_regards(page: Page, server: LessonServer) -> None:
    sources = ["7", "40921", "7401938265510397", "74019382655103975510"]
    for name in ("digits-bahdanau2014", "digits-cho2014"):
        for beam_size, settings in (
            (1, {}),
            (4, {"length_penalty": 0.6}),
            (3, {"length_norm": "average", "patience": 0}),
        ):
            search = {"beam_size": beam_size, "length_penalty": 0.0, **settings}
            top = beam_size
            shown = run(
                page_at(page, server),
                "const { Model } = await load('runtime.js');"
                "const [folder, sources, search, top] = argument;"
                "const model = new Model(folder);"
                "return Promise.all(sources.map((source) => model.translate(source, search, top)));",
                [f"models/{name}", sources, search, top],
            )
            expected = expected_translations(OnnxModel(MODELS / name), sources, search, top)
            assert [[best["output"] for best in row] for row in shown] == [
                [text for text, _ in row] for row in expected
            ]
            for row, expected_row in zip(shown, expected, strict=True):
                assert [best["score"] for best in row] == pytest.approx([score for _, score in expected_row], abs=2e-5)


def test_every_search_in_the_page_equals_regards(page: Page, server: LessonServer) -> None:
    sources = ["the dog seeks the place", "the old job paints the place and the house loves the new car"]
    lookahead = {"strategy": "lookahead", "lookahead_width": 3}
    exact = {"strategy": "exact", "beam_size": 2, "exact_steps": 20_000}
    folder = "models/phrases"
    for settings, top in (
        ({"beam_size": 1}, 1),
        ({"beam_size": 4, "allow_empty": True}, 4),
        ({"beam_size": 3, "length_penalty": 0.6}, 2),
        ({**lookahead, "lookahead_depth": 1}, 1),
        ({**lookahead, "lookahead_depth": 3, "length_penalty": 0.6}, 1),
        ({**exact, "allow_empty": False}, 1),
        ({**exact, "allow_empty": True, "exact_steps": 40}, 1),
    ):
        search = {"length_penalty": 0.0, "patience": 1, **settings}
        shown = run(
            page_at(page, server),
            "const { Model } = await load('runtime.js'); const [folder, sources, search, top] = argument;"
            "return Promise.all(sources.map((source) => new Model(folder).search(source, search, top)));",
            [folder, sources, search, top],
        )
        expected = expected_translations(OnnxModel(FOLDER / "static" / folder), sources, search, top)
        for result, expected_row in zip(shown, expected, strict=True):
            assert [best["output"] for best in result["hypotheses"]] == [text for text, _ in expected_row], settings
            scores = [best["score"] for best in result["hypotheses"]]
            assert scores == pytest.approx([score for _, score in expected_row], abs=2e-5)


def test_exact_search_in_the_page_finds_the_empty_output(page: Page, server: LessonServer) -> None:
    visit(page, server, "7-search")
    figure = page.locator("[data-figure=search]")
    status = figure.locator(".status")
    expect(status).to_have_text("Step 2 of 6: 4 candidates, 2 kept, 0 finished, 2 pruned.")
    figure.get_by_role("button", name="To the end").click()
    expect(status).to_contain_text("Result: der Hund sucht die Stelle.")
    figure.get_by_label("greedy").check()
    expect(status).to_contain_text("Step 6 of 6: 2 candidates, 1 kept, 1 finished, 0 pruned.")
    expect(status).to_contain_text("Result: der Hund sucht den Ort.")
    expect(figure.get_by_label("beam_size")).to_be_hidden()
    figure.get_by_label("lookahead", exact=True).check()
    expect(status).to_contain_text("Result: der Hund sucht die Stelle.")
    figure.get_by_label("Clauses").fill("4")
    figure.get_by_label("allow_empty").check()
    expect(status).to_contain_text("Step 6 of 2")  # of more than 20
    figure.get_by_role("button", name="Search exactly").click()
    expect(status).to_contain_text("prefixes: the empty output.", timeout=30_000)
    silence = page.locator("[data-figure=silence]")
    silence.get_by_label("empty outputs").check()
    expect(silence.locator(".status")).to_contain_text("Share of empty outputs, beam of 1 and of 64, ")


def page_at(page: Page, server: LessonServer) -> Page:
    """Return the page at any lesson, so that modules can be imported."""
    if not page.url.startswith(server.address):
        visit(page, server, NAMES[0])
    return page


SENTENCES = [
    "the dog runs in the snow",
    "then there are these dogs",
    "two dogs play the game",
    "Zürich is naïve",
    "犬は雪の中を走る 犬",
] * 5


def test_tokenizers_in_the_page_give_the_same_ids(page: Page, server: LessonServer) -> None:
    tokenizers: list[CharacterTokenizer | WordTokenizer | ByteTokenizer | SubwordTokenizer] = [
        CharacterTokenizer.train(SENTENCES, 100),
        WordTokenizer.train(SENTENCES, 12),
        ByteTokenizer(),
        SubwordTokenizer.train(SENTENCES, 297, "unigram"),
        SubwordTokenizer.train(SENTENCES, 320, "bpe"),
        SubwordTokenizer.train(SENTENCES, 297, "bpe").with_new_pieces({"▁x▁": -0.5, "🙂": -70.0, "aa": -7.5}),
    ]
    damaged = [int(number) for number in np.random.default_rng(1).integers(0, 260, 400)]
    for tokenizer in tokenizers:
        inputs = {"description": describe_tokenizer(tokenizer), "vocabulary": written(tokenizer), "texts": TEXTS}
        shown = run(
            page_at(page, server),
            "const { makeTokenizer } = await load('tokenizers.js');"
            "const { description, vocabulary, texts, damaged } = argument;"
            "const tokenizer = await makeTokenizer(description, async () => vocabulary);"
            "return [...texts.map((text) => tokenizer.encode(text)), damaged].map((ids) =>"
            "[ids, tokenizer.decode(ids), tokenizer.pieces(ids)]);",
            {**inputs, "damaged": [id % tokenizer.size for id in damaged]},
        )
        expected = [*map(tokenizer.encode, TEXTS), [id % tokenizer.size for id in damaged]]
        for text, ids, result in zip([*TEXTS, "damaged"], expected, shown, strict=True):
            assert result == [ids, tokenizer.decode(ids), tokenizer.pieces(ids)], (tokenizer.kind, text)
    merged = SubwordTokenizer.train(SENTENCES, 320, "bpe").pieces(tokenizers[4].encode("the dog"))
    assert merged == ["▁the", "▁dog"]


def written(tokenizer: Tokenizer) -> list[str]:
    """Return the vocabulary of a tokenizer that has a separate file for it."""
    if not isinstance(tokenizer, VocabularyTokenizer):
        return []
    return [tokenizer.vocabulary.token(id) for id in range(tokenizer.size)]


def test_tags_in_the_page_give_the_same_ids(page: Page, server: LessonServer) -> None:
    tokenizer = TaggedTokenizer(SubwordTokenizer.train(SENTENCES, 300, "bpe"), ["de", "x>y", "de-CH"])
    texts = ["<de>the dog", "<x>y><de-CH> the dog", "<fr>the dog", "the <de>dog", "<>", "<de>"]
    tags = [["de"], ["x>y", "de-CH"], [], [], [], ["de"]]
    plain = ["the dog", " the dog", "<fr>the dog", "the <de>dog", "<>", ""]
    hidden = [add_tags(text, row) for text, row in zip(plain, tags, strict=True)]
    shown = run(
        page_at(page, server),
        "const { makeTokenizer } = await load('tokenizers.js'); const tokenizer = await makeTokenizer(argument[0]);"
        "return argument[1].map((text) => { const ids = tokenizer.encode(text);"
        "return [ids, tokenizer.decode(ids), tokenizer.pieces(ids)]; });",
        [describe_tokenizer(tokenizer), [*texts, *hidden]],
    )
    for text, result in zip([*hidden, *hidden], shown, strict=True):
        ids = tokenizer.encode(text)
        assert result == [ids, tokenizer.decode(ids), tokenizer.pieces(ids)], text


def test_scores_in_the_page_are_those_of_the_models(page: Page, server: LessonServer) -> None:
    measured = regard.lessons.figure("scores")
    computed = run(
        page_at(page, server),
        "const { parts } = await load('figure_scores.js'); const { softmax } = await load('scores.js');"
        "const weights = (kind, query, keys, parameters) => softmax(parts(kind, query, keys, parameters).scores);"
        "return Object.fromEntries(Object.entries(argument).map(([kind, { sentences, parameters }]) => [kind,"
        "sentences.map(({ queries, keys }) => queries.map((query) => weights(kind, query, keys, parameters)))]));",
        measured,
    )
    for kind, model in measured.items():
        for sentence, weights in zip(model["sentences"], computed[kind], strict=True):
            for row, expected in zip(weights, sentence["weights"], strict=True):
                assert row == pytest.approx(expected, abs=2e-4)


def test_controls_change_the_scores_figure(page: Page, server: LessonServer) -> None:
    visit(page, server, "3-scores")
    figure = page.locator("[data-figure=scores]")
    expect(figure.locator(".status")).to_contain_text("is on source token 4 (6)")
    figure.get_by_label("Multiply the query by").fill("0")
    expect(figure.locator(".status")).to_contain_text("Scores from 0.00 to 0.00. The largest weight, 0.200")
    expect(figure.get_by_label("divide by √d")).to_be_hidden()
    figure.get_by_label("scaled dot").check()
    expect(figure.get_by_label("divide by √d")).to_be_visible()
    saturation = page.locator("[data-figure=saturation]")
    saturation.get_by_label("Dimensions d").fill("10")
    expect(saturation.locator(".status")).to_contain_text("d = 1024, not divided")
    expect(saturation.locator(".status")).to_contain_text("largest weight 1.00")


@pytest.mark.slow
def test_the_readers_own_run_translates_in_the_page(
    _watched: tuple[Page, Watch], watch: Watch, models: list[Path], tmp_path: Path
) -> None:
    page, _ = _watched
    for run_folder in models:
        folder = tmp_path / run_folder.name
        prepare_run(run_folder, folder)
        assert json.loads((folder / "examples.json").read_text(encoding="utf-8"))
        with running(LessonServer(0, pages(folder))) as own:
            visit(page, own, "1-bottleneck")
            expect(page.get_by_label("your run")).to_be_checked()
            text = "one two three four"
            page.get_by_label("Source", exact=True).fill(text)
            translator = regard.load(run_folder)
            greedy = translator.translate(text, beam_size=1).text
            expect(page.locator(".figure .status")).to_have_text(f"{run_folder.name}: {greedy}.")
            shown = run(
                page,
                "const { Model } = await load('runtime.js'); return new Model('../run').translate(argument, {}, 5);",
                text,
            )
            best = translator.translate(text, top_beams=5)
            expected = [best, *best.alternatives]
            assert [beam["output"] for beam in shown] == [beam.text for beam in expected]
            assert [best["score"] for best in shown] == pytest.approx([beam.score for beam in expected], abs=1e-4)
            check_scores_of_the_run(page, own, run_folder)
            check_heads_of_the_run(page, own, run_folder)
            check_blocks_of_the_run(page, own, run_folder, text)
            visit(page, own, "7-search")
            figure = page.locator("[data-figure=search]")
            figure.get_by_label("your run").check()
            figure.get_by_label("Source", exact=True).fill(text)
            drawing = figure.locator("svg[role=img]")
            expect(drawing).to_have_attribute("aria-label", re.compile(f"for the source {text} "))
            best = translator.translate(text, beam_size=2, length_penalty=0.0, patience=1)
            figure.get_by_role("button", name="To the end").click()
            expect(figure.locator(".status")).to_contain_text(f"Result: {best.text}.")
            expect(drawing).to_have_attribute("aria-label", re.compile(f"Finished: {best.text},"))
            visit(page, own, "2-alignment")
            expect(page.locator(".foot")).to_contain_text("Your run is not shown: it keeps its last two checkpoints")
            page.goto("about:blank")
            own.shutdown()


def check_scores_of_the_run(page: Page, server: LessonServer, run_folder: Path) -> None:
    """Check that the weights of lesson 3 are those of the run, or that the figure says why there are none."""
    visit(page, server, "3-scores")
    figure = page.locator("[data-figure=scores]")
    if run_folder.name != "bahdanau2014":
        expect(figure.locator(".foot")).to_contain_text("Your run is not shown: the attention of transformer2017 is ")
        return
    figure.get_by_label("your run").check()
    figure.get_by_role("slider", name="Output token").fill("2")
    drawing = figure.locator("svg[role=img]")
    expect(drawing).to_have_attribute("aria-label", re.compile("for output token 2: "))
    label = drawing.get_attribute("aria-label")
    measured = step_scores(run_folder, dev_sources(run_folder))["sentences"][0]
    maps = regard.attend(regard.load(run_folder), measured["text"], beam_size=1)
    shown = [float(weight) for weight in re.findall(r"weight ([0-9.]+)[;.]", str(label))]
    assert shown == pytest.approx(maps.mean[1].tolist(), abs=2e-3)


def check_heads_of_the_run(page: Page, server: LessonServer, run_folder: Path) -> None:
    """Check that lesson 5 shows the heads of a Transformer, and says why it shows none of another run."""
    visit(page, server, "5-heads")
    figure = page.locator("[data-figure=heads]")
    if run_folder.name == "bahdanau2014":
        expect(figure.locator(".foot")).to_contain_text("Your run is not shown: bahdanau2014 has no self-attention")
        return
    figure.get_by_label("your run").check()
    figure.get_by_label("decoder to source").check()
    figure.locator("[data-pick='3']").first.click()
    greedy = regard.load(run_folder).translate(figure.get_by_label("Source", exact=True).input_value(), beam_size=1)
    expect(figure.locator(".status")).to_have_text(f"Output: {greedy.text}. Layer 2, head 2.")


def check_blocks_of_the_run(page: Page, server: LessonServer, run_folder: Path, text: str) -> None:
    """Check that lesson 6 walks through a transformer2017, and says why it does not walk through another run."""
    visit(page, server, "6-transformer")
    figure = page.locator("[data-figure=flow]")
    status = figure.locator(".status")
    if run_folder.name == "bahdanau2014":
        expect(figure.locator(".foot")).to_contain_text("Your run is not shown: bahdanau2014 ")
        expect(status).to_contain_text("13 numbers")
        return
    figure.get_by_label("your run").check()
    figure.get_by_label("Source", exact=True).fill(text)
    expect(status).to_contain_text("Block 1 of 29, Source tokens: 5 numbers")
    figure.get_by_role("slider", name="Block", exact=True).fill("3")
    expect(status).to_contain_text("5 × 32 + 5 × 32 → 5 × 32")


@pytest.mark.slow
def test_the_attention_of_the_readers_own_run_is_changed(
    _watched: tuple[Page, Watch], watch: Watch, models: list[Path], tmp_path: Path
) -> None:
    page, _ = _watched
    for run_folder in models:
        folder = tmp_path / run_folder.name
        export_model(run_folder, folder)
        write_examples(run_folder, folder)
        with running(LessonServer(0, pages(folder))) as own:
            visit(page, own, "4-what-if")
            weights, occluded = (page.locator(f"[data-figure={name}]") for name in ("weights", "occlusion"))
            expect(weights.get_by_label("your run")).to_be_checked()
            text = "one two three four"
            greedy = regard.load(run_folder).translate(text, beam_size=1).text
            weights.get_by_label("Source", exact=True).fill(text)
            expect(weights.locator(".status")).to_contain_text(f"Output: {greedy}.")
            chips = weights.get_by_role("group", name="Weights of the source words in this step").get_by_role("button")
            chips.nth(3).drag_to(chips.nth(0))
            expect(weights.locator(".status")).to_contain_text("With its own weights it would write ")
            occluded.get_by_label("your run").check()
            occluded.get_by_label("Source", exact=True).fill(text)
            expect(occluded.locator(".status")).to_contain_text("the largest weight is on ")
            page.goto("about:blank")
            own.shutdown()


def test_the_film_plays_pauses_and_steps(page: Page, server: LessonServer) -> None:
    film = regard.lessons.figure("alignment")["films"]["bahdanau2014"]
    visit(page, server, "2-alignment")
    status, checkpoint = page.locator(".figure .status"), page.get_by_role("slider")
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # it does not start by itself: reduced motion
    expect(status).to_contain_text("Step 0: ")
    page.get_by_role("button", name="Next checkpoint").click()
    expect(status).to_contain_text(f"Step {film['step'][1]}: ")
    checkpoint.press("ArrowRight")
    expect(status).to_contain_text(f"Step {film['step'][2]}: ")
    checkpoint.press("End")
    expect(status).to_contain_text(f"right outputs {round(100 * film['exact'][-1])} %")
    page.evaluate(PLAY_AND_PAUSE)  # from the beginning
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert 2 <= int(checkpoint.input_value()) < len(film["step"]) - 1
    page.get_by_label("transformer2017").check()
    page.get_by_label("jeudi 30 janvier 1947").check()
    expect(page.locator(".figure svg[role=img]")).to_have_attribute(
        "aria-label", re.compile("transformer2017 for jeudi 30 janvier 1947")
    )


def test_the_film_starts_by_itself_where_motion_is_welcome(page: Page, server: LessonServer) -> None:
    page.emulate_media(reduced_motion="no-preference")
    visit(page, server, "2-alignment", again=True)
    page.locator(".figure .drawing").scroll_into_view_if_needed()
    expect(page.get_by_role("slider")).not_to_have_value("0")
    expect(page.locator(".figure .status")).not_to_contain_text("Step 0: ")  # it goes along, but is not read out


def test_a_reader_who_leaves_early_is_no_error(server: LessonServer, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (BrokenPipeError(), ConnectionResetError()):
        try:
            raise error
        except ConnectionError:
            server.handle_error(None, None)
    assert capsys.readouterr().err == ""


def test_weights_of_heads_in_the_page_are_those_of_the_graphs(page: Page, server: LessonServer) -> None:
    text = "22 nov 2095"
    shown = run(
        page_at(page, server),
        "const { Model } = await load('runtime.js'); return new Model(argument[0]).heads(argument[1]);",
        ["models/dates-transformer2017", text],
    )
    model = OnnxModel(MODELS / "dates-transformer2017")
    assert isinstance(model.encoder, OnnxEncoder)
    encoded = model.encoder.graph({"source": torch.tensor([[*model.tokenizers.source.encode(text), EOS]])})
    assert shown["output"] == "2095-11-22"
    assert shown["encoder"]["dims"] == [2, 4, 12, 12]
    assert shown["encoder"]["data"] == pytest.approx(encoded["self_attention"].flatten().tolist(), abs=1e-4)
    for step, (decoder, source) in enumerate(zip(shown["decoder"], shown["source"], strict=True), 1):
        assert (decoder["dims"], source["dims"]) == ([2, 4, step], [2, 4, 12])
        assert sum(decoder["data"]) == pytest.approx(8, abs=1e-4)
        assert sum(source["data"]) == pytest.approx(8, abs=1e-4)


def test_controls_change_the_figures_of_heads_positions_and_mask(page: Page, server: LessonServer) -> None:
    visit(page, server, "5-heads")
    heads, positions, mask = (page.locator(f"[data-figure={name}]") for name in ("heads", "positions", "mask"))
    heads.get_by_label("Source", exact=True).fill("22 nov 2095")
    expect(heads.locator(".status")).to_contain_text("Output: 2095-11-22. Layer 1, head 1: ")
    heads.get_by_label("decoder to source").check()
    heads.locator("[data-pick='7']").first.click()
    expect(heads.locator(".status")).to_contain_text("Layer 2, head 4: over the test set, ")
    expect(heads.get_by_role("slider")).to_have_value("8")
    positions.get_by_label("Source", exact=True).fill("22 nov 2095")
    expect(positions.locator(".status")).to_contain_text("With positions: 2095-11-22; shuffled: ")
    before = positions.locator(".status").inner_text()
    positions.get_by_role("button", name="Shuffle again").click()
    expect(positions.locator(".status")).not_to_have_text(before)
    expect(positions.locator(".status")).to_contain_text(", the same.")
    expect(mask.locator(".status")).to_contain_text(
        "Row 4 has to write 6. It may look at ▷ 2 0 2. The token to write is not"
    )
    mask.get_by_label("causal mask", exact=True).uncheck()
    expect(mask.locator(".status")).to_contain_text(
        "It may look at ▷ 2 0 2 6 - 1 1 - 2 2. The token to write is among them"
    )


def test_a_trace_in_the_page_is_that_of_the_graph(page: Page, server: LessonServer) -> None:
    text = "3 mai 1998; 22 nov 2095"
    shown = run(
        page_at(page, server),
        "const { Model } = await load('runtime.js'); const trace = await new Model(argument[0]).trace(argument[1]);"
        "return { ...trace, logits: trace.logits.map((row) => [...row]), values: Object.fromEntries("
        "Object.entries(trace.values).map(([name, { dims, data }]) => [name, { dims, data: [...data] }])) };",
        ["models/dates-transformer2017", text],
    )
    model = OnnxModel(MODELS / "dates-transformer2017")
    source = [*model.tokenizers.source.encode(text), EOS]
    assert (shown["ids"], shown["output"]) == (source, "1998-05-03 2095-11-22")
    assert shown["written"] == [*model.tokenizers.target.encode(shown["output"]), EOS]
    assert shown["inputs"] == [BOS, *shown["written"][:-1]]
    graph = Graph(MODELS / "dates-transformer2017" / "trace.onnx", 1)
    values = graph({"source": torch.tensor([source]), "target": torch.tensor([shown["inputs"]])})
    assert shown["values"].keys() == {name for name in values if name != "logits" and not name.startswith("lens.")}
    for name, value in shown["values"].items():
        assert value["dims"] == list(values[name].shape)
        assert value["data"] == pytest.approx(values[name].flatten().tolist(), abs=2e-4), name
    for name, rows in (("logits", shown["candidates"]), ("lens.decoder.0.read", shown["lens"]["decoder.0.read"])):
        probabilities = values[name].softmax(-1)
        for row, written, expected in zip(rows, shown["written"], probabilities, strict=True):
            best = row["best"][0]
            assert best["token"] == int(expected.argmax())
            assert best["probability"] == pytest.approx(float(expected.max()), abs=1e-4)
            assert row["ofOutput"] == pytest.approx(float(expected[written]), abs=1e-4)


def test_the_transformer_is_walked_through_block_by_block(page: Page, server: LessonServer) -> None:
    visit(page, server, "6-transformer")
    figure = page.locator("[data-figure=flow]")
    status = figure.locator(".status")
    expect(status).to_contain_text("Block 1 of 29, Source tokens: 13 numbers. Written so far: 2026-.")
    figure.get_by_role("button", name="Back").click()
    expect(status).to_contain_text("Block 1 of 29")
    for _ in range(3):
        figure.get_by_role("button", name="Next").click()
    expect(status).to_contain_text(
        "Block 4 of 29, Encoder, layer 1: self-attention: "
        "13 × 64 → Q 4 × 13 × 16, K and V 4 × 13 × 16 → weights 4 × 13 × 13 → 13 × 64."
    )
    expect(figure.locator("svg")).to_contain_text("16,640 parameters, 234,624 multiplications")
    figure.get_by_role("slider", name="Block", exact=True).focus()
    page.keyboard.press("End")
    expect(status).to_contain_text("Block 29 of 29, Softmax, and the next token: 6 × 61 → 6 × 61")
    page.keyboard.press("ArrowLeft")
    expect(status).to_contain_text("Block 28 of 29, Linear: 6 × 64 → 6 × 61")
    figure.get_by_role("button", name="Next").click()
    figure.get_by_role("button", name="Next").click()  # writes a token
    expect(status).to_contain_text("Block 13 of 29, Target tokens so far: 7 numbers. Written so far: 2026-1.")
    figure.locator("[data-pick='23']").click()
    expect(status).to_contain_text("layer 2: attention to the source: 7 × 64 → Q 4 × 7 × 16, K and V 4 × 13 × 16")
    figure.get_by_role("slider", name="Tokens written", exact=True).fill("10")
    figure.get_by_role("slider", name="Block", exact=True).fill("29")
    figure.get_by_role("button", name="Next").click()  # the end token was the last one
    expect(status).to_contain_text("Block 1 of 29")
    expect(status).to_contain_text("Written so far: nothing.")
    figure.get_by_role("button", name="Play").click()
    expect(status).to_contain_text("Block 3 of 29")
    figure.get_by_role("button", name="Pause").click()
    figure.get_by_label("Source", exact=True).fill("7 dez 2031")
    expect(status).to_contain_text("11 × 64 + 11 × 64 → 11 × 64")


def test_a_sentence_is_compared_after_every_layer(page: Page, server: LessonServer) -> None:
    visit(page, server, "6-transformer")
    figure = page.locator("[data-figure=layers]")
    status = figure.locator(".status")
    expect(status).to_contain_text("Output: 2026-11-22. Token 6 would be, from the input to the last layer: - - -")
    expect(status).to_contain_text("already those of the output: 2, 2, 2, 3, 3, 9, 11 of 11.")
    figure.get_by_role("slider", name="Token", exact=True).fill("11")
    expect(status).to_contain_text("from the input to the last layer: 2 2 2 ⏎ ⏎ ⏎ ⏎.")
    figure.get_by_label("encoder: who is similar to whom?").check()
    expect(status).to_contain_text(
        "After “input”, the mean similarity of a token is 1.00 to its own input, 0.49 to its own word, and 0.06 to"
    )
    figure.get_by_role("slider", name="After", exact=True).fill("3")
    expect(status).to_contain_text("After “2 self-attention”")
    expect(status).to_contain_text("0.79 to its own word")


def test_counted_and_measured_cost_are_compared(page: Page, server: LessonServer) -> None:
    visit(page, server, "6-transformer")
    figure = page.locator("[data-figure=cost]")
    status = figure.locator(".status")
    expect(status).to_contain_text("bahdanau2014 at 128 tokens: 7.49 G operations, 0.52 × transformer2017's;")
    figure.get_by_label("operations in sequence").check()
    expect(status).to_contain_text("3,209 in sequence")
    figure.get_by_label("path between source words").check()
    figure.get_by_role("slider", name="Length", exact=True).fill("0")
    expect(status).to_contain_text("bahdanau2014 at 8 tokens: 7 hops, 7.00 × transformer2017's")
    figure.get_by_label("one decoded token").check()
    figure.get_by_role("slider", name="Architecture", exact=True).fill("6")
    expect(status).to_contain_text("convs2s2017 at 8 tokens: 4 hops, 21 % of pairs not connected")
    figure.locator("[data-pick='7']").click()
    expect(status).to_contain_text("transformer2017 at 8 tokens: 1 hop, 1.00 ×")
    decoding = regard.lessons.figure("cost")["systems"]["transformer2017"]["decoding"]
    expect(status).to_contain_text(f"; {decoding['cpu'][0]:.2f} ms of CPU time, 1.00 ×")


def steered_steps(folder: Path, source: str, weights: dict[int, list[float]]) -> tuple[str, list[float]]:
    """Return the greedy output of a model with one attention, and the log-probabilities of its tokens."""
    model = OnnxModel(folder)
    assert isinstance(model.encoder, OnnxEncoder)
    ids = torch.tensor([[*model.tokenizers.source.encode(source), EOS]])
    assert isinstance(model.decoder, OnnxDecoder)
    memory = model.encoder.graph({"source": ids})
    state, token = {"hidden": memory["hidden"]}, BOS
    output: list[int] = []
    scores = []
    while token != EOS:
        feeds = {"tokens": torch.tensor([token]), **state, **{name: memory[name] for name in model.decoder.memory}}
        if len(output) in weights:
            added = torch.tensor(weights[len(output)], dtype=torch.float32)
            feeds |= {"source_scale": torch.zeros(1, 1, 1), "source_added": added[None, None, None]}
        step = model.decoder.graph(feeds)
        state = {"hidden": step["next.hidden"]}
        token = int(step["log_probabilities"][0, EOS:].argmax()) + EOS
        output.append(token)
        scores.append(float(step["log_probabilities"][0, token]))
    return model.tokenizers.target.decode(output), scores


def test_changed_weights_in_the_page_give_the_outputs_of_the_graphs(page: Page, server: LessonServer) -> None:
    folder, source = "models/phrases/steered", "the dog sees the woman"
    cases: list[dict[int, list[float]]] = [
        {},
        {1: [0, 0, 0, 0, 1, 0]},
        {0: [0, 0.5, 0, 0.5, 0, 0], 5: [0, 1, 0, 0, 0, 0]},
    ]
    for weights in cases:
        shown = run(
            page_at(page, server),
            "const { Model } = await load('runtime.js'); const [folder, source, weights] = argument;"
            "return new Model(folder).steer(source, { weights });",
            [folder, source, {str(step): row for step, row in weights.items()}],
        )
        output, scores = steered_steps(FOLDER / "static" / folder, source, weights)
        assert shown["output"] == output
        assert [step["logProbability"] for step in shown["steps"]] == pytest.approx(scores, abs=1e-4)
        for place, step in enumerate(shown["steps"]):
            assert step["used"] == pytest.approx(weights.get(place, step["own"]), abs=1e-6)


def test_occlusion_in_the_page_is_that_of_the_model(page: Page, server: LessonServer) -> None:
    source = "the old woman paints the new house"
    words = source.split()
    shown = run(
        page_at(page, server),
        "const { Model } = await load('runtime.js'); return new Model('models/phrases').occlude(argument);",
        source,
    )
    model = OnnxModel(MODELS / "phrases")
    output = [*model.tokenizers.target.encode(shown["output"]), EOS]

    def scores(words: Sequence[str]) -> list[float]:
        ids = [model.tokenizers.source.encode(word)[0] if word else UNK for word in words]
        state = model.decoder.init_state(model.encode(torch.tensor([[*ids, EOS]])))
        values = []
        for before, token in zip([BOS, *output], output, strict=False):
            step = model.decoder.step(torch.tensor([before]), state)
            state = step.state
            values.append(float(step.logits[0, token]))
        return values

    plain = scores(words)
    for how, middle in (("replaced", [""]), ("removed", [])):
        assert len(shown[how]) == len(output)
        for place in range(len(words)):
            hidden = scores([*words[:place], *middle, *words[place + 1 :]])
            falls = [before - after for before, after in zip(plain, hidden, strict=True)]
            assert [row[place] for row in shown[how]] == pytest.approx(falls, abs=1e-4)
    pairs = [[row[:-1], falls] for row, falls in zip(shown["attention"], shown["replaced"], strict=True)]
    correlations = run(
        page,
        "const { kendall } = await load('figure_occlusion.js'); return argument.map((pair) => kendall(...pair));",
        pairs,
    )
    assert correlations == pytest.approx([kendall(np.array(row), np.array(falls)) for row, falls in pairs])


def test_weight_moves_by_mouse_press_and_key_and_words_are_forced(page: Page, server: LessonServer) -> None:
    visit(page, server, "4-what-if", again=True)
    figure = page.locator("[data-figure=weights]")
    status, outputs = figure.locator(".status"), figure.get_by_role("group", name="Output: choose a step")
    weights = figure.get_by_role("group", name="Weights of the source words in this step").get_by_role("button")
    figure.get_by_label("Source", exact=True).fill("the dog sees the woman")
    expect(status).to_have_text("Step 1 writes der. Output: der Hund sieht die Frau.")
    outputs.get_by_role("button", name="Hund").click()
    expect(weights).to_have_text(["the 1 %", "dog 99 %", "sees <1 %", "the <1 %", "woman <1 %", "⏎ <1 %"])
    weights.nth(1).drag_to(weights.nth(4))
    expect(status).to_contain_text("Step 2 writes Frau. With its own weights it would write Hund (probability 0.90)")
    expect(status).to_contain_text("with yours that has 0.00. Before: der Hund sieht die Frau. After: der Frau sieht")
    expect(weights.nth(4)).to_have_text("woman 99 %")
    weights.nth(4).press("ArrowLeft")
    expect(weights.nth(3)).to_be_focused()
    expect(weights.nth(3)).to_have_text("the 10 %")
    page.keyboard.press("ArrowLeft")
    expect(weights.nth(2)).to_have_text("sees 10 %")
    expect(weights.nth(3)).to_have_text("the <1 %")
    weights.nth(4).click()
    expect(weights.nth(4)).to_have_attribute("aria-pressed", "true")
    weights.nth(1).click()
    expect(status).to_contain_text("Step 2 writes Hund.")
    figure.get_by_role("button", name="Undo all").click()
    figure.get_by_label("Source", exact=True).fill("the dog seeks the place")
    outputs.get_by_role("button", name="den").click()
    figure.get_by_role("group", name="Force the word of this step").get_by_role("button", name="die ").click()
    expect(status).to_have_text(
        "Step 4 writes die. You forced it. Before: der Hund sucht den Ort. After: der Hund sucht die Stelle."
    )
    figure.get_by_label("another word").fill("xyz")
    figure.get_by_role("button", name="Force", exact=True).click()
    expect(status).to_have_text("“xyz” is not in the vocabulary of the model.")
    figure.get_by_label("another word").fill("der")
    figure.get_by_label("another word").press("Enter")
    expect(status).to_contain_text("Step 4 writes der. You forced it.")
    figure.get_by_role("button", name="Undo this step").click()
    expect(status).to_have_text("Step 4 writes den. Output: der Hund sucht den Ort.")


def test_weight_moves_by_touch(browser: Browser, server: LessonServer) -> None:
    with browser.new_context(has_touch=True, viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        visit(page, server, "4-what-if")
        figure = page.locator("[data-figure=weights]")
        weights = figure.get_by_role("group", name="Weights of the source words in this step").get_by_role("button")
        weights.first.scroll_into_view_if_needed()
        first, last = weights.nth(0).bounding_box(), weights.nth(4).bounding_box()
        assert first and last
        points = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2} for box in (first, last)]
        session = context.new_cdp_session(page)
        for kind, point in (("touchStart", points[:1]), ("touchMove", points[1:]), ("touchEnd", [])):
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": point})
        expect(figure.locator(".status")).to_contain_text("Step 1 writes die. With its own weights it would write der")
        expect(weights.nth(4)).to_have_text("woman 99 %")


def test_heads_are_switched_off_and_occlusion_is_compared(page: Page, server: LessonServer) -> None:
    visit(page, server, "4-what-if")
    removal, occluded = (page.locator(f"[data-figure={name}]") for name in ("removal", "occlusion"))
    removal.get_by_label("Source", exact=True).fill("7 October 2092; 22 nov 2095")
    expect(removal.locator(".status")).to_have_text("All heads are on. Output: 2092-10-07 2095-11-22.")
    removal.get_by_role("button", name="decoder to source, layer 1, head 1").click()
    expect(removal.locator(".status")).to_have_text(
        "Without decoder to source 1.1: 2092-10-07; with all heads: 2092-10-07 2095-11-22."
    )
    removal.get_by_role("button", name="All on").click()
    removal.get_by_role("button", name="encoder, layer 1, head 4").click()
    expect(removal.locator(".status")).to_have_text("Without encoder 1.4: 2092-10-07 2095-11-22, the same.")
    removal.get_by_label("first date").check()
    expect(removal.locator("svg[role=img]")).to_have_attribute("aria-label", re.compile("decoder to itself: 1.1 82 %"))
    occluded.get_by_label("Source", exact=True).fill("the dog sees the woman")
    status = occluded.locator(".status")
    expect(status).to_contain_text("der (probability 0.90): the largest weight is on the (place 1) (0.99), ")
    expect(status).to_contain_text("the largest fall is without dog (0.77), another word.")
    occluded.get_by_label("Output word").fill("2")
    expect(status).to_contain_text("the largest fall is without dog (4.12), the same word.")
    occluded.get_by_label("dates").check()
    expect(status).to_contain_text("(probability 1.00)")


def test_the_server_gives_nothing_else(server: LessonServer) -> None:
    host, port = server.server_address[:2]

    def status(path: str, headers: Sequence[tuple[str, str]] = ()) -> int:
        connection = http.client.HTTPConnection(str(host), int(port))
        connection.putrequest("GET", path, skip_host=bool(headers))
        for key, value in headers:
            connection.putheader(key, value)
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    assert status("/1-bottleneck") == status("/static/figures.js") == status("/notebooks/1-bottleneck.ipynb") == 200
    assert status("/static/../pages.py") == status("/pages/1-bottleneck.md") == status("/run/manifest.json") == 404
    assert status("/1-bottleneck", [("Host", f"example.org:{port}")]) == 404


def expected_translations(
    model: OnnxModel, sources: Sequence[str], search: dict[str, Any], top: int
) -> list[list[tuple[str, float]]]:
    """Return texts and scores of regard's search with an exported model."""
    config = SearchConfig.model_validate({**model.search.model_dump(), **search})
    inputs = [SearchInput(model.tokenizers.source.encode(source)) for source in sources]
    results = strategies.search(model, inputs, config, top_beams=top, with_attention=False)
    return [[(model.tokenizers.target.decode(best.tokens), best.score) for best in row] for row in results]
