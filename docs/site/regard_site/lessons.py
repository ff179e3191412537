"""The lessons of the package as pages of the site: the code that they show, and the live figures of all pages."""

from __future__ import annotations

import posixpath
from string import Template
from typing import Any

from regard.lessons.pages import expand_sources
from regard_site.navigation import LESSONS

FIGURES = Template(
    '<link rel="stylesheet" href="$static/figures.css">\n<script type="module" src="$static/figures.js"></script>\n'
)


def setup(app: Any) -> None:
    """Fill in the code while lessons are read, and load live figures in the pages that have some."""
    app.connect("source-read", _fill_in_code)
    app.connect("html-page-context", _load_figures)


def _fill_in_code(_app: Any, docname: str, source: list[str]) -> None:
    if docname.startswith(f"{LESSONS}/"):
        source[0] = expand_sources(source[0])


def _load_figures(_app: Any, pagename: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    if 'data-figure="' in context.get("body", ""):
        static = posixpath.relpath(f"{LESSONS}/static", posixpath.dirname(pagename))
        context["body"] += FIGURES.substitute(static=static)
