"""The page of `regard compare --with` in a browser: light, dark and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.unit.reports.compare.test_value_table import Scores, table

from regard.reports.compare.value_page import write_value_page

ACCESSIBLE = (Path(__file__).parent / "accessible.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390), ("dark", 390)])
def test_the_table_can_be_read(browser: Browser, tmp_path: Path, scheme: str, width: int) -> None:
    languages: dict[str, Scores | None] = {
        name: {"cho2014": (10.0, 20.0), "modern": (50.0, 60.0)} for name in ("ang", "ara", "tur")
    }
    page_file = write_value_page(table(**languages), tmp_path)
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}) as context:  # type: ignore[arg-type]
        page = context.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        problems = [problem for problem in page.evaluate(ACCESSIBLE) if "landmark" not in problem]  # links in `nav`
        assert problems == []
        expect(page.get_by_role("link", name="ara", exact=True)).to_be_visible()
        expect(page.get_by_role("row", name="mean")).to_contain_text("55.00")
        page.get_by_text("chrF", exact=True).click()
        expect(page.get_by_role("table")).to_have_count(2)
        assert errors == []
