"""The page of all commands, made from the commands themselves while the site is built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from regard.cli.command import parameter_groups
from regard.cli.main import app as regard

PAGE = "docs/cli"
CODE = re.compile(r"`[^`]*`|(?<![\w`])--?[a-zA-Z][\w-]*(?:=[\w.]+)?|\$[A-Z_]+")
MARKUP = re.compile(r"([*_<>\[\]\\])")


def setup(app: Any) -> None:
    """Add the commands while their page is read."""
    app.connect("source-read", _add_commands)


def _add_commands(_app: Any, docname: str, source: list[str]) -> None:
    if docname == PAGE:
        source[0] += "\n" + "\n".join(_commands(typer.main.get_command(regard), "regard"))


def _commands(group: Any, name: str) -> Iterator[str]:
    """Yield the lines of Markdown of all commands of a group."""
    for command in group.commands.values():
        if getattr(command, "commands", None):
            yield from _commands(command, f"{name} {command.name}")
        elif not command.hidden:
            yield from _command(command, f"{name} {command.name}")


def _command(command: Any, name: str) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    yield from (f"\n## {name}\n", _markdown(command.help or ""), "")
    yield from ("```text", f"{name} {' '.join(command.collect_usage_pieces(context))}", "```\n")
    for title, rows in parameter_groups(command.get_params(context)).items():
        yield from (f"**{title}**\n", "{.options}", "| | |", "| --- | --- |")
        yield from (f"| {_code(names)} | {_markdown(text)} |" for names, text in rows if "--help" not in names)
        yield ""
    if command.epilog:
        yield from ("```sh", command.epilog.strip(), "```\n")


def _code(names: str) -> str:
    return f"`{names}`".replace("|", "\\|")


def _markdown(text: str) -> str:
    """Return a help text as Markdown: options as code, and no other character with a meaning."""
    parts, start = [], 0
    for match in CODE.finditer(text):
        parts += [MARKUP.sub(r"\\\1", text[start : match.start()]), f"`{match[0].strip('`')}`"]
        start = match.end()
    return "".join([*parts, MARKUP.sub(r"\\\1", text[start:])]).replace("|", "\\|")
