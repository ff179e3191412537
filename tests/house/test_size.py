"""The house stays small enough to read: files, functions and signatures have bounds."""

import ast
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "regard"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 400
MOST_FUNCTION_LINES = 60


@cache
def _functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_and_no_function_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    for function in _functions(path):
        # Without the signature: that of a command has several lines for each option.
        assert (function.end_lineno or 0) - function.body[0].lineno < MOST_FUNCTION_LINES, function.name


def test_there_is_something_to_measure() -> None:
    assert len(FILES) > 30
    assert sum(len(_functions(path)) for path in FILES) > 200
