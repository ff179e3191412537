"""`regard` and its commands.

PyTorch is imported by the bodies of the commands that need it, so that `--help` and a wrong option answer at once.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from regard.cli import (
    analyze,
    attend,
    calibrate,
    clean,
    compare,
    corrections,
    data,
    demo,
    evaluate,
    export,
    import_,
    improve,
    inspect,
    lesson,
    publish,
    score,
    serve,
    shortlist,
    train,
    translate,
    version,
)
from regard.cli.command import Command, Group, ModelCommand, PluginCommand, TorchCommand
from regard.cli.errors import errors_as_messages, report_stop
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
app.command("train", cls=ModelCommand, epilog=train.EXAMPLES, rich_help_panel="Train and translate")(train.train)
app.command("translate", cls=ModelCommand, epilog=translate.EXAMPLES, rich_help_panel="Train and translate")(
    translate.translate
)
app.command("serve", cls=ModelCommand, epilog=serve.EXAMPLES, rich_help_panel="Train and translate")(serve.serve)
app.command("calibrate", cls=ModelCommand, epilog=calibrate.EXAMPLES, rich_help_panel="Train and translate")(
    calibrate.calibrate
)
app.command("improve", cls=ModelCommand, epilog=improve.EXAMPLES, rich_help_panel="Train and translate")(
    improve.improve
)
app.command("evaluate", cls=ModelCommand, epilog=evaluate.EXAMPLES, rich_help_panel="Evaluate")(evaluate.evaluate)
app.command("score", cls=ModelCommand, epilog=score.EXAMPLES, rich_help_panel="Evaluate")(score.score)
app.command("attend", cls=ModelCommand, epilog=attend.EXAMPLES, rich_help_panel="Evaluate")(attend.attend)
app.command("analyze", cls=ModelCommand, epilog=analyze.EXAMPLES, rich_help_panel="Evaluate")(analyze.analyze)
app.command("compare", cls=ModelCommand, epilog=compare.EXAMPLES, rich_help_panel="Evaluate")(compare.compare)
app.add_typer(data.app, rich_help_panel="Corpora")
app.command("inspect", cls=PluginCommand, epilog=inspect.EXAMPLES, rich_help_panel="Corpora")(inspect.inspect)
app.command("clean", cls=PluginCommand, epilog=clean.EXAMPLES, rich_help_panel="Corpora")(clean.clean)
app.command("corrections", cls=Command, epilog=corrections.EXAMPLES, rich_help_panel="Corpora")(corrections.corrections)
app.command("shortlist", cls=ModelCommand, epilog=shortlist.EXAMPLES, rich_help_panel="Speed and exchange")(
    shortlist.shortlist
)
app.command("export", cls=ModelCommand, epilog=export.EXAMPLES, rich_help_panel="Speed and exchange")(export.export)
app.command("publish", cls=ModelCommand, epilog=publish.EXAMPLES, rich_help_panel="Speed and exchange")(publish.publish)
app.command("import", cls=TorchCommand, epilog=import_.EXAMPLES, rich_help_panel="Speed and exchange")(import_.import_)
app.command("lesson", cls=PluginCommand, epilog=lesson.EXAMPLES, rich_help_panel="Get started")(lesson.lesson)
app.command("demo", cls=TorchCommand, epilog=demo.EXAMPLES, rich_help_panel="Get started")(demo.demo)
app.command("version", cls=Command, epilog=version.EXAMPLES, rich_help_panel="Get started")(version.version)


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
