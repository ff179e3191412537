"""Links from pages to files of the repository that are not pages: to its address, or to pages that show the files."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[3]


class RepositoryLinks(SphinxTransform):
    """Change links to files and folders that are not pages."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Change the links of a page."""
        page = ROOT / f"{self.env.docname}.md"
        linked: set[str] = set()
        for node in [*self.document.findall(addnodes.download_reference), *self.document.findall(_is_unresolved)]:
            path = _path_in_repository(page, node["reftarget"])
            if path is None:
                continue
            linked.add(path)
            url = self.config.regard_repository_url
            address = f"{url.rstrip('/')}/blob/main/{path}" if url else _relative_page(page, path)
            node.replace_self(nodes.reference("", "", *node.children, refuri=address, internal=not url))
        _linked_files(self.env)[self.env.docname] = linked


def setup(app: Any) -> None:
    """Register the setting `regard_repository_url`, the links, and the pages that show files."""
    app.add_config_value("regard_repository_url", "", "env")
    app.add_transform(RepositoryLinks)
    app.connect("html-collect-pages", _source_pages)


def _linked_files(env: Any) -> dict[str, set[str]]:
    """Return the files that each page links to."""
    if not hasattr(env, "regard_linked_files"):
        env.regard_linked_files = {}
    links: dict[str, set[str]] = env.regard_linked_files
    return links


def _is_unresolved(node: nodes.Node) -> bool:
    return isinstance(node, addnodes.pending_xref) and node.get("reftype") == "myst" and not node.get("refdomain")


def _path_in_repository(page: Path, target: str) -> str | None:
    path = Path(os.path.normpath(page.parent / unquote(target)))
    return path.relative_to(ROOT).as_posix() if path.exists() and path.is_relative_to(ROOT) else None


def _relative_page(page: Path, path: str) -> str:
    return f"{os.path.relpath(ROOT / path, page.parent)}.html"


def _source_pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a page for each linked file or folder."""
    if app.config.regard_repository_url:
        return
    for name in sorted(set().union(*_linked_files(app.env).values())):
        path = ROOT / name
        body = _folder(path) if path.is_dir() else _file(path)
        yield name, {"title": name, "body": f'<h1 class="regard-path">{escape(name)}</h1>\n{body}'}, "page.html"


def _file(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    formatter = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True, wrapcode=True)
    return f'<div class="regard-source">{highlight(text, lexer, formatter)}</div>'


def _folder(path: Path) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(file.relative_to(path).as_posix())}</code></td><td>{escape(_summary(file))}</td></tr>"
        for file in sorted(path.rglob("*.py"))
        if file.name != "__init__.py"
    )
    table = f'<table class="docutils"><tbody>{rows}</tbody></table>'
    return f'<p>{escape(_summary(path / "__init__.py"))}</p><div class="table-wrapper docutils container">{table}</div>'


def _summary(file: Path) -> str:
    """Return the first paragraph of the docstring of a Python file."""
    if not file.exists():
        return ""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())
