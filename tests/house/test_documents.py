"""What README, map and recipes name is there."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer.main

import regard
from regard.cli.main import app
from regard.config.placeholders import placeholder_names
from regard.inference.options import TranslateOptions
from regard.reports.compare.api import TrainedOptions
from regard.runs.api import RecipeOptions
from regard.runs.train import read_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *PAGES]


def _commands(text: str) -> list[list[str]]:
    blocks = re.findall(r"```(sh|console)\n(.*?)```", text, flags=re.DOTALL)
    lines = [
        line.split("#")[0]
        for kind, block in blocks
        for line in block.replace("\\\n", " ").splitlines()
        if kind == "sh" or line.startswith("$ ")  # other lines of a console are its output
    ]
    commands = [re.search(r"(?:^|\$ |\| )regard (.*)", line) for line in lines]
    return [shlex.split(re.split(r"[<>|]", command[1])[0]) for command in commands if command]


README = _commands((ROOT / "README.md").read_text(encoding="utf-8"))
COMMANDS = [*README, *(command for page in PAGES for command in _commands(page.read_text(encoding="utf-8")))]


@cache
def _cli_commands() -> dict[str, Any]:
    """Return the commands of the application by name; building them takes a while."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return commands


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_of_the_documents_is_one(arguments: list[str]) -> None:
    command = _cli_commands()[arguments[0]]
    with mock.patch("regard.cli.command.load_plugin"):  # the files of docs/extending.md are run elsewhere
        command.make_context(arguments[0], list(arguments[1:]))  # parses; runs nothing


def test_the_readme_names_every_main_command() -> None:
    assert {arguments[0] for arguments in README} >= {"train", "translate", "evaluate", "attend", "serve", "data"}


def _python_calls(text: str) -> list[ast.Call]:
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return [node for block in blocks for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]


def test_every_call_in_python_names_options_that_there_are() -> None:
    options = {
        "regard.train": {*RecipeOptions.__annotations__, "output", "corpus"},
        "regard.compare": {*TrainedOptions.__annotations__, "runs", "corpus"},
        "regard.load": {"device", "precision"},
        "regard.attend": {*TranslateOptions.__annotations__},
        "translator.translate": {*TranslateOptions.__annotations__},
    }
    called = set()
    for document in DOCUMENTS:
        for call in _python_calls(document.read_text(encoding="utf-8")):
            function = ast.unparse(call.func)
            called.add(function)
            owner, _, name = function.rpartition(".")
            assert owner != "regard" or name in dir(regard), function
            keywords = {keyword.arg for keyword in call.keywords}
            assert keywords <= options.get(function, keywords), (document.name, function, keywords - options[function])
    assert called >= options.keys()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_reads(path: Path) -> None:
    names = placeholder_names(path.read_text(encoding="utf-8"))
    config = read_recipe(path, placeholders=dict.fromkeys(names, "x"))
    assert config.train.max_minutes is None or config.train.max_minutes <= 45


def test_there_are_recipes() -> None:
    assert RECIPES


def _anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_or_a_heading_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)  # SMILES have `](` too
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("http"):
            name, _, anchor = target.partition("#")
            path = document.parent / name if name else document
            assert path.exists(), target
            assert not anchor or anchor in _anchors(path.read_text(encoding="utf-8")), target


def test_every_target_of_the_makefile_that_is_promised_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        for target in re.findall(r"^make (\w+)", document.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
