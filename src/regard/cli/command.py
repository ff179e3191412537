"""Help of `regard` and its commands: plain text in 80 columns, with options in named groups and examples last."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from regard.cli.address_space import require_address_space
from regard.cli.options import OLD_SPELLINGS
from regard.console import status
from regard.errors import PeerFailed, RegardError
from regard.plugins import load_plugin

WIDTH = 79
INSTEAD_OF_ARGUMENTS = {  # by the name of an option that the command has
    "data": "Name a corpus by --data FILE, or by --source FILE and --target FILE",
    "input_": "Text is read from standard input, or from --input FILE",
}
FIRST_COLUMN = 28  # longer option names have their help on the next line


class Command(TyperCommand):
    """A command whose epilog holds its examples, one on a line."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments. A wrong one is reported in the words of the help text."""
        try:
            return super().make_context(*args, **kwargs)
        except typer.BadParameter as error:
            _reword(error)
            raise

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. For one too many, say which options name a corpus or a text."""
        ctx.allow_extra_args = True
        rest: list[str] = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            names = {str(parameter.name) for parameter in self.params}
            advice = "".join(f". {text}" for name, text in INSTEAD_OF_ARGUMENTS.items() if name in names)
            ctx.fail(f"unexpected argument: {ctx.args[0]}{advice}")
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return `[OPTIONS] RUN [SENTENCE]`."""
        arguments = [parameter for parameter in self.get_params(ctx) if parameter.param_type_name == "argument"]
        names = [(_spelling(argument, True), argument.required) for argument in arguments]
        return ["[OPTIONS]", *(name if required else f"[{name}]" for name, required in names)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options by group."""
        _write_parameters(self.get_params(ctx), formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are."""
        _write_examples(self.epilog, formatter)


class PluginCommand(Command):
    """A command with the option --plugin. Plugins are loaded before any other option is read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_plugin_option())


class TorchCommand(Command):
    """A command that imports PyTorch. It first checks that there is enough address space to load it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raise RegardError if there is too little address space."""
        require_address_space()
        return super().invoke(ctx)


class ModelCommand(TorchCommand, PluginCommand):
    """A command that imports PyTorch and has the option --plugin."""


def _load_plugins(context: typer.Context, plugins: list[str] | None) -> None:
    """Load the plugins that the command line names. Raise RegardError, or PeerFailed in all processes but the first."""
    if not plugins or context.resilient_parsing:
        return
    require_address_space()
    try:
        with status("loading the plugin"):
            for plugin in plugins:
                load_plugin(plugin)
    except RegardError as error:
        if os.environ.get("RANK", "0") == "0":
            raise
        raise PeerFailed(error.message) from None


@cache
def _plugin_option() -> Any:
    """Return the option --plugin, as typer makes it from a parameter."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def command(
        plugin: Annotated[
            list[str] | None,
            typer.Option(
                metavar="FILE",
                help="Python file with your own architecture, attention score, tokenizer, search, corpus format or "
                "metric; or the name of an installed plugin. Can be repeated.",
                callback=_load_plugins,
                is_eager=True,
                expose_value=False,
            ),
        ] = None,
    ) -> None: ...

    return next(parameter for parameter in typer.main.get_command(app).params if parameter.name == "plugin")


class Group(TyperGroup):
    """`regard` itself: its commands by group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write commands by group, then options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                title = getattr(command, "rich_help_panel", None) or "Commands"
                summary = (command.help or "").split("\n\n")[0]
                groups.setdefault(str(title), []).append((name, " ".join(summary.split())))
        width = max(len(name) for rows in groups.values() for name, _ in rows)
        for title, rows in groups.items():
            _write_rows(title, rows, formatter, width)
        _write_parameters(self.get_params(ctx), formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are."""
        _write_examples(self.epilog, formatter)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which they are registered."""
        return list(self.commands)


def parameter_groups(parameters: Iterable[Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the spelling and the help of each visible parameter, by group; --help and the like come last."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in parameters:
        if getattr(parameter, "hidden", False) or not getattr(parameter, "help", None):
            continue
        is_argument = parameter.param_type_name == "argument"
        title = getattr(parameter, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
        names = _spelling(parameter, is_argument)
        groups.setdefault(str(title), []).append((names, parameter.help + _default(parameter)))
    groups["Options"] = groups.pop("Options", [])
    return {title: rows for title, rows in groups.items() if rows}


def _write_parameters(parameters: Iterable[Any], formatter: Any) -> None:
    for title, rows in parameter_groups(parameters).items():
        _write_rows(title, rows, formatter, FIRST_COLUMN)


def _reword(error: typer.BadParameter) -> None:
    """Leave old spellings of the option and the phrases of the parser out of a message."""
    parameter: Any = error.param
    if parameter is not None and parameter.param_type_name == "option":
        error.param_hint = f"'{', '.join(_names(parameter))}'"
    error.message = str(error.message).removeprefix("Value error, ").partition(", unable to parse")[0]


def _names(option: Any) -> list[str]:
    return [name for name in sorted(option.opts, key=len) if name not in OLD_SPELLINGS]


def _spelling(parameter: Any, is_argument: bool) -> str:
    """Return `-o, --output FILE`."""
    if is_argument:
        return str(parameter.metavar or parameter.name.upper())
    names = _names(parameter)
    if parameter.is_flag and parameter.default is not False:  # without it the value is yes, or depends on the run
        names += parameter.secondary_opts
    metavar = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return ", ".join(names) + metavar


def _default(parameter: Any) -> str:
    """Return ` [default: 64]` or ` [required]`; nothing for arguments, for flags, and for values that are None."""
    if isinstance(parameter.show_default, str):
        return f" [default: {parameter.show_default}]"
    value = parameter.default
    if parameter.required:
        return "" if parameter.param_type_name == "argument" else " [required]"
    if value is None or value == "" or isinstance(value, bool | list | tuple) or callable(value):
        return ""
    return f" [default: {getattr(value, 'value', value)}]"


def _write_rows(title: str, rows: Iterable[tuple[str, str]], formatter: Any, width: int) -> None:
    formatter.write(f"\n{typer.style(f'{title}:', bold=True)}\n")
    indent = " " * (width + 4)
    for names, text in rows:
        lines = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False, break_long_words=False)
        if len(names) > width:
            formatter.write(f"  {names}\n{indent}{lines.pop(0)}\n")
        else:
            formatter.write(f"  {names:{width}}  {lines.pop(0)}\n")
        for line in lines:
            formatter.write(f"{indent}{line}\n")


def _write_examples(examples: str | None, formatter: Any) -> None:
    if examples:
        lines = examples.strip().splitlines()
        formatter.write(f"\n{typer.style('Examples:' if len(lines) > 1 else 'Example:', bold=True)}\n")
        for line in lines:
            formatter.write(f"  {line}\n")
