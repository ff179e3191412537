"""`regard attend`: show which source words the model attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from regard.cli.options import (
    MODEL,
    OUTPUT,
    BeamSize,
    DeviceOption,
    Ensemble,
    OldSearch,
    Run,
    SearchSettings,
    Tags,
    option,
)

EXAMPLES = """
regard attend runs/en-de "Two dogs play in the snow."
regard attend runs/en-de "Two dogs play." -o attention.png -o attention.html
regard attend runs/en-de --pharaoh < input.txt
"""
ATTENTION = "Attention"
SUFFIXES = (".html", ".png", ".svg", ".json", ".pharaoh")


Kind = Literal["source", "encoder", "decoder"]
Format = Literal["text", "json", "pharaoh"]  # of standard output


@dataclass(frozen=True)
class View:
    """Which attention is shown, and how.

    Attributes:
        kind: From which side to which.
        layer: One layer, counted from 1; None: the mean of all.
        head: One head, counted from 1; None: the mean of all.
        tokens: Show tokens rather than words.
        every: Draw each layer and head separately in pictures.
    """

    kind: Kind
    layer: int | None
    head: int | None
    tokens: bool
    every: bool


def attend(
    run: Run,
    sentence: Annotated[
        str | None,
        typer.Argument(
            metavar="SENTENCE", help="Sentence to translate, in quotes.", show_default="each line of standard input"
        ),
    ] = None,
    target: Annotated[
        str | None, option("TEXT", "Translation to show the attention for.", MODEL, show_default="the model's own")
    ] = None,
    kind: Annotated[
        Kind,
        option(
            "KIND", "Attention to show: source (target to source), encoder or decoder (within one side).", ATTENTION
        ),
    ] = "source",
    layer: Annotated[
        int | None, option("N", "Layer, counted from 1.", ATTENTION, min=1, show_default="the mean of all")
    ] = None,
    head: Annotated[
        int | None, option("N", "Head, counted from 1.", ATTENTION, min=1, show_default="the mean of all")
    ] = None,
    tokens: Annotated[
        bool,
        typer.Option("--tokens", help="Show tokens instead of words.", rich_help_panel=ATTENTION),
    ] = False,
    every: Annotated[
        bool,
        typer.Option(
            "--every", help="Draw one map for each layer and head in .png and .svg.", rich_help_panel=ATTENTION
        ),
    ] = False,
    output: Annotated[
        list[Path] | None,
        option(
            "FILE",
            "File to write as well: .png, .svg, .html, .json or .pharaoh. Can be repeated.",
            OUTPUT,
            "-o",
            "--output",
        ),
    ] = None,
    json_: Annotated[
        bool,
        typer.Option("--json", help="Print every layer and head as JSON.", rich_help_panel=OUTPUT),
    ] = False,
    pharaoh: Annotated[
        bool,
        typer.Option("--pharaoh", help="Print word alignments in Pharaoh format: 0-0 1-2 ...", rich_help_panel=OUTPUT),
    ] = False,
    beam_size: BeamSize = None,
    settings: SearchSettings = None,
    search: OldSearch = None,
    ensemble: Ensemble = None,
    tag: Tags = None,
    device: DeviceOption = "auto",
) -> None:
    """Show which source words each word of a translation attends to.

    Prints a map to the terminal; --output writes pictures, pages and numbers.
    """
    from regard.cli.search_settings import search_settings
    from regard.cli.streams import refuse_not_utf8, refuse_same, try_writing
    from regard.cli.translator_options import TranslatorOptions
    from regard.errors import ConfigError

    if json_ and pharaoh:
        raise ConfigError("only one of them can be printed", where="--json, --pharaoh", fix="remove one of them")
    overrides = search_settings(settings, search, beam_size=beam_size)
    outputs = output or []
    print_as: Format = "json" if json_ else "pharaoh" if pharaoh else "text"
    _check_outputs(kind, outputs, print_as)
    refuse_same([], outputs)
    if target is not None and sentence is None:
        raise ConfigError("there is a target, but no sentence", where="--target", fix="give the sentence as well")
    refuse_not_utf8(sentence, "the sentence")
    refuse_not_utf8(target, "--target")
    for path in outputs:
        try_writing(path)
    translator = TranslatorOptions(run, device, ensemble=ensemble or (), tags=tag or ()).load()
    from regard.cli.attention_output import show_attention

    view = View(kind, layer, head, tokens, every)
    show_attention(translator, sentence, target, view, outputs, print_as, overrides)


def _check_outputs(kind: Kind, outputs: Sequence[Path], print_as: Format) -> None:
    """Raise ConfigError for a file whose format is unknown, and for alignments of another attention."""
    from regard.errors import ConfigError

    for path in outputs:
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(
                f"the format of a file `{path.suffix}` is unknown",
                where=f"--output {path}",
                fix=f"choose a name that ends in {', '.join(SUFFIXES)}",
            )
    has_pharaoh = print_as == "pharaoh" or any(path.suffix.lower() == ".pharaoh" for path in outputs)
    if kind != "source" and has_pharaoh:
        raise ConfigError(
            "word alignments link target and source", where="--kind", fix="remove it for Pharaoh's format"
        )
