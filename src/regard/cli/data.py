"""`regard data`: list and download published corpora."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

app = typer.Typer(
    name="data",
    help="List and download published corpora.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("list")
def list_() -> None:
    """List the corpora that can be downloaded, with their licences.

    Example: `regard data list`
    """
    from regard.config.data_folder import data_folder
    from regard.corpus.datasets import datasets, is_complete

    console = Console(highlight=False, soft_wrap=True)
    for dataset in datasets().values():
        folder = data_folder() / dataset.name
        state = f"in {folder}" if is_complete(dataset, folder) else "not downloaded"
        console.print(f"{dataset.name} ({state})", style="bold", markup=False)
        console.print(f"  {dataset.title}\n  licence: {dataset.licence}\n  {dataset.homepage}", markup=False)


@app.command()
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Corpora that `regard data list` lists.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="DIR", help="Where NAME/ is made. Default: $REGARD_DATA, or data/.", show_default=False
        ),
    ] = None,
) -> None:
    """Download corpora from their publishers and check their SHA-256.

    Complete files stay as they are; only what is missing is downloaded.

    Example: `regard data get multi30k`
    """
    from regard.config.data_folder import data_folder
    from regard.corpus.datasets import download, find_dataset, is_complete

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for dataset in [find_dataset(name) for name in names]:
        place = (folder or data_folder()) / dataset.name
        if is_complete(dataset, place):
            console.print(f"{dataset.name}: complete in {place}", markup=False)
            continue
        size = "" if dataset.size is None else f", {dataset.size / 1e6:.1f} MB of text"
        console.print(f"{dataset.title}{size}\nlicence: {dataset.licence} ({dataset.homepage})", markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
            task = progress.add_task(dataset.name, total=dataset.size)
            download(dataset, place, partial(progress.advance, task))
        console.print(f"{dataset.name}: complete in {place}", markup=False)
