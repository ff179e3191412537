"""`regard publish`: upload a run's model to the Hugging Face hub."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from regard.cli.options import Run, option
from regard.plugins.registry import plugin_options

EXAMPLES = """
regard publish runs/en-de me/captions-en-de --to hub --dry-run
regard publish runs/en-de me/captions-en-de --to hub --license cc-by-4.0
"""


def publish(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Repository, as OWNER/NAME; or NAME, if it is yours.")],
    to: Annotated[Literal["hub"], option("PLACE", "Place to publish at: hub (Hugging Face).")] = "hub",
    public: Annotated[
        bool, typer.Option("--public", help="Let everyone download the model. Without it, the repository is private.")
    ] = False,
    license_: Annotated[
        str,
        option(
            "ID",
            "Licence of the model, as the hub writes it: apache-2.0 or cc-by-4.0 for example. Choose one that your "
            "training text allows.",
            None,
            "--license",
            show_default="none, or that of the last time",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files with their sizes; upload nothing.")
    ] = False,
    replace_card: Annotated[
        bool, typer.Option("--replace-card", help="Replace a model card that was edited on the hub.")
    ] = False,
) -> None:
    """Upload a run's best checkpoint, its recipe and its model card to the Hugging Face hub, or update them there.

    No training text is uploaded, and no name of a folder. But the tokenizer contains words, and parts of words, of the
    training text, and the recipe names its files.

    Log in with `hf auth login`, or set HF_TOKEN to a token that may write.
    """
    from regard.checkpoints.hub import check_name, require_hub
    from regard.cli.streams import output
    from regard.config.overrides import HUB
    from regard.console import say, status

    check_name(name, "NAME")
    license_ = license_.strip().lower()
    with status("loading PyTorch"):
        from regard.runs import publication
    if dry_run:
        files = publication.dry_run(run, name, say, license=license_)
        visibility = "public" if public else "private"
        say(f"dry run: nothing is uploaded; these files would go to the {visibility} repository {name}")
        with output(None) as write:
            write(_format_files(files))
        return
    require_hub()
    with status("publishing"):
        model = publication.publish(run, name, say, public=public, license=license_, replace_card=replace_card)
    say(f"published: {model.url} ({'public' if model.is_public else 'private'})")
    say(f"translate:  regard translate {HUB}{model.name}{plugin_options()} < input.txt > output.txt")


def _format_files(files: dict[str, int]) -> str:
    """Return a table of names and sizes, with their sum."""
    rows = {**files, "total": sum(files.values())}
    width = max(map(len, rows))
    return "".join(f"{name:{width}}  {size:>12,} bytes\n" for name, size in rows.items())
