"""One HTML page in one file: no font and no network, and at most one script, which is named by its hash."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path

GUARD = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing in a text can run or be fetched
STYLE = Path(__file__).with_name("page.css")


def safe(text: str) -> str:
    """Escape text for HTML, inside quotes too. Control characters, which HTML does not allow, become U+FFFD."""
    return html.escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "�", text))


def content_policy(script: str = "") -> str:
    """Return the Content-Security-Policy of a page whose only script is this one."""
    if not script:
        return GUARD
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{GUARD}; script-src 'sha256-{digest}'"


def render_page(title: str, body: str, *, facts: str = "", style: str = "", script: str = "") -> str:
    """Return a whole page.

    Args:
        title: Plain text: the page's title and first heading.
        body: HTML: what follows the header, `main` and perhaps `nav`.
        facts: HTML that stands below the heading.
        style: CSS after that of all pages.
        script: JavaScript that runs at the end of the page.
    """
    css = STYLE.read_text(encoding="utf-8") + style
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{content_policy(script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{safe(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        f"<header><h1>{safe(title)}</h1>{facts}</header>\n{body}{code}</body>\n</html>\n"
    )


def sectioned(sections: Sequence[tuple[str, str, str]]) -> str:
    """Return `nav` and `main` of a page of sections, each given as (id, heading, HTML)."""
    links = "".join(f'<li><a href="#{key}">{heading}</a></li>' for key, heading, _ in sections)
    texts = "".join(f'<section id="{key}"><h2>{heading}</h2>{text}</section>\n' for key, heading, text in sections)
    return f"<nav><ul>{links}</ul></nav>\n<main>\n{texts}</main>\n"


def svg_picture(light: str, dark: str, *, kind: str, alt: str, caption: str) -> str:
    """Return a `figure` that shows one of two SVG pictures, by the reader's colour scheme.

    Args:
        light: The SVG for light pages.
        dark: The SVG for dark pages.
        kind: The class of the figure: `chart` or `map`.
        alt: What the picture shows, in plain text.
        caption: Plain text below the picture.
    """
    day, night = (f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}" for svg in (light, dark))
    return (
        f'<figure class="{kind}"><div class="wide" role="region" tabindex="0" aria-label="chart"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{night}"><img src="{day}" alt="{safe(alt)}">'
        f"</picture></div>\n<figcaption>{safe(caption)}</figcaption></figure>\n"
    )
