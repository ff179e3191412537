"""What the page offers in addition to translation: words, languages, corrections, glossaries, confidence, files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator, Page, Route, expect
from tests.web.conftest import WORDS, Served, Watch
from tests.web.test_page import ACCESSIBLE, SENTENCE, answer, details, pane, reply, request, state, words, write

from regard.serving.limits import Limits

FILE = b"one two three\n"


def offer(page: Page, **settings: Any) -> None:
    """Load the page as if the server offered more than it does."""

    def respond(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), **settings})

    page.route("**/frontend/settings", respond)
    page.reload()
    expect(page.locator("#from option")).not_to_have_count(0)


def record(bodies: list[Any], response: Any) -> Callable[[Route], None]:
    """Return a handler that records the JSON of each request and gives a response."""

    def respond(route: Route) -> None:
        bodies.append(json.loads(route.request.post_data or "null"))
        route.fulfill(json=response)

    return respond


def test_a_word_is_replaced_and_the_rest_translated_again(page: Page, watch: Watch) -> None:
    write(page, f"six\n{SENTENCE}")
    best = request(page, "translate", q=SENTENCE)["translatedText"]
    sentence = answer(page).locator(".sentence").nth(1)
    expect(sentence).to_have_text(best)
    word = sentence.locator(".word").nth(1)
    word.click()
    menu = page.get_by_role("menu", name=f"Alternatives to {word.inner_text()}")
    items = menu.get_by_role("menuitemradio")
    expected = request(page, "alternatives", q=SENTENCE, prefix=f"{best.split()[0]} ", alternatives=8)["alternatives"]
    expect(items).to_have_count(len(expected))
    shown = items.locator("span:first-child").all_inner_texts()
    assert shown == [entry["text"] or "(end here)" for entry in expected]
    checked = menu.locator("[aria-checked=true]")
    expect(checked).to_contain_text(best.split()[1])
    place = next(number for number, entry in enumerate(expected) if entry["text"] not in ("", best.split()[1]))
    chosen = expected[place]
    rest = request(page, "translate", q=SENTENCE, prefix=f"{chosen['prefix']} ")["translatedText"]
    items.nth(place).click()
    expect(sentence).to_have_text(rest)
    assert f"{rest} ".startswith(f"{chosen['prefix']} ")
    expect(menu).to_be_hidden()
    expect(words(page, "target")).to_have_text([*rest.split(), "</s>"])  # the attention of what is shown
    expect(pane(page).locator(".note")).to_have_text("You changed this sentence.")
    assert state(page)["say0.1"] == rest
    end = {"text": "", "probability": 0.0004, "prefix": "null eins"}
    page.route("**/alternatives", lambda route: route.fulfill(json={"alternatives": [end]}))
    sentence.locator(".word").first.click()
    page.get_by_role("menuitemradio", name="(end here) <0.1%").click()
    expect(sentence).to_have_text("null eins")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(sentence).to_have_text(best)
    expect(pane(page).get_by_role("button", name="Copy")).to_be_focused()
    watch.expected = ("500",)
    page.route("**/alternatives", lambda route: route.fulfill(status=500, json={"error": "boom"}))
    sentence.locator(".word").first.click()
    expect(page.get_by_role("menu")).to_contain_text("The translation failed on the server.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)


def test_languages_are_detected_and_swapped(page: Page, watch: Watch) -> None:
    watch.expected = ("ERR_FAILED",)
    models = page.evaluate("fetch('models').then((response) => response.json())")
    reverse = {**models[0], "name": "back", "source": "de", "target": "en"}
    page.route("**/models", lambda route: route.fulfill(json=[*models, reverse]))
    detection = [{"language": "de", "confidence": 90.0}]
    page.route("**/detect", lambda route: route.fulfill(json=detection))
    page.reload()
    source, target = page.get_by_label("From"), page.get_by_label("To", exact=True)
    expect(source.get_by_role("option")).to_have_text(["Detect language", "English", "German"])
    sent: list[Any] = []
    reply = {
        "translatedText": "one.",
        "sentences": [{"start": 0, "end": 5, "target_start": 0, "target_end": 4}],
    }
    page.route("**/translate", record(sent, reply))
    attention: dict[str, Any] = {"translatedText": "one.", "alternatives": [], "looks": None, "note": "none"}
    page.route("**/attention", lambda route: route.fulfill(json=attention))
    source.select_option("auto")
    page.get_by_label("Your text").fill("eins.")
    expect(answer(page)).to_have_text("one.")
    assert (sent[-1]["source"], sent[-1]["target"], sent[-1]["model"]) == ("de", "en", "back")
    expect(source.locator("option:checked")).to_have_text("German (detected)")
    expect(target).to_have_value("en")
    page.route("**/translate_file", lambda route: route.abort())
    with page.expect_request("**/translate_file") as upload:
        job = drop(page, {"a.txt": "one"}).first
    # The language of the file, not that of the text.
    expect(source.locator("option:checked")).to_have_text("Detect language")
    expect(page.get_by_label("Glossary")).to_be_hidden()
    assert re.search(r'name="source"\s+auto\s', upload.value.post_data or "")
    expect(job).to_contain_text("cannot be reached")
    job.get_by_role("button", name="Remove").press("Enter")
    expect(page.locator("#file")).to_be_focused()
    page.get_by_role("tab", name="Text").click()
    expect(source.locator("option:checked")).to_have_text("German (detected)")
    page.get_by_role("button", name="Clear").click()
    expect(source.locator("option:checked")).to_have_text("Detect language")
    page.get_by_label("Your text").fill("eins.")
    expect(answer(page)).to_have_text("one.")
    page.unroute("**/translate")
    page.get_by_role("button", name="Swap languages").click()
    expect(page.get_by_label("Your text")).to_have_value("one.")
    expect(source).to_have_value("en")
    expect(page.get_by_label("Your text")).to_have_attribute("lang", "en")
    expect(answer(page)).to_have_text(request(page, "translate", q="one.")["translatedText"])


def test_a_third_language_connects_two(page: Page) -> None:
    languages = [{"code": "en", "name": "English", "targets": ["de", "fr"]}]
    page.route("**/languages", lambda route: route.fulfill(json=languages))
    page.reload()
    target = page.get_by_label("To", exact=True)
    expect(target.get_by_role("option")).to_have_text(["German", "French"])
    sent: list[Any] = []
    reply = {
        "translatedText": "un",
        "sentences": [{"start": 0, "end": 3, "target_start": 0, "target_end": 2}],
        "pivot": "de",
    }
    page.route("**/translate", record(sent, reply))
    page.get_by_label("Your text").fill("one")
    target.select_option("fr")
    expect(answer(page)).to_have_text("un")
    assert "model" not in sent[-1]
    expect(pane(page).locator(".note")).to_have_text("Translated through German.")
    expect(details(page)).to_be_hidden()
    answer(page).locator(".word").click()
    expect(page.get_by_role("menu")).to_have_count(0)
    page.unroute("**/translate")


def test_a_correction_is_sent_and_shown(page: Page, served: Served, watch: Watch) -> None:
    write(page, f"six\n{SENTENCE}")
    pane(page).get_by_role("button", name="Correct").click()
    editor = page.get_by_label("Correct the translation of")
    expect(editor).to_be_focused()
    assert page.evaluate(ACCESSIBLE) == []
    editor.press("Escape")
    expect(editor).to_be_hidden()
    expect(pane(page).get_by_role("button", name="Correct")).to_be_focused()
    page.keyboard.press("Enter")
    editor.fill(" eins  acht ")
    page.get_by_role("button", name="Send correction").click()
    expect(answer(page).locator(".sentence").nth(1)).to_have_text("eins acht")
    expect(page.locator("#announcement")).to_have_text("Thank you. The server has kept your correction.")
    assert served.corrections is not None
    stored = [correction for _, correction in served.corrections.read()][-1]
    assert stored is not None
    assert (stored.source, stored.target, stored.model, stored.origin) == (
        SENTENCE,
        "eins acht",
        "bahdanau2014",
        "page",
    )
    watch.expected = ("503",)
    page.route("**/suggest", lambda route: route.fulfill(status=503, json={"error": "disk"}))
    pane(page).get_by_role("button", name="Correct").click()
    editor.fill("neun")
    editor.press("Enter")
    expect(page.locator(".correction").get_by_role("alert")).to_have_text("The server is busy.")  # it is not sent again
    expect(editor).to_have_value("neun")
    page.unroute("**/suggest")
    page.evaluate("() => { panels[0].choices.clear(); byId('q').value = 'two\\nsix\\none'; translate(); }")
    expect(answer(page).locator(".sentence")).to_have_count(3)
    expect(pane(page).get_by_role("button", name="Copy")).to_be_hidden()
    page.get_by_role("button", name="Send correction").click()
    expect(editor).to_be_hidden()
    assert [correction.target for _, correction in served.corrections.read() if correction][-1] == "neun"
    expect(answer(page)).to_have_text(request(page, "translate", q="two\nsix\none")["translatedText"])


def test_a_glossary_is_made_and_chosen(page: Page, watch: Watch) -> None:
    watch.expected = ("400",)
    write(page, SENTENCE)
    best = answer(page).inner_text()
    choice = page.get_by_role("combobox", name="Glossary")  # by label it would match the closing dialog too
    expect(choice.get_by_role("option")).to_have_text(["none", "New glossary\u2026"])
    choice.focus()
    choice.select_option("new")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(choice).to_be_focused()
    expect(choice).to_have_value("")
    choice.select_option("new")
    dialog.get_by_label("Name").fill("Numbers")
    dialog.get_by_label("Terms").fill("one\teins\ntwo =\n")
    assert page.evaluate(ACCESSIBLE) == []
    dialog.get_by_role("button", name="Save glossary").click()
    expect(dialog).to_contain_text("Line 2 has no translation.")
    dialog.get_by_label("Terms").fill("one\teins\none\tzwei")
    dialog.get_by_role("button", name="Save glossary").click()
    expect(dialog).to_contain_text("cannot accept this glossary: line 2: 'one' is 'eins' in line 1, not 'zwei'.")
    term = next(word for word in WORDS.values() if word not in best)
    content = f"\ufeffone,{term}\nseven,{term}\n"
    table: FilePayload = {"name": "n.csv", "mimeType": "text/csv", "buffer": content.encode()}
    dialog.get_by_label("Or read a TSV or CSV file").set_input_files(table)
    expect(dialog.get_by_label("Terms")).to_have_value(content.removeprefix("\ufeff"))
    dialog.get_by_role("button", name="Save glossary").click()
    expect(dialog).to_be_hidden()
    expect(choice.locator("option:checked")).to_have_text("Numbers (2)")
    expect(answer(page)).to_contain_text(term)
    note = details(page).get_by_text("They do not follow the glossary.")
    expect(note).to_be_visible()
    id = choice.input_value()
    assert answer(page).inner_text() == request(page, "translate", q=SENTENCE, glossary_id=id)["translatedText"]
    choice.select_option("")
    expect(answer(page)).to_have_text(best)
    expect(note).to_be_hidden()
    page.request.delete(page.url.split("#")[0] + f"v2/glossaries/{id}")


def test_unsure_words_are_underlined(page: Page) -> None:
    models = page.evaluate("fetch('models').then((response) => response.json())")
    page.route("**/models", lambda route: route.fulfill(json=[{**model, "confidence": True} for model in models]))
    page.reload()
    sent: list[Any] = []
    reply = {
        "translatedText": "\U0001f600 eins zwei. drei",
        "sentences": [
            {"start": 0, "end": 3, "target_start": 0, "target_end": 12},
            {"start": 4, "end": 7, "target_start": 13, "target_end": 17},
        ],
        "confidence": 0.62,
        "numbers": [
            {"text": 1, "kind": "number", "source": "3", "target": "4"},
            {"text": 1, "kind": "number", "source": "5", "target": ""},
        ],
        "words": [
            {"start": 2, "end": 6, "confidence": 0.95},
            {"start": 7, "end": 11, "confidence": 0.45},
            {"start": 13, "end": 17, "confidence": 0.004},
        ],
    }
    page.route("**/translate", record(sent, reply))
    page.get_by_label("Your text").fill("one two")
    expect(answer(page).locator(".unsure")).to_have_text("zwei")
    expect(answer(page).locator(".unsure")).to_have_attribute("title", "45% confident")
    expect(answer(page).locator(".doubtful")).to_have_text("drei")
    expect(answer(page).locator(".doubtful")).to_have_attribute("title", "below 1% confident")
    expect(pane(page).locator(".legend")).to_have_text("Confidence 62%. Underlined words: below 60%, below 30%")
    checked = "Check the numbers and addresses: \u20683\u2069 became \u20684\u2069, \u20685\u2069 is missing."
    expect(pane(page).locator(".note")).to_have_text(checked)
    assert sent[-1]["confidence"] is True
    page.evaluate("() => panels[0].choose({ text: 'vier', words: null })")  # its confidence is not known
    expect(pane(page).locator(".legend")).to_have_text("Underlined words: below 60%, below 30%")


def drop(page: Page, files: dict[str, str | int]) -> Locator:
    """Drop files on the text: the page opens their tab. A number is the size of a file. Return the list of files."""
    page.evaluate(
        """(files) => {
          const data = new DataTransfer();
          for (const [name, content] of Object.entries(files)) {
            data.items.add(new File([typeof content === "number" ? new Uint8Array(content) : content], name));
          }
          for (const type of ["dragover", "drop"]) {
            const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
            document.getElementById("q").dispatchEvent(event);
          }
        }""",
        files,
    )
    return page.get_by_role("list", name="Your files").get_by_role("listitem")


def test_files_are_translated_one_after_another(page: Page, watch: Watch) -> None:
    watch.expected = ("400",)
    page.get_by_role("tab", name="Files").click()
    expect(page.get_by_label("Your text")).to_be_hidden()
    page.get_by_role("tab", name="Files").press("ArrowLeft")
    expect(page.get_by_label("Your text")).to_be_visible()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "translate_file" in request.url else None)
    text, limit = FILE.decode(), Limits().file
    files: dict[str, str | int] = {
        "good.txt": text,
        "my bad.docx": text,
        "photo.png": text,
        "large.txt": limit + 1,
        "empty.txt": "",
    }
    jobs = drop(page, files)
    expect(jobs).to_have_count(5)
    expect(jobs.nth(0)).to_contain_text("Translated")
    expected = "The server cannot translate this file: it is not a Word document: it is not a ZIP archive."
    expect(jobs.nth(1).get_by_role("status")).to_have_text(f"my bad.docx 0.1 kB{expected}")
    expect(jobs.nth(2)).to_contain_text("This kind of file is not supported.")
    expect(jobs.nth(3)).to_contain_text("The file is too large: this server translates files of up to 10.5 MB.")
    expect(jobs.nth(3).get_by_role("button")).to_have_text(["Remove"])  # there is nothing to try again
    expect(jobs.nth(4)).to_contain_text("The file is empty.")
    assert len(sent) == 2
    link = jobs.nth(0).get_by_role("link", name=re.compile("Download .*de.*txt"))
    page.route("**/download_file/**", lambda route: route.abort())  # the server has deleted the file
    with page.expect_download() as download:
        link.click()
    translated = request(page, "translate", q=FILE.decode())["translatedText"]
    assert download.value.path().read_bytes().decode() == translated
    assert page.evaluate(ACCESSIBLE) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for job in jobs.all():  # the name has the width of the row
        assert job.locator("strong").evaluate("one => one.getClientRects().length") == 1
    jobs.nth(1).get_by_role("button", name="Try again").press("Enter")
    expect(jobs.nth(1)).to_contain_text("cannot translate this file")
    expect(jobs.nth(1).get_by_role("button", name="Try again")).to_be_focused()
    jobs.nth(1).get_by_role("button", name="Remove").press("Enter")
    expect(jobs).to_have_count(4)
    expect(jobs.nth(1).get_by_role("button", name="Remove photo.png")).to_be_focused()
    expect(details(page)).to_be_hidden()
    offer(page, filesTranslation=False)
    expect(page.get_by_role("tablist")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, '{"error": "a.json:2: this is not valid JSON"}', "cannot translate this file: line 2: this is not valid"),
        (400, '{"error": {"loc": ["file"]}}', "does not come from a regard server"),
        (400, '{"error": "xx is not supported"}', "The server now has other models."),
        (
            400,
            '{"error": "English (en) is not available as a target language from English (en)"}',
            "This is already in English (en). Choose another target language.",
        ),
        (
            400,
            '{"error": "German (de) is not available as a target language from French (fr)"}',
            "There is no model from French (fr) to German (de).",
        ),
        (404, '{"error": "Glossary not found"}', "This glossary does not exist any more."),
        (413, '{"error": "the file has 7 characters to translate; the limit is 3"}', "the limit is 3."),
        (413, "<h1>413 Request Entity Too Large</h1>", "too large for the server"),
        (502, "<h1>Bad Gateway</h1>", "The server is stopping or restarting."),
        (0, "", "The server cannot be reached."),
    ],
)
def test_an_error_of_a_file_is_explained(page: Page, watch: Watch, status: int, body: str, expected: str) -> None:
    watch.expected = ("Failed to load resource",)
    page.route("**/translate_file", reply(status, body) if status else lambda route: route.abort())
    job = drop(page, {"a.json": "[]"}).first
    expect(job.get_by_role("status")).to_contain_text(expected)
    shown = job.inner_text()
    assert not re.search(r"[{}<>\[\]]|null|undefined", shown), shown
    page.unroute("**/translate_file")
    job.get_by_role("button", name="Try again").click()
    expect(job).to_contain_text("Translated")
