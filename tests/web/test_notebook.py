"""Outputs of a notebook in a browser: several on a page, in a dark and a light theme, with hostile text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from tests.web.test_page import diagonal_maps

from regard.inference.translation import Translation

ATTACK = "<img src=x onerror='window.attacked = true'><script>window.attacked = true</script>"
CONTRAST = """
root => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const style = getComputedStyle(root);
  const [a, b] = [light(numbers(style.color)), light(numbers(style.backgroundColor))].sort();
  return (b + 0.05) / (a + 0.05);
}
"""


def translation() -> Translation:
    weights = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.1, 0.9]])
    return Translation(ATTACK, -1.0, -1.0, ("▁ein", ATTACK), ("▁a", "▁dog", "</s>"), weights)


@pytest.mark.parametrize(("theme", "ink", "paper"), [("dark", "#eee", "#111"), ("light", "#111", "#fff")])
def test_outputs_of_a_notebook(browser: Browser, tmp_path: Path, theme: str, ink: str, paper: str) -> None:
    maps = diagonal_maps(["one", "two"], ["eins", "zwei"])
    outputs = [translation()._repr_html_(), translation()._repr_html_(), maps._repr_html_()]
    cells = "".join(f'<div class="cell">{output}</div>' for output in outputs)
    style = f"body {{ color: {ink}; background: {paper} }} td {{ color: red }} .words {{ display: none }}"
    page_file = tmp_path / "notebook.html"
    page_file.write_text(f"<!DOCTYPE html><meta charset=utf-8><style>{style}</style>{cells}", encoding="utf-8")
    other_scheme = "light" if theme == "dark" else "dark"  # the system's colours are not the notebook's
    with browser.new_context(color_scheme=other_scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(page_file.as_uri())
        explorers = page.locator(".explorer")
        expect(explorers).to_have_count(3)
        assert [box.evaluate(CONTRAST) > 7 for box in explorers.all()] == [True] * 3
        explorers.nth(1).get_by_role("button", name="▁ein").hover()
        expect(explorers.nth(1).locator(".status")).to_have_text(
            "\u2068▁ein\u2069 attends to: \u2068▁a\u2069 90%, \u2068▁dog\u2069 10%"
        )
        expect(explorers.nth(0).locator(".status")).to_have_text("")
        expect(explorers.nth(2).get_by_role("button", name="zwei")).to_be_visible()
        assert explorers.nth(2).locator("td").last.evaluate("cell => getComputedStyle(cell).color") != "rgb(255, 0, 0)"
        assert [box.get_by_label("tokens").count() for box in explorers.all()] == [0, 0, 1]
        assert page.evaluate("window.attacked") is None
        assert errors == []
        page.screenshot(path=tmp_path / "notebook.png", full_page=True)
