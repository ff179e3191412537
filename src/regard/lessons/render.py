"""Lessons as HTML: Markdown with formulas as MathML and highlighted code, in one template."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

from regard.errors import ConfigError
from regard.lessons.pages import Lesson

TEMPLATE = Path(__file__).with_name("page.html")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def render_lesson(lesson: Lesson, all_lessons: Sequence[Lesson], *, has_run: bool = False) -> str:
    """Return the page of a lesson.

    Args:
        lesson: The lesson.
        all_lessons: All lessons, for the links.
        has_run: Whether the server has a run of the reader, which live figures then offer.
    """
    links = "".join(_link(linked, is_current=linked is lesson) for linked in all_lessons)
    index = all_lessons.index(lesson)
    preceding = f'<a href="{all_lessons[index - 1].name}">← {_heading(all_lessons[index - 1])}</a>' if index else ""
    following = ""
    if index + 1 < len(all_lessons):
        following = f'<a href="{all_lessons[index + 1].name}">{_heading(all_lessons[index + 1])} →</a>'
    page = Template(TEMPLATE.read_text(encoding="utf-8"))
    return page.substitute(
        title=html.escape(lesson.title),
        links=links,
        preceding=preceding,
        following=following,
        name=lesson.name,
        run="run" if has_run else "",
        body=render_markdown(lesson.markdown),
    )


def _heading(lesson: Lesson) -> str:
    return f"{lesson.number}. {html.escape(lesson.title)}"


def _link(lesson: Lesson, *, is_current: bool) -> str:
    current = ' aria-current="page"' if is_current else ""
    return f'<li><a href="{lesson.name}"{current}><span>{lesson.number}</span> {html.escape(lesson.title)}</a></li>'


def render_index(all_lessons: Sequence[Lesson]) -> str:
    """Return the page that the address of the server leads to: the first lesson."""
    first = all_lessons[0].name
    refresh = f'<meta charset="utf-8"><meta http-equiv="refresh" content="0; url={first}">'
    return f'<!DOCTYPE html>\n<html lang="en">{refresh}<title>Lessons</title>\n'


def render_markdown(text: str) -> str:
    """Return the HTML of Markdown. Raise ConfigError if a package that renders it is not installed."""
    try:
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name} is not installed", where="regard lesson", fix=f"pip install {error.name}"
        ) from None
    parser = MarkdownIt("commonmark", {"highlight": _highlight}).enable("table")
    parser.use(dollarmath_plugin, renderer=_render_formula, double_inline=False)
    return str(parser.render(text)).replace(
        '<div class="math block">', '<div class="math block" tabindex="0">'
    )  # it scrolls


def _render_formula(formula: str, options: dict[str, bool]) -> str:
    from latex2mathml.converter import convert

    return str(convert(formula.strip(), display="block" if options["display_mode"] else "inline"))


def _highlight(code: str, language: str, attributes: str) -> str:
    if language != "python":
        return html.escape(code)
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(code, PythonLexer(), HtmlFormatter(nowrap=True)))
