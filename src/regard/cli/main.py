"""`regard` and its commands.

PyTorch is imported by the bodies of the commands that need it, so that `--help` and a wrong option answer at once.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from regard.cli.analyze import EXAMPLES as ANALYZE
from regard.cli.analyze import analyze
from regard.cli.attend import EXAMPLES as ATTEND
from regard.cli.attend import attend
from regard.cli.clean import EXAMPLES as CLEAN
from regard.cli.clean import clean
from regard.cli.command import Command, Group, ModelCommand, PluginCommand, TorchCommand
from regard.cli.compare import EXAMPLES as COMPARE
from regard.cli.compare import compare
from regard.cli.data import app as data
from regard.cli.demo import EXAMPLES as DEMO
from regard.cli.demo import demo
from regard.cli.errors import errors_as_messages, report_stop
from regard.cli.evaluate import EXAMPLES as EVALUATE
from regard.cli.evaluate import evaluate
from regard.cli.export import EXAMPLES as EXPORT
from regard.cli.export import export
from regard.cli.import_ import EXAMPLES as IMPORT
from regard.cli.import_ import import_
from regard.cli.inspect import EXAMPLES as INSPECT
from regard.cli.inspect import inspect
from regard.cli.score import EXAMPLES as SCORE
from regard.cli.score import score
from regard.cli.serve import EXAMPLES as SERVE
from regard.cli.serve import serve
from regard.cli.shortlist import EXAMPLES as SHORTLIST
from regard.cli.shortlist import shortlist
from regard.cli.train import EXAMPLES as TRAIN
from regard.cli.train import train
from regard.cli.translate import EXAMPLES as TRANSLATE
from regard.cli.translate import translate
from regard.cli.version import EXAMPLES as VERSION
from regard.cli.version import version
from regard.runtime import raise_on_termination, shorten_idle_spins
from regard.version import __version__

EXAMPLES = """
regard train --source train.en --target train.de -o runs/en-de
regard translate runs/en-de < input.txt > output.txt
regard evaluate runs/en-de --source test.en --reference test.de
"""
app = typer.Typer(
    name="regard",
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=EXAMPLES,
)
app.command("train", cls=ModelCommand, epilog=TRAIN, rich_help_panel="Train and translate")(train)
app.command("translate", cls=ModelCommand, epilog=TRANSLATE, rich_help_panel="Train and translate")(translate)
app.command("serve", cls=ModelCommand, epilog=SERVE, rich_help_panel="Train and translate")(serve)
app.command("evaluate", cls=ModelCommand, epilog=EVALUATE, rich_help_panel="Evaluate")(evaluate)
app.command("score", cls=ModelCommand, epilog=SCORE, rich_help_panel="Evaluate")(score)
app.command("attend", cls=ModelCommand, epilog=ATTEND, rich_help_panel="Evaluate")(attend)
app.command("analyze", cls=ModelCommand, epilog=ANALYZE, rich_help_panel="Evaluate")(analyze)
app.command("compare", cls=ModelCommand, epilog=COMPARE, rich_help_panel="Evaluate")(compare)
app.add_typer(data, rich_help_panel="Corpora")
app.command("inspect", cls=PluginCommand, epilog=INSPECT, rich_help_panel="Corpora")(inspect)
app.command("clean", cls=PluginCommand, epilog=CLEAN, rich_help_panel="Corpora")(clean)
app.command("shortlist", cls=ModelCommand, epilog=SHORTLIST, rich_help_panel="Speed and exchange")(shortlist)
app.command("export", cls=ModelCommand, epilog=EXPORT, rich_help_panel="Speed and exchange")(export)
app.command("import", cls=TorchCommand, epilog=IMPORT, rich_help_panel="Speed and exchange")(import_)
app.command("demo", cls=TorchCommand, epilog=DEMO, rich_help_panel="Get started")(demo)
app.command("version", cls=Command, epilog=VERSION, rich_help_panel="Get started")(version)


def _print_version(is_given: bool) -> None:
    if is_given:
        print(__version__)
        raise typer.Exit


@app.callback()
def regard(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Train sequence-to-sequence models with attention, translate with them, and see what they attend to."""


def _with_called_command(arguments: Sequence[str]) -> typer.Typer:
    """Return the app without other commands than the called one, since typer prepares the options of all commands."""
    called = [command for command in app.registered_commands if arguments and command.name == arguments[0]]
    if not called:
        return app
    selected = copy.copy(app)
    selected.registered_commands, selected.registered_groups = called, []
    return selected


def run() -> None:
    """Run the command line. Errors are printed as a line or two, and end with status 1."""
    shorten_idle_spins()
    with raise_on_termination() as received:
        try:
            with errors_as_messages():
                _with_called_command(sys.argv[1:])(prog_name="regard")
        except SystemExit:
            if received:
                report_stop(received[0])
            raise
