"""`regard lesson`: open the lessons in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import option

EXAMPLES = """
regard lesson
regard lesson runs/en-de
regard lesson --port 8000 --no-browser
"""
ACCESS = "Access"


def lesson(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN", help="Folder of a run or checkpoint that live figures use.", show_default="the lessons' own"
        ),
    ] = None,
    port: Annotated[int, option("N", "Port; 0 chooses a free one and prints it.", ACCESS, min=0, max=65535)] = 0,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser/--no-browser", help="Open the lessons in a browser.", show_default="yes", rich_help_panel=ACCESS
        ),
    ] = True,
) -> None:
    """Open lessons on attention, with live figures, in a browser. They need no network."""
    import tempfile
    import threading

    from regard.console import say, status
    from regard.lessons.server import LessonServer, pages

    served: dict[str, bytes | Path] = {}
    # the server first: it reports a port in use before the run is exported
    with tempfile.TemporaryDirectory() as temporary, LessonServer(port, served) as server:
        folder = None
        if run is not None:
            from regard.checkpoints.run_folder import resolve_checkpoint

            resolve_checkpoint(run)  # report a wrong path before PyTorch is imported
            with status("exporting the run"):
                from regard.lessons.own_run import prepare_run

                folder = Path(temporary) / "run"
                prepare_run(run, folder)
        served.update(pages(folder))
        say(f"lessons: {server.address} (Ctrl-C stops the server)")
        if browser:
            # in a thread: a browser in the terminal returns when its reader leaves it
            threading.Thread(target=_open, args=[server.address], daemon=True).start()
        server.serve_forever()


def _open(address: str) -> None:
    import webbrowser

    from regard.console import say

    if not webbrowser.open(address):
        say("no browser can be opened on this machine: open the address yourself")
