"""Self-contained HTML pages: no fonts and nothing from the network, and at most one script, identified by its hash."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

CONTENT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # no text can run a script or fetch anything
)
STYLE = Path(__file__).with_name("page.css")


def escape(text: str) -> str:
    """Escape text for HTML, including attributes. Control characters, which HTML forbids, become U+FFFD."""
    return html.escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "�", text))


def content_policy(script: str = "") -> str:
    """Return the Content-Security-Policy of a page that may run only this script."""
    if not script:
        return CONTENT_POLICY
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{CONTENT_POLICY}; script-src 'sha256-{digest}'"


def render_page(title: str, body: str, *, facts: str = "", style: str = "", script: str = "") -> str:
    """Return a complete page.

    Args:
        title: Plain text: the page's title and first heading.
        body: HTML after the header: `main`, and `nav` before it if there is one.
        facts: HTML below the heading.
        style: CSS added to the common style sheet.
        script: JavaScript that runs at the end of the page.
    """
    css = STYLE.read_text(encoding="utf-8") + style
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{content_policy(script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>{facts}</header>\n{body}{code}</body>\n</html>\n"
    )


def render_sections(sections: Sequence[tuple[str, str, str]]) -> str:
    """Return `nav` and `main` of a page with sections, each given as (id, heading, HTML)."""
    links = "".join(f'<li><a href="#{key}">{heading}</a></li>' for key, heading, _ in sections)
    texts = "".join(f'<section id="{key}"><h2>{heading}</h2>{text}</section>\n' for key, heading, text in sections)
    return f"<nav><ul>{links}</ul></nav>\n<main>\n{texts}</main>\n"


def render_facts(facts: Iterable[tuple[str, str]]) -> str:
    """Return a list of facts, each given as (name, HTML)."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{value}</dd>' for name, value in facts)}</dl>"


def render_table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: Sequence[int] = (0,)
) -> str:
    """Return a table in a box that scrolls sideways if the table is wider than the page.

    Args:
        caption: What the table shows, for screen readers.
        head: HTML of the column headings; none for a table without headings.
        rows: HTML of the cells. The first cell of each row is its heading. A cell that is a whole `td` element is
            used as it is.
        text_columns: Numbers of the columns that hold text, aligned left; the others hold numbers.
    """
    columns = "".join(
        f'<th scope="col"{" class=left" if number in text_columns else ""}>{cell}</th>'
        for number, cell in enumerate(head)
    )
    thead = f"<thead><tr>{columns}</tr></thead>" if columns else ""
    body = "".join(_render_row(row, text_columns) for row in rows)
    return _scrolling(f"<table>{thead}\n<tbody>\n{body}</tbody></table>", caption) + "\n"


def _render_row(row: Sequence[str], text_columns: Sequence[int]) -> str:
    name, *cells = row
    rendered = "".join(
        cell if cell.startswith("<td") else f"<td{_cell_attributes(number, text_columns)}>{cell}</td>"
        for number, cell in enumerate(cells, start=1)
    )
    return f'<tr><th scope="row">{name}</th>{rendered}</tr>\n'


def _cell_attributes(number: int, text_columns: Sequence[int]) -> str:
    return ' class="text" dir="auto"' if number in text_columns else ""


def _scrolling(content: str, label: str) -> str:
    return f'<div class="wide" role="region" tabindex="0" aria-label="{label}">{content}</div>'


def render_details(summary: str, content: str) -> str:
    """Return content that is hidden until the reader opens it."""
    return f"<details><summary>{summary}</summary>{content}</details>\n"


def render_svg(light: str, dark: str, *, kind: str, alt: str, caption: str) -> str:
    """Return a `figure` with two SVG pictures, of which the reader's colour scheme selects one.

    Args:
        light: The SVG for light pages.
        dark: The SVG for dark pages.
        kind: The class of the figure: `chart`, `square` or `maps`.
        alt: What the picture shows, in plain text.
        caption: Plain text below the picture.
    """
    day, night = (f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" for svg in (light, dark))
    picture = (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{night}">'
        f'<img src="{day}" alt="{escape(alt)}"></picture>'
    )
    return (
        f'<figure class="{kind}">{_scrolling(picture, "chart")}\n<figcaption>{escape(caption)}</figcaption></figure>\n'
    )
