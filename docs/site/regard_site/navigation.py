"""The order of the pages. The Markdown files have links for readers of the repository, and no tables of contents."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regard.plugins.names import BUILT_IN

ROOT = Path(__file__).parents[3]
LESSONS = "src/regard/lessons"
SECTIONS = ("start", "learn", "use", "tasks", "papers", "lookup", "design", "coming-from", "comparison", "results")
PAPERS = BUILT_IN["architectures"]
TASKS = ("inflection", "historical-spelling", "programs", "reactions", "scan", "sounds")  # beyond translation
USE = (
    "lessons",
    "training",
    "data",
    "doctor",
    "low-resource",
    "fine-tuning",
    "search",
    "documents",
    "terms",
    "serving",
    "page",
    "confidence",
    "corrections",
    "cpu-speed",
    "gpus",
    "scale",
    "attend",
    "evaluate",
    "analyze",
    "compare",
    "python",
    "interop",
    "publish",
)


TOOLKITS = ("fairseq", "opennmt-py", "joeynmt", "sockeye", "marian", "hugging-face")


def _lessons() -> list[str]:
    pages = sorted((ROOT / LESSONS / "pages").glob("*.md"))
    return [path.relative_to(ROOT).with_suffix("").as_posix() for path in pages]


def _pages_without_place(listed: set[str]) -> list[str]:
    """Return the pages of docs that no section names, so that a new page is on the site without a line here."""
    pages = (path.relative_to(ROOT).with_suffix("").as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))
    return [page for page in pages if page not in listed]


def sections() -> dict[str, list[str]]:
    """Return the pages below each page, by their paths in the repository without suffix."""
    pages = {
        "README": [f"docs/{name}" for name in SECTIONS],
        "docs/learn": _lessons(),
        "docs/use": [f"docs/{name}" for name in USE],
        "docs/tasks": [f"docs/tasks/{name}" for name in TASKS],
        "docs/papers": [f"docs/papers/{name}" for name in PAPERS],
        "docs/lookup": ["docs/reference", "docs/api", "docs/cli"],
        "docs/design": ["docs/map", "docs/extending", "docs/versions", "CONTRIBUTING", "SECURITY"],
        "docs/coming-from": [f"docs/coming-from/{name}" for name in TOOLKITS],
        "docs/results": ["recipes/RESULTS", "benchmarks/RESULTS", "CHANGELOG"],
    }
    pages["docs/use"] += _pages_without_place({page for section in pages.values() for page in section})
    return pages


def documents() -> Iterator[str]:
    """Yield all pages of the site."""
    yield "README"
    for pages in sections().values():
        yield from pages


def setup(app: Any) -> None:
    """Add the tables of contents while pages are read, and what the finished site needs in addition to pages."""
    app.connect("source-read", _add_contents)
    app.connect("build-finished", _finish)


def _add_contents(_app: Any, docname: str, source: list[str]) -> None:
    pages = sections().get(docname)
    if pages:
        entries = "\n".join(f"/{page}" for page in pages)
        source[0] += f"\n\n:::{{toctree}}\n:hidden:\n\n{entries}\n:::\n"


def _finish(app: Any, exception: Exception | None) -> None:
    """Make index.html, and copy the files that lessons use to where their pages look for them."""
    if exception is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    shutil.copyfile(site / "README.html", site / "index.html")
    static = ROOT / LESSONS / "static"
    if static.exists():
        shutil.copytree(static, site / LESSONS / "static", dirs_exist_ok=True)
