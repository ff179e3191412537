"""What every command offers: help in 80 columns with groups and examples, and the old spellings of options."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from regard.cli import options
from regard.cli.main import app
from regard.cli.options import OLD_SPELLINGS
from regard.cli.search_settings import search_settings
from regard.errors import ConfigError
from regard.models import ARCHITECTURES

GROUP: Any = typer.main.get_command(app)
COMMANDS = [name for name, command in GROUP.commands.items() if not command.hidden and not hasattr(command, "commands")]
SUBCOMMANDS = [f"data {name}" for name in GROUP.commands["data"].commands]


def parsed(*arguments: str) -> dict[str, Any]:
    """Return the parameters that a command gets."""
    command, words = GROUP.commands[arguments[0]], list(arguments[1:])
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return dict(command.make_context(arguments[0], words).params)


@cache
def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", [*COMMANDS, "data", *SUBCOMMANDS])
def test_help_fits_80_columns_and_shows_every_option_whole(name: str) -> None:
    text = help_of(*name.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text and "..." not in re.sub(r"(RUN|NAME|ARGS\]|1-2 |\")\.\.\.", "", text)
    command = GROUP
    for word in name.split():
        command = command.commands[word]
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            assert parameter.help, parameter.name
            spellings = {spelling for spelling in parameter.opts if spelling not in OLD_SPELLINGS}
            assert all(spelling in text for spelling in spellings if spelling.startswith("-")), parameter.name
    assert not any(re.search(rf"{spelling}\b(?!put)", text) for spelling in OLD_SPELLINGS)


@pytest.mark.parametrize("name", [*COMMANDS, "data", *SUBCOMMANDS])
def test_examples_are_commands(name: str) -> None:
    _, heading, examples = help_of(*name.split()).partition("Example")
    assert heading
    for line in examples.splitlines()[1:]:
        arguments = shlex.split(re.split(r"[<>]", line)[0])
        assert arguments[0] == "regard"
        parsed(*arguments[1:])


def test_every_command_is_in_the_help_of_regard() -> None:
    text = help_of()
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in COMMANDS)
    assert max(map(len, text.splitlines())) <= 80


def test_every_architecture_is_named() -> None:
    assert options.ARCHITECTURES.split(", ") == list(ARCHITECTURES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train a.toml --out x", "train a.toml -o x"),
        ("demo --out x", "demo --output x"),
        ("compare a.toml --out x", "compare a.toml -o x"),
        ("import marian a --out x", "import marian a -o x"),
        ("clean --data a.tsv --out x.tsv", "clean --data a.tsv -o x.tsv"),
        ("clean --out-source a --out-target b", "clean --output-source a --output-target b"),
        ("translate run --input a --output b", "translate run -i a -o b"),
    ],
)
def test_old_and_new_spellings_mean_the_same(old: str, new: str) -> None:
    assert parsed(*old.split()) == parsed(*new.split())


def test_search_settings_have_one_meaning_however_they_are_spelled() -> None:
    expected = {"beam_size": 8, "strategy": "diverse"}
    assert search_settings(["search.beam_size=8", "search.strategy=diverse"]) == expected
    assert search_settings(["beam_size=8"], ["strategy=diverse"]) == expected
    assert search_settings([], ["search.strategy=diverse"], beam_size=8, length_penalty=None) == expected
    assert search_settings(["search.beam_size=8"], beam_size=2) == {"beam_size": 8}
    assert search_settings(["search.patience=2"]) == search_settings([], patience=2) == {"patience": 2}
    for wrong in ("beam=8", "train.seed=1", "beam_size", "beam_size=many", "search.temperature=0"):
        with pytest.raises(ConfigError, match="--set: "):
            search_settings([wrong])


def test_shortcuts_of_train_are_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr("regard.cli.train._train", lambda request, dry_run: calls.append(list(request.overrides)))
    line = "train a.toml --minutes 5 --architecture cho2014 --preset tiny --device cpu --set train.max_minutes=7"
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 0, result.output
    assert calls == [
        [
            "model.architecture=cho2014",
            "model.preset=tiny",
            "train.max_minutes=5.0",
            "train.device=cpu",
            "train.max_minutes=7",
        ]
    ]


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in help_of()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import marian folder", "Missing option '-o, --output'."),
        ("train --corpus dats", "Invalid value for '--corpus': 'dats' is not one of 'dates', 'numbers'"),
        ("train --minutes x", "Invalid value for '--minutes': "),
        ("inspect a.tmx", "unexpected argument: a.tmx. Name a corpus by --data FILE, or by --source FILE and"),
        ("translate run Hello", "unexpected argument: Hello. Text is read from standard input, or from --input FILE"),
        ("import marian folder other -o run", "unexpected argument: other\n"),
    ],
)
def test_a_wrong_option_is_reported_as_help_spells_it(line: str, message: str) -> None:
    output = CliRunner().invoke(app, line.split()).output
    assert message in output
    assert "--out'" not in output
    assert "Value error" not in output
    assert "unable to parse" not in output


def test_required_options_are_marked() -> None:
    assert "[required]" in help_of("import")
    assert "[required]" in help_of("export")
    assert "[required]" not in help_of("train")


def test_help_shows_how_to_switch_off_what_is_on() -> None:
    assert "--examples, --no-examples" in help_of("serve")
    assert "--split-sentences, --no-split-sentences" in help_of("translate")


def test_the_default_of_augmentation_is_what_a_chosen_recipe_has() -> None:
    text = " ".join(help_of("train").replace("│", " ").split())
    assert "without one, light for sentences; off for other text and with --from" in text
