"""The pages for users of other toolkits name commands, options and recipe keys that regard has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from regard.cli.main import app
from regard.config.schema import DataConfig, SearchConfig, StartConfig, TokenizerConfig, TrainConfig
from regard.models import ARCHITECTURES
from regard.runs.train import read_recipe

PAGES = sorted((Path(__file__).parents[2] / "docs" / "coming-from").glob("*.md"))
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = {spelling for command in COMMANDS.values() for option in command.params for spelling in option.opts}
SECTIONS = {
    "data": DataConfig.model_fields,
    "tokenizer": TokenizerConfig.model_fields,
    "model": {key for architecture in ARCHITECTURES.values() for key in architecture.config.model_fields},
    "train": TrainConfig.model_fields,
    "search": SearchConfig.model_fields,
    "start": StartConfig.model_fields,
}


def names(page: str) -> Iterator[str]:
    """Yield what the second column of the tables has in code spans."""
    for row in re.findall(r"^\| `.*$", page, flags=re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", row.split(" | ")[1])


def is_known(name: str) -> bool:
    """Return whether regard has a command with its options, an option, or a recipe key."""
    if name.startswith("regard "):
        command, *arguments = shlex.split(name)[1:]
        options = {argument for argument in arguments if argument.startswith("-")}
        known = {spelling for option in COMMANDS[command].params for spelling in option.opts}
        return options <= known
    if name.startswith("-"):
        return name in OPTIONS
    section, _, key = name.partition(" ")[0].partition(".")
    return key in SECTIONS.get(section, ())


def test_a_name_that_regard_does_not_have_is_found() -> None:
    assert is_known("train.max_steps") and is_known('model.decoder = "ssru"')
    assert not is_known("train.max_updates") and not is_known("maximum") and not is_known("--max-updates")
    assert is_known("regard train --resume runs/en-de") and not is_known("regard translate --resume runs/en-de")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_option_and_every_key_is_one(path: Path, tmp_path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    found_names = list(names(page))
    assert len(found_names) > 20
    assert [name for name in found_names if not is_known(name)] == []
    for recipe in re.findall(r"^```toml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
        read_recipe(tmp_path / "recipe.toml")


def test_there_are_pages() -> None:
    assert len(PAGES) == 6
