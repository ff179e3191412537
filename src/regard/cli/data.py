"""`regard data`: list and download published corpora."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from regard.cli.command import Command, Group
from regard.cli.options import option

EXAMPLES = """
regard data list
regard data get multi30k
"""
LIST = """
regard data list
"""
GET = """
regard data get multi30k
regard data get multi30k g2p --folder corpora
"""

app = typer.Typer(
    name="data",
    cls=Group,
    help="List and download published corpora.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=EXAMPLES,
)


@app.command("list", cls=Command, epilog=LIST)
def list_() -> None:
    """List the corpora that can be downloaded, with their licences."""
    from regard.config.data_folder import data_folder
    from regard.corpus.datasets import datasets, is_present

    for dataset in datasets().values():
        folder = data_folder() / dataset.name
        state = f"in {folder}" if is_present(dataset, folder) else "not downloaded"
        print(f"{dataset.name} ({state})\n  {dataset.title}\n  licence: {dataset.licence}\n  {dataset.homepage}")


@app.command(cls=Command, epilog=GET)
def get(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Corpora, by the names that `regard data list` prints.")
    ],
    folder: Annotated[
        Path | None, option("DIR", "Folder in which NAME/ is created.", show_default="$REGARD_DATA, or data")
    ] = None,
) -> None:
    """Download corpora from their publishers.

    The SHA-256 of each file is checked. Files that are complete are not downloaded again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from regard.config.data_folder import data_folder
    from regard.console import say
    from regard.corpus.datasets import download, find_dataset, is_complete

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for dataset in [find_dataset(name) for name in names]:
        place = (folder or data_folder()) / dataset.name
        if not is_complete(dataset, place):
            size = "" if dataset.size is None else f", {dataset.size / 1e6:.1f} MB of text"
            say(f"{dataset.title}{size}\nlicence: {dataset.licence} ({dataset.homepage})")
            with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task(dataset.name, total=dataset.size)
                download(dataset, place, partial(progress.advance, task))
        say(f"{dataset.name}: complete in {place}")
