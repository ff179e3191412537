"""The page of `regard serve` in Chromium, with trained models."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect
from tests.web.conftest import CHARACTERS, KEY, Served, Watch

import regard
from regard.attention import explorer
from regard.attention.maps import AttentionMaps, TokenizedText
from regard.html import explorer as html_explorer

ACCESSIBLE = (Path(__file__).parent / "accessible.js").read_text(encoding="utf-8")
WEB = Path(regard.__file__).parent / "serving" / "web"
SENTENCE = "one two three four"


def request(page: Page, path: str, **body: Any) -> Any:
    """Send a request to the server and return its JSON response."""
    address = page.url.split("#")[0]
    answer = page.request.post(address + path, data={"source": "en", "target": "de", **body})
    assert answer.ok, answer.text()
    return answer.json()


def pane(page: Page, number: int = 0) -> Locator:
    """Return the pane with the translation of a model."""
    return page.locator(f".target-{number}")


def answer(page: Page, number: int = 0) -> Locator:
    return pane(page, number).locator(".answer")


def details(page: Page, number: int = 0) -> Locator:
    """Return the section with the alternatives and the attention of a sentence."""
    return page.locator(f".details-{number}")


def write(page: Page, text: str, translation: str | None = None) -> None:
    """Type a text and wait for its translation and attention."""
    page.get_by_label("Your text").fill(text)
    expect(answer(page)).to_have_text(translation or request(page, "translate", q=text)["translatedText"])
    expect(details(page).locator(".map")).to_be_visible()


def words(page: Page, side: str) -> Locator:
    return details(page).get_by_role("group", name=side, exact=True).get_by_role("button")


def state(page: Page) -> dict[str, str]:
    """Return the fields in the fragment of the address."""
    pairs = page.evaluate("[...new URLSearchParams(location.hash.slice(1))]")
    return dict(pairs)


def shares(buttons: Locator) -> list[float]:
    shares = buttons.evaluate_all("all => all.map(one => Number(one.style.getPropertyValue('--share')))")
    return [float(share) for share in shares]


class Routes:
    """Requests that a test holds back until it releases them."""

    def __init__(self) -> None:
        self.held: list[Route] = []
        self.is_open = False

    def hold(self, route: Route) -> None:
        if self.is_open:
            route.continue_()
        else:
            self.held.append(route)

    def release(self) -> None:
        self.is_open = True
        for route in self.held:
            route.continue_()


def reply(status: int, body: str) -> Callable[[Route], None]:
    """Return a handler that replies to every request."""
    return lambda route: route.fulfill(status=status, body=body)


def test_a_sentence_is_translated_as_it_is_typed(page: Page) -> None:
    text, held = page.get_by_label("Your text"), Routes()
    page.route("**/translate", held.hold)
    text.press_sequentially("one two")
    expect(pane(page)).to_have_attribute("aria-busy", "true")
    held.release()
    expect(answer(page)).to_have_text(request(page, "translate", q="one two")["translatedText"])
    expect(pane(page)).not_to_have_attribute("aria-busy", "true")
    text.press_sequentially(" three")
    translated = request(page, "translate", q="one two three")["translatedText"]
    expect(answer(page)).to_have_text(translated)
    expect(answer(page)).to_have_attribute("lang", "de")
    expect(pane(page).get_by_role("status")).to_have_text(translated)  # read by screen readers
    expect(page.locator("#count")).to_have_text(f"13 / {CHARACTERS} characters")
    expect(page).to_have_url(re.compile(r"#q=one\+two\+three&"))
    expect(text).to_be_focused()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == translated
    page.get_by_role("button", name="Clear").click()
    expect(text).to_be_focused()
    expect(details(page)).to_be_hidden()
    expect(answer(page)).to_be_empty()


def test_an_empty_page_offers_sentences_of_the_dev_set(page: Page, models: list[Path]) -> None:
    swap = page.get_by_role("button", name="Swap languages")
    expect(swap).to_be_disabled()
    expect(swap).to_have_attribute("title", "There is no model from German to English")
    examples = page.locator("#examples button")
    expect(examples).to_have_count(4)
    sentence = examples.first.inner_text()
    assert sentence in (models[0].parent / "dev.en").read_text().splitlines()
    examples.first.click()
    expect(page.get_by_label("Your text")).to_have_value(sentence)
    expect(answer(page)).to_have_text(request(page, "translate", q=sentence)["translatedText"])
    expect(page.locator("#examples")).to_be_hidden()


def test_a_new_request_aborts_the_previous_one(page: Page) -> None:
    held: list[Route] = []
    failed: list[str] = []

    def hold(route: Route) -> None:
        if json.loads(route.request.post_data or "")["q"] == "nine":
            held.append(route)
        else:
            route.continue_()

    page.on("requestfailed", lambda request: failed.append(str(request.failure)))
    page.route("**/translate", hold)
    with page.expect_request("**/translate"):
        page.get_by_label("Your text").fill("nine")
    write(page, "one two")
    assert len(held) == 1
    assert failed == ["net::ERR_ABORTED"]


def test_hovering_a_word_shows_its_attention(page: Page) -> None:
    write(page, SENTENCE)
    looks = request(page, "attention", q=SENTENCE)["looks"]
    lines = details(page).locator(".pair path")
    count = lines.count()
    assert count > 0
    last = len(looks["target"]["words"]) - 1
    words(page, "target").nth(last).hover()
    row = looks["mean"][last]
    assert shares(words(page, "source")) == pytest.approx(row, abs=1e-3)
    assert lines.count() == sum(share >= 0.04 for share in row)
    most = max(range(len(row)), key=row.__getitem__)
    status = details(page).locator(".status")
    expect(status).to_contain_text(
        f"attends to: \u2068{looks['source']['words'][most]}\u2069 {math.floor(100 * row[most] + 0.5)}%"
    )
    words(page, "source").nth(0).hover()
    expect(status).to_contain_text("is attended to by")
    page.mouse.move(0, 0)
    expect(status).to_have_text("")
    assert lines.count() == count
    words(page, "target").nth(0).click()
    page.mouse.move(0, 0)
    expect(words(page, "target").nth(0)).to_have_attribute("aria-pressed", "true")
    expect(status).to_contain_text("attends to")


def test_keyboard_navigation(page: Page) -> None:
    visited: list[str] = []

    def tab_to(target: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            name, outline = page.evaluate(
                "() => { const on = document.activeElement, ring = on.id === 'q' ? on.closest('.pane') : on;"
                "return [on.id || on.className || on.dataset.name, getComputedStyle(ring).outlineStyle]; }"
            )
            visited.append(name)
            assert outline != "none", name
            if name == target:
                return
        raise AssertionError(f"no {target} after {visited}")

    tab_to("q")
    page.keyboard.type(SENTENCE)
    best = request(page, "translate", q=SENTENCE)["translatedText"]
    expect(answer(page)).to_have_text(best)
    expect(details(page).locator(".map")).to_be_visible()
    tab_to("word")
    page.keyboard.press("ArrowRight")
    expect(answer(page).locator(".word").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitemradio").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitemradio").nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(answer(page).locator(".word").nth(1)).to_be_focused()
    tab_to("leaf")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(answer(page)).not_to_have_text(best)
    expect(details(page).locator(".tree button[aria-pressed=true]")).to_be_focused()
    tab_to("word")
    status = details(page).locator(".status")
    expect(status).to_contain_text("\u2068one\u2069 is attended to by")
    assert words(page, "source").evaluate_all("all => all.filter(one => one.tabIndex === 0).length") == 1
    page.keyboard.press("ArrowRight")
    expect(status).to_contain_text("\u2068two\u2069 is attended to by")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(status).to_contain_text("\u2068four\u2069 is attended to by")
    page.keyboard.press("Tab")
    expect(status).to_contain_text("attends to:")
    tab_to("map")
    assert visited[:7] == ["tab-text", "model", "against", "from", "to", "glossary", "q"]


def test_two_models_side_by_side(page: Page) -> None:
    write(page, SENTENCE)
    page.get_by_label("Compare with").select_option("transformer2017")
    second = request(page, "translate", q=SENTENCE, model="transformer2017")["translatedText"]
    expect(answer(page, 1)).to_have_text(second)
    expect(pane(page, 1).get_by_role("heading", level=2)).to_contain_text("Translation by transformer2017")
    expect(details(page, 1).get_by_label("attention")).to_have_count(1)
    expect(details(page, 0).get_by_label("attention")).to_have_count(0)  # it has only one kind
    for part in (pane, details):
        left_box, right_box = (part(page, number).bounding_box() for number in (0, 1))
        assert left_box and right_box and left_box["y"] == right_box["y"]
        assert left_box["x"] + left_box["width"] <= right_box["x"]
    page.set_viewport_size({"width": 600, "height": 900})
    above, below = (pane(page, number).bounding_box() for number in (0, 1))
    assert above and below and above["x"] == below["x"] and above["y"] + above["height"] <= below["y"]
    page.get_by_label("Compare with").select_option("")
    expect(pane(page, 1)).to_be_hidden()
    expect(details(page, 1)).to_be_hidden()


def test_bytes_of_a_character_are_shown_as_the_character(page: Page) -> None:
    tokens = ["\u2581eins", "\u2581", "<0xF0>", "<0x9F>", "<0x9A>", "<0xB2>", "."]
    hypothesis = {"text": "eins \U0001f6b2.", "score": -1.0, "tokens": tokens, "finished": True}
    attention = {"translatedText": "eins", "alternatives": [hypothesis], "looks": None, "note": "none"}
    page.route("**/attention", lambda route: route.fulfill(json=attention))
    page.get_by_label("Your text").fill("one")
    expect(details(page).locator(".tree .run")).to_have_text("eins \U0001f6b2.")


def test_an_alternative_is_chosen_and_shared(page: Page, served: Served) -> None:
    write(page, SENTENCE)
    hypotheses = request(page, "attention", q=SENTENCE, alternatives=4)["alternatives"]
    tree = details(page).get_by_role("list", name="alternatives by their scores")
    leaves = tree.get_by_role("button")
    assert leaves.count() == len(hypotheses) == 5
    texts = [" ".join(text.replace("(ends here)", "").split()) for text in leaves.all_text_contents()]
    assert sorted(texts) == sorted(
        f"{hypothesis['text']} {hypothesis['score']:.2f}".replace("-", "\u2212") for hypothesis in hypotheses
    )
    alternative = hypotheses[1]["text"]
    tree.locator(f"button[data-text='{alternative}']").click()
    expect(answer(page)).to_have_text(alternative)
    expect(words(page, "target")).to_have_text([*alternative.split(), "</s>"])
    assert state(page)["say0"] == alternative
    page.goto("about:blank")
    page.goto(f"{served.address}#{'&'.join(f'{name}={value}' for name, value in state_of(alternative).items())}")
    expect(answer(page)).to_have_text(alternative)
    tree.locator(f"button[data-text='{hypotheses[0]['text']}']").click()
    expect(answer(page)).to_have_text(hypotheses[0]["text"])
    assert "say0" not in state(page)
    tree.locator(f"button[data-text='{alternative}']").click()
    page.get_by_role("button", name="Undo").click()
    expect(answer(page)).to_have_text(hypotheses[0]["text"])


def state_of(chosen: str) -> dict[str, str]:
    return {"q": SENTENCE, "from": "en", "to": "de", "model": "bahdanau2014", "say0": chosen}


def test_layer_head_and_tokens_persist_while_typing_and_in_the_address(page: Page, served: Served) -> None:
    page.get_by_label("Model").select_option("transformer2017")
    write(page, SENTENCE, request(page, "translate", q=SENTENCE, model="transformer2017")["translatedText"])
    looks = request(page, "attention", q=SENTENCE, model="transformer2017")["looks"]
    page.get_by_label("attention").select_option("encoder")
    page.get_by_label("layer").select_option("2")
    page.get_by_label("head").select_option("1")
    cells = details(page).locator(".map tbody tr").first.locator("td")
    first = [
        float(share) for share in cells.evaluate_all("all => all.map(one => one.style.getPropertyValue('--share'))")
    ]
    assert first == pytest.approx(looks["layers"]["encoder"][1][0][0], abs=1e-3)
    page.get_by_label("tokens").check()
    assert state(page)["view0"] == "encoder 2 1 1"
    with page.expect_response("**/attention"):
        page.get_by_label("Your text").fill("five six")
    expect(details(page).locator(".map tbody th")).to_have_text(["five", "six", "</s>"])
    expect(page.get_by_label("layer")).to_have_value("2")
    page.reload()
    expect(page.get_by_label("attention")).to_have_value("encoder")
    expect(page.get_by_label("head")).to_have_value("1")
    expect(page.get_by_label("Your text")).to_have_value("five six")


LINES = ["one two three", "", "four five", "six", "seven eight nine"]


def test_every_sentence_is_translated_and_can_be_shown(page: Page, served: Served) -> None:
    text, turn = page.get_by_label("Your text"), details(page).locator(".turn")
    expected = request(page, "translate", q="\n".join(LINES))["translatedText"]
    assert len(expected.split("\n")) == len(LINES)
    text.fill("\n".join(LINES))
    expect(answer(page)).to_have_text(expected)
    assert answer(page).inner_text() == expected
    expect(turn).to_contain_text("Sentence 4 of 4")  # the sentence at the caret
    expect(words(page, "source")).to_have_text(["seven", "eight", "nine", "</s>"])
    text.press("Control+Home")
    expect(turn).to_contain_text("Sentence 1 of 4")
    expect(words(page, "source")).to_have_text(["one", "two", "three", "</s>"])
    expect(page.locator("#mirror mark")).to_have_text("one two three")
    turn.get_by_role("button", name="Next sentence").press("Enter")
    page.keyboard.press("Shift+Tab")
    expect(turn.get_by_role("button", name="Previous sentence")).to_be_focused()
    page.keyboard.press("Enter")
    expect(turn.get_by_role("button", name="Next sentence")).to_be_focused()  # the first sentence has no previous one
    page.keyboard.press("Enter")
    expect(words(page, "source")).to_have_text(["four", "five", "</s>"])
    answer(page).locator(".sentence").nth(2).hover()  # the sentence under the pointer
    expect(page.locator("#mirror mark")).to_have_text("six")
    expect(words(page, "source")).to_have_text(["six", "</s>"])
    expect(answer(page).locator(".sentence.shown")).to_have_text(request(page, "translate", q="six")["translatedText"])
    details(page).locator(".tree button[aria-pressed=false]").first.click()
    expect(pane(page).locator(".note")).to_contain_text("You changed this sentence")
    chosen = answer(page).inner_text()
    assert chosen.split("\n")[:3] == expected.split("\n")[:3]
    assert chosen.split("\n")[3:] != expected.split("\n")[3:]
    assert state(page)["at"] == str(len("one two three\n\nfour five\n"))
    page.goto("about:blank")
    page.go_back()
    expect(answer(page)).to_have_text(chosen)
    expect(words(page, "source")).to_have_text(["six", "</s>"])


def test_the_other_side_scrolls_to_the_sentence_under_the_pointer(page: Page) -> None:
    lines = ["one two three", "four", "five six"] * 12
    page.get_by_label("Your text").fill("\n".join(lines))
    page.get_by_label("Your text").press("Control+Home")
    sentences, mark = answer(page).locator(".sentence"), page.locator("#mirror mark")
    expect(sentences).to_have_count(len(lines))
    sentences.last.scroll_into_view_if_needed()
    sentences.last.hover()
    expect(page.locator(".field")).not_to_have_js_property("scrollTop", 0)
    expect(mark).to_be_in_viewport()
    expect(details(page).locator(".turn")).to_contain_text("Sentence 36 of 36")
    page.get_by_label("Your text").press("Control+Home")
    expect(sentences.first).to_have_class(re.compile("shown"))
    expect(sentences.first).to_be_in_viewport()


def test_a_text_that_is_too_long_is_reported_and_preserved(page: Page) -> None:
    long = "one " * (CHARACTERS // 4 + 1)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.get_by_label("Your text").fill(long)
    expect(page.get_by_role("alert")).to_contain_text(f"The text is too long: {len(long)} characters")
    expect(page.get_by_role("alert").get_by_role("button")).to_be_hidden()
    expect(page.get_by_label("Your text")).to_have_value(long)
    expect(pane(page)).not_to_have_attribute("aria-busy", "true")
    assert requests == []
    middling = "one two " * 55  # too long for attention
    page.get_by_label("Your text").fill(middling)
    expect(details(page)).to_contain_text("Attention is shown for up to 100 tokens, and")
    expect(answer(page)).not_to_be_empty()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_requests_to_a_busy_server_are_retried(page: Page, watch: Watch) -> None:
    watch.expected = ("503",)
    busy = [True]  # until the test clears it

    def respond(route: Route) -> None:
        if busy:
            route.fulfill(status=503, json={"error": "12 sentences are waiting"}, headers={"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/translate", respond)
    page.get_by_label("Your text").fill(SENTENCE)
    expect(page.get_by_role("alert")).to_contain_text("The server is busy. Trying again in 1 s.")
    busy.clear()
    expect(answer(page)).to_have_text(request(page, "translate", q=SENTENCE)["translatedText"])
    expect(page.get_by_role("alert")).to_be_hidden()


ERRORS = [
    (400, "Invalid request: request (900) exceeds text limit (700 characters)", "this server takes 700 characters"),
    (400, "xx is not supported", "Reload the page"),
    (400, "Invalid request: z: Traceback", "Change the text, or try a part of it"),
    (403, "Invalid API key", "requires an API key"),
    (404, "Not Found", "Reload the page"),
    (408, "the request was not received in time", "too slow"),
    (413, "the request has more than 1,048,576 bytes", "in parts"),
    (429, "slow down", "Wait a moment"),
    (500, "internal server error; see the log of the server", "failed on the server"),
    (503, "the request took too long", "Try a shorter text"),
    (503, "the server is stopping", "stopping or restarting"),
    (502, None, "stopping or restarting. Trying again in 5 s."),
    (418, None, "does not come from a regard server"),
]


def test_every_error_is_explained_in_plain_words(page: Page, watch: Watch) -> None:
    watch.expected = ("Failed to load resource",)
    write(page, SENTENCE)
    translated = answer(page).inner_text()
    alert, again = page.get_by_role("alert"), page.get_by_role("button", name="Try again")
    for status, reason, expected in ERRORS:
        page.unroute("**/translate")
        body = "<h1>teapot</h1>" if reason is None else json.dumps({"error": reason})
        page.route("**/translate", reply(status, body))
        if again.is_visible():
            again.click()
        else:
            page.get_by_label("Your text").fill(f"{SENTENCE} five")
        expect(alert).to_contain_text(expected)
        assert (reason or "teapot") not in alert.inner_text()
        expect(answer(page)).to_have_text(translated)  # the last answer stays
    page.unroute("**/translate")
    again.click()
    expect(alert).to_be_hidden()


def test_a_wrong_key_and_then_a_stopped_server(browser: Browser, guarded: Served, watch: Watch) -> None:
    watch.expected = ("403", "ERR_CONNECTION_REFUSED")
    with browser.new_context() as context:
        page = context.new_page()
        watch.on(page)
        page.goto(guarded.address)
        text, key, alert = page.get_by_label("Your text"), page.get_by_label("API key"), page.get_by_role("alert")
        expect(key).to_be_visible()
        expect(page.get_by_label("Compare with")).to_be_hidden()  # one model is served
        text.fill(SENTENCE)
        expect(alert).to_contain_text("This server requires an API key")
        expect(page.locator("#examples")).to_be_hidden()
        for offered in ("Glossary", "Compare with"):
            expect(page.get_by_label(offered)).to_be_hidden()
        key.fill("not-the-key-of-the-tests")
        key.press("Enter")
        expect(alert).to_contain_text("The server rejected this API key")
        key.fill(KEY)
        key.press("Enter")
        best = request(page, "translate", q=SENTENCE, api_key=KEY)["translatedText"]
        expect(answer(page)).to_have_text(best)
        expect(alert).to_be_hidden()
        expect(page.get_by_role("button", name="Copy")).to_be_visible()
        expect(page.get_by_role("button", name="Correct")).to_be_hidden()
        stored = page.evaluate("[sessionStorage.getItem('key'), localStorage.length, document.cookie]")
        assert stored == [KEY, 0, ""]
        assert KEY not in page.url
        guarded.stop()
        text.fill(f"{SENTENCE} five")
        expect(alert).to_contain_text("The server cannot be reached.")
        expect(alert.get_by_role("button", name="Try again")).to_be_visible()
        expect(text).to_have_value(f"{SENTENCE} five")
        expect(answer(page)).to_have_text(best)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    assert page.evaluate(ACCESSIBLE) == []  # empty, with examples
    write(page, SENTENCE)
    page.get_by_label("Compare with").select_option("transformer2017")
    expect(details(page, 1).locator(".map")).to_be_visible()
    words(page, "target").nth(1).click()
    answer(page).locator(".word").first.click()
    expect(page.get_by_role("menuitemradio").first).to_be_focused()
    assert page.evaluate(ACCESSIBLE) == []
    page.keyboard.press("Escape")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 16, 20)"
    assert dark == (scheme == "dark")
    moving = (
        "[...document.querySelectorAll('*')].filter(one => getComputedStyle(one).transitionDuration !== '0s').length"
    )
    assert page.evaluate(moving) == 0
    page.set_viewport_size({"width": 320, "height": 640})
    expect(details(page).locator(".pair")).not_to_have_class(re.compile("columns"))
    write(page, "one two three four five six seven eight nine")
    expect(details(page).locator(".pair")).to_have_class(re.compile("columns"))
    assert len({*details(page).locator(".pair .word").evaluate_all("all => all.map(one => one.offsetHeight)")}) == 1
    boxes = [page.locator(name).bounding_box() for name in ("#from", "#to", "#glossary")]
    assert boxes[0] and boxes[1] and boxes[2] and abs(boxes[0]["y"] - boxes[1]["y"]) < 4 < boxes[2]["y"] - boxes[1]["y"]
    assert boxes[2]["width"] > 80
    page.get_by_label("Your text").fill("one " * CHARACTERS)
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert page.evaluate(ACCESSIBLE) == []


def test_forced_colours_show_what_is_current(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    write(page, f"six\n{SENTENCE}")
    colour = "one => getComputedStyle(one).backgroundColor"
    ground = page.locator("body").evaluate(colour)
    for current in (
        answer(page).locator(".shown"),
        details(page).locator("[aria-pressed=true]"),
        page.locator("#tab-text"),
    ):
        assert current.evaluate(colour) != ground
    mark = page.locator("#mirror mark")
    assert mark.evaluate("one => getComputedStyle(one).textDecorationLine") == "underline"
    assert details(page).locator(".map td span").first.evaluate("one => getComputedStyle(one).opacity") == "1"
    page.emulate_media(forced_colors="none")


def diagonal_maps(source: Sequence[str], target: Sequence[str]) -> AttentionMaps:
    """Return maps in which the n-th target word attends to the n-th source word."""
    sides = [TokenizedText((*side, "</s>"), tuple(range(len(side) + 1)), (*side, "</s>")) for side in (source, target)]
    mean = np.eye(len(target) + 1, len(source) + 1, dtype=np.float32)
    return AttentionMaps(sides[0], sides[1], mean, {"source": (mean[None],)}, False)


def places(buttons: Locator) -> list[float]:
    lefts = buttons.evaluate_all("all => all.map(one => one.getBoundingClientRect().left)")
    return [float(x) for x in lefts]


def test_right_to_left_and_vertical_text(page: Page) -> None:
    arabic, japanese = ["قرأت", "الكتاب", "القديم"], ["古い", "本", "を"]
    sentences = [{"start": 0, "end": 6, "target_start": 0, "target_end": len(" ".join(arabic))}]
    looks = {
        "translatedText": " ".join(arabic),
        "sentences": sentences,
        "note": "",
        "score": -1.0,
        "alternatives": [{"text": " ".join(arabic), "score": -1.0, "tokens": arabic, "finished": True}],
        "looks": explorer.to_json(diagonal_maps(japanese, arabic)),
    }
    page.route("**/attention", lambda route: route.fulfill(json=looks))
    page.route("**/translate", lambda route: route.fulfill(json=looks))
    write(page, " ".join(japanese), " ".join(arabic))
    lefts = places(words(page, "target"))
    assert lefts == sorted(lefts, reverse=True)
    lefts = places(words(page, "source"))
    assert lefts == sorted(lefts)
    assert answer(page).evaluate("one => one.matches(':dir(rtl)')")
    answer(page).locator(".word").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(answer(page).locator(".word").nth(1)).to_be_focused()
    heads = details(page).locator(".map thead th span")
    turned = heads.evaluate_all("all => all.map(one => getComputedStyle(one).transform !== 'none')")
    assert turned == [False, False, False, True]


def test_the_explorer_works_alone(browser: Browser, tmp_path: Path, watch: Watch) -> None:
    long = [f"w{number}" for number in range(70)]
    panels = [("one <two>", diagonal_maps(["one", "two"], ["eins", "zwei"])), ("long", diagonal_maps(long, long))]
    (tmp_path / "alone.html").write_text(explorer.render_explorer_page("alone & complete", panels), encoding="utf-8")
    with browser.new_context() as context:
        page = context.new_page()
        watch.on(page)
        page.goto((tmp_path / "alone.html").as_uri())
        first, second = page.locator(".explorer").all()
        first.get_by_role("button", name="eins").hover()
        expect(first.locator(".status")).to_have_text("\u2068eins\u2069 attends to: \u2068one\u2069 100%")
        expect(second.locator("canvas")).to_have_attribute("aria-label", "71 rows and 71 columns")
        second.locator("canvas").hover(position={"x": 20, "y": 20})
        expect(second.locator(".status")).to_have_text("\u2068w2\u2069 attends to: \u2068w2\u2069 100%")
        assert page.evaluate(ACCESSIBLE) == []


def test_the_page_is_small_and_loads_nothing_from_other_hosts() -> None:
    paths = sorted(WEB.iterdir())
    files = [path.read_bytes() for path in paths]
    files += [html_explorer.read_script().encode(), html_explorer.read_style().encode()]
    assert {path.suffix for path in paths} == {".html", ".css", ".js"}
    assert sum(map(len, files)) < 105_000
    assert sum(len(gzip.compress(content)) for content in files) < 36_000
    addresses = {match[0] for content in files for match in re.finditer(rb"https?://[\w./]+", content)}
    assert addresses == {b"http://www.w3.org/2000/svg"}


def test_a_run_without_languages_has_unspecified_ones(page: Page, watch: Watch) -> None:
    models = page.evaluate("fetch('models').then((response) => response.json())")
    page.route("**/models", lambda route: route.fulfill(json=[{**model, "source": "und"} for model in models]))
    page.reload()
    expect(page.get_by_label("From").get_by_role("option")).to_have_text(["unspecified"])


def test_foreign_scripts_do_not_run(page: Page, watch: Watch) -> None:
    watch.expected = ("Content Security Policy",)
    script = "Object.assign(document.createElement('script'), { textContent: 'window.foreign = 1' })"
    assert page.evaluate(f"(document.body.append({script}), window.foreign)") is None
    assert len(watch.errors) == 1
