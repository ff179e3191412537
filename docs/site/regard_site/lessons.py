"""The lessons of the package as pages of the site: the code that they show, and their live figures."""

from __future__ import annotations

from typing import Any

from regard.lessons.pages import expand_sources
from regard_site.navigation import LESSONS

FIGURES = (
    '<link rel="stylesheet" href="../static/figures.css">\n<script type="module" src="../static/figures.js"></script>\n'
)


def setup(app: Any) -> None:
    """Fill in the code while lessons are read, and load the figures in their pages."""
    app.connect("source-read", _fill_in_code)
    app.connect("html-page-context", _load_figures)


def _fill_in_code(_app: Any, docname: str, source: list[str]) -> None:
    if docname.startswith(f"{LESSONS}/"):
        source[0] = expand_sources(source[0])


def _load_figures(_app: Any, pagename: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    if pagename.startswith(f"{LESSONS}/pages/") and "body" in context:
        context["body"] += FIGURES
