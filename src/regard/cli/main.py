"""`regard` and its commands.

PyTorch is imported by the bodies of the commands that need it, so that `--help` and a wrong option answer at once.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from regard.cli.analyze import EXAMPLES as ANALYZE
from regard.cli.analyze import analyze
from regard.cli.attend import EXAMPLES as ATTEND
from regard.cli.attend import attend
from regard.cli.clean import EXAMPLES as CLEAN
from regard.cli.clean import clean
from regard.cli.command import Command, Group
from regard.cli.compare import EXAMPLES as COMPARE
from regard.cli.compare import compare
from regard.cli.demo import EXAMPLES as DEMO
from regard.cli.demo import demo
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
from regard.console import say
from regard.errors import PeerFailed, RegardError
from regard.runtime import raise_on_termination, shorten_idle_spins
from regard.version import __version__

EXAMPLES = """
regard train --source train.en --target train.de -o runs/en-de
regard translate runs/en-de < input.txt > output.txt
regard evaluate runs/en-de --source test.en --reference test.de
"""
OUT_OF_MEMORY = RegardError(
    "out of memory",
    fix="free some memory, or lower --batch-size, --beam-size or --workers; "
    "in training tokenizer.vocabulary_size, train.tokens_per_batch or the sizes in [model]",
)

app = typer.Typer(
    name="regard",
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=EXAMPLES,
)
app.command("train", cls=Command, epilog=TRAIN, rich_help_panel="Train and translate")(train)
app.command("translate", cls=Command, epilog=TRANSLATE, rich_help_panel="Train and translate")(translate)
app.command("serve", cls=Command, epilog=SERVE, rich_help_panel="Train and translate")(serve)
app.command("evaluate", cls=Command, epilog=EVALUATE, rich_help_panel="Evaluate")(evaluate)
app.command("score", cls=Command, epilog=SCORE, rich_help_panel="Evaluate")(score)
app.command("attend", cls=Command, epilog=ATTEND, rich_help_panel="Evaluate")(attend)
app.command("analyze", cls=Command, epilog=ANALYZE, rich_help_panel="Evaluate")(analyze)
app.command("compare", cls=Command, epilog=COMPARE, rich_help_panel="Evaluate")(compare)
app.command("inspect", cls=Command, epilog=INSPECT, rich_help_panel="Corpora")(inspect)
app.command("clean", cls=Command, epilog=CLEAN, rich_help_panel="Corpora")(clean)
app.command("shortlist", cls=Command, epilog=SHORTLIST, rich_help_panel="Speed and exchange")(shortlist)
app.command("export", cls=Command, epilog=EXPORT, rich_help_panel="Speed and exchange")(export)
app.command("import", cls=Command, epilog=IMPORT, rich_help_panel="Speed and exchange")(import_)
app.command("demo", cls=Command, epilog=DEMO, rich_help_panel="Get started")(demo)


@app.command("version", hidden=True)
def version() -> None:
    """Print the version."""
    print(__version__)


def _print_version(is_given: bool) -> None:
    if is_given:
        version()
        raise typer.Exit


@app.callback()
def regard(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Train sequence-to-sequence models with attention, translate with them, and see what they attend to."""


def run() -> None:
    """Run the command line. Errors of the input are printed as a line or two, and end with status 1."""
    shorten_idle_spins()
    with raise_on_termination() as received:
        try:
            _run_app()
        except SystemExit:
            if received:
                with suppress(OSError):  # after SIGHUP there is no terminal
                    say(f"stopped by {received[0].name}")
            raise


def _run_app() -> None:
    try:
        app(prog_name="regard")
    except PeerFailed:  # another process has printed the error
        sys.exit(1)
    except RegardError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # such as a full disk, if no better message is known
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except MemoryError:
        _fail(OUT_OF_MEMORY)
    except RuntimeError as error:
        from regard.training.microbatches import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        _fail(OUT_OF_MEMORY)


def _fail(error: RegardError | str) -> NoReturn:
    with suppress(OSError):  # there may be no terminal
        say(f"error: {error}", style="bold red")
    sys.exit(1)
