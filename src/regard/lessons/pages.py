"""The lessons as Markdown: which there are, and the code of the models that they show.

A lesson shows code by a fence without content, such as

    ```python source=regard.models.cho2014:SummaryEncoder.forward
    ```

`expand_sources` fills it with the lines of that function or class as they are now, so that no lesson shows outdated
code. The result is CommonMark with `$$` formulas and a few HTML elements, which MyST renders as well.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from regard.errors import ConfigError

FOLDER = Path(__file__).parent
_FENCE = re.compile(r"^```python source=([\w.]+):([\w.]+)\n```$", re.MULTILINE)
_TITLE = re.compile(r"\A# (\d+)\. (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Lesson:
    """A lesson: a page of Markdown, and the notebook of the same name."""

    path: Path

    @property
    def name(self) -> str:
        """Its name in addresses, such as `1-bottleneck`."""
        return self.path.stem

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.name.partition("-")[0])

    @property
    def notebook(self) -> Path:
        """Its notebook."""
        return FOLDER / "notebooks" / f"{self.name}.ipynb"

    @cached_property
    def markdown(self) -> str:
        """Its text, with the code of the models."""
        return expand_sources(self.path.read_text(encoding="utf-8"))

    @property
    def title(self) -> str:
        """Its first heading, without the number."""
        match = _TITLE.search(self.markdown)
        if match is None:
            raise ConfigError("a lesson begins with a heading like `# 1. Title`", where=self.path)
        return match[2]


def lessons() -> list[Lesson]:
    """Return all lessons in order."""
    return sorted((Lesson(path) for path in (FOLDER / "pages").glob("*.md")), key=lambda lesson: lesson.number)


def expand_sources(markdown: str) -> str:
    """Fill every fence that has a `source=` with the code that it names, below a line that says where it is."""

    def fill(match: re.Match[str]) -> str:
        module, name = match.groups()
        path = f"src/{module.replace('.', '/')}.py"
        return f"`{name}` in `{path}`:\n\n```python\n{source_code(module, name)}\n```"

    return _FENCE.sub(fill, markdown)


def source_code(module: str, name: str) -> str:
    """Return the lines of a class or function, without its docstring.

    Args:
        module: A module of regard; it is not imported.
        name: The name in the module, such as `SummaryEncoder.forward`.

    Raises:
        ConfigError: There is none of that name.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ConfigError(f"there is no module `{module}`", where="a lesson")
    text = Path(spec.origin).read_text(encoding="utf-8")
    node: ast.Module | ast.ClassDef | ast.FunctionDef = ast.parse(text)
    for part in name.split("."):
        members = {member.name: member for member in node.body if isinstance(member, ast.ClassDef | ast.FunctionDef)}
        if part not in members:
            raise ConfigError(f"there is no `{name}` in {module}", where="a lesson")
        node = members[part]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    lines = text.splitlines()
    first, *body = node.body
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    code_lines = lines[start - 1 : node.end_lineno]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and body:
        code_lines = lines[start - 1 : first.lineno - 1] + lines[first.end_lineno : node.end_lineno]
    return textwrap.dedent("\n".join(code_lines))
