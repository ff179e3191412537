"""`regard` and its commands: their options, and what they are called.

PyTorch is imported by the commands that need it, so that `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regard.cli import analyze_options, export_import, inspect_clean_options, serve
from regard.cli.errors import TorchCommand, errors_as_messages, report_stop
from regard.cli.options import (
    BatchSize,
    BeamSize,
    Device,
    Ensemble,
    LengthPenalty,
    Overrides,
    Precision,
    RunOrCheckpoint,
    Search,
    SplitSentences,
    Tags,
    TestColumn,
    TestData,
    TestLanguage,
)
from regard.corpus.formats.suffixes import BILINGUAL_SUFFIXES
from regard.errors import ConfigError
from regard.runtime import raise_on_termination, shorten_idle_spins
from regard.version import __version__

app = typer.Typer(
    name="regard",
    help="Sequence-to-sequence models with attention: train on your own pairs, look, translate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command(cls=TorchCommand)
def train(
    recipe: Annotated[Path | None, typer.Argument(help="A recipe (TOML); without one it is chosen for you.")] = None,
    source: Annotated[Path | None, typer.Option(help="Source side, one segment a line; .gz, .xz, .zst too.")] = None,
    target: Annotated[Path | None, typer.Option(help="Target side, line n belonging to line n.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Both sides in one file instead: {', '.join(BILINGUAL_SUFFIXES)}; or hf:NAME, mtdata:NAME.",
        ),
    ] = None,
    dev_source: Annotated[Path | None, typer.Option(help="Dev set; without one, pairs are held out.")] = None,
    dev_target: Annotated[Path | None, typer.Option(help="Dev set.")] = None,
    dev_data: Annotated[Path | None, typer.Option(metavar="FILE", help="Dev set in one file.")] = None,
    source_language: Annotated[str | None, typer.Option(help="Default: from the file's name.")] = None,
    target_language: Annotated[str | None, typer.Option(help="Default: from the file's name.")] = None,
    source_column: Annotated[str | None, typer.Option(help="Of a table: its name, or number from 1.")] = None,
    target_column: Annotated[str | None, typer.Option(help="Of a table: its name, or number from 1.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/ and a name.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run, or from one of its checkpoints.")
    ] = None,
    from_: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Begin with this run's weights and vocabulary.")
    ] = None,
    extend_vocabulary: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --from: at most N new tokens, of the new text.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Try it once, say what it takes, leave nothing behind.")] = False,
    overrides: Overrides = None,
) -> None:
    """Train from a recipe, from files, from another run, or on from where a run stopped."""
    files = {
        "source": source,
        "target": target,
        "file": data,
        "dev_source": dev_source,
        "dev_target": dev_target,
        "dev_file": dev_data,
        "source_language": source_language,
        "target_language": target_language,
        "source_column": source_column,
        "target_column": target_column,
    }
    given = {name: str(value) for name, value in files.items() if value is not None}
    _announce("loading PyTorch")
    from regard.cli import commands

    start = commands.start(from_, extend_vocabulary)
    if resume is not None:
        alone = recipe is None and not given and out is None and start is None and not dry_run
        commands.resume(resume, overrides or [], alone=alone)
    else:
        commands.train(recipe, given, out=out, start=start, overrides=overrides or [], dry=dry_run)


@app.command(cls=TorchCommand)
def translate(
    run: RunOrCheckpoint,
    input_: Annotated[Path | None, typer.Option("--input", help="Default: standard input. .gz, .xz, .zst too.")] = None,
    output: Annotated[Path | None, typer.Option(help="Default: standard output. .gz, .xz, .zst too.")] = None,
    beam_size: BeamSize = None,
    top_beams: Annotated[int, typer.Option(min=1, help="Translations a line, best first.")] = 1,
    length_penalty: LengthPenalty = None,
    search: Search = None,
    constraints: Annotated[
        Path | None, typer.Option(help='A JSON object a line: {"require": [], "forbid": [], "prefix": ""}.')
    ] = None,
    scores: Annotated[bool, typer.Option(help="Put each translation's score and a tab before it.")] = False,
    alignments: Annotated[Path | None, typer.Option(help="Write word alignments (Pharaoh) there.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what looks degenerate there (JSONL).")] = None,
    fallback: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Search degenerate lines again with this.")
    ] = None,
    ensemble: Ensemble = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    precision: Precision = "float32",
    split_sentences: SplitSentences = None,
    tag: Tags = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes, on a CPU; 0: as many as the work is worth.")] = 0,
    paragraphs: Annotated[bool, typer.Option(help="Plain paragraphs: sentences are found in them.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Read the input as lines of text, whatever its name.")] = False,
    source_column: Annotated[str, typer.Option(help="Of a table: its name, or number from 1.")] = "",
    target_column: Annotated[str, typer.Option(help="Of a table; it is added where there is none.")] = "",
    source_language: Annotated[str, typer.Option(help="Of a document. Default: the run's.")] = "",
    target_language: Annotated[str, typer.Option(help="Of a document. Default: the run's.")] = "",
) -> None:
    """Translate text, a line a segment; line i of the output is line i of the input. A document (.po, .xlf, .tmx, .tsv,
    .csv, .srt, .md, .html) is given back in its own format, with what was untranslated filled."""
    from regard.cli import commands, documents
    from regard.cli import translate as translating
    from regard.documents.document import Columns, Languages

    others, tags = tuple(ensemble or []), tuple(tag or [])
    job = commands.Job(run, input_, output, device, batch_size, precision, others, workers, tags)
    languages = Languages(source_language, target_language)
    wishes = documents.Wishes(paragraphs, plain, Columns(source_column, target_column), languages)
    is_document = documents.is_document(input_, wishes)
    command = partial(documents.translate_document, wishes=wishes) if is_document else translating.translate
    command(
        job,
        translating.Wanted(
            search=translating.options(search or [], "--search", beam_size=beam_size, length_penalty=length_penalty),
            fallback=translating.options(fallback, "--fallback") if fallback else None,
            top_beams=top_beams,
            constraints=constraints,
            split_sentences=split_sentences,
        ),
        translating.Written(scores=scores, alignments=alignments, report=report),
    )


@app.command(cls=TorchCommand)
def evaluate(
    run: RunOrCheckpoint,
    source: Annotated[Path | None, typer.Option(help="What to translate, one segment a line.")] = None,
    reference: Annotated[Path | None, typer.Option(help="What it should say, line by line.")] = None,
    data: TestData = None,
    source_language: TestLanguage = "",
    target_language: TestLanguage = "",
    source_column: TestColumn = "",
    target_column: TestColumn = "",
    json_: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    tokenized: Annotated[bool, typer.Option(help="The text is in tokens: BLEU counts those.")] = False,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    search: Search = None,
    split_sentences: Annotated[
        bool, typer.Option("--split-sentences", help="Translate the sentences of a line one by one.")
    ] = False,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    precision: Precision = "float32",
    ensemble: Ensemble = None,
    tag: Tags = None,
) -> None:
    """BLEU, chrF and TER of a test set's translation, by sacreBLEU on detokenised text."""
    from regard.cli import commands
    from regard.cli import evaluate as evaluating
    from regard.cli import translate as translating
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    evaluating.evaluate(
        commands.Job(run, None, None, device, batch_size, precision, tuple(ensemble or []), tags=tuple(tag or [])),
        evaluating.Known(
            CorpusPaths(source, reference, data, ("--source", "--reference", "--data")),
            Sides(source_language, target_language, source_column, target_column),
        ),
        as_json=json_,
        tokenized=tokenized,
        split_sentences=split_sentences,
        search=translating.options(search or [], "--search", beam_size=beam_size, length_penalty=length_penalty),
    )


@app.command(cls=TorchCommand)
def score(
    run: RunOrCheckpoint,
    source: Annotated[Path | None, typer.Option(help="Sources, one a line.")] = None,
    target: Annotated[Path | None, typer.Option(help="Their targets, line by line.")] = None,
    data: TestData = None,
    source_language: TestLanguage = "",
    target_language: TestLanguage = "",
    source_column: TestColumn = "",
    target_column: TestColumn = "",
    output: Annotated[Path | None, typer.Option(help="Default: standard output. .gz, .xz, .zst too.")] = None,
    batch_size: BatchSize = 64,
    device: Device = "auto",
    tag: Tags = None,
) -> None:
    """The log-probability (nats, end of sentence included) of each target given its source, a line each; of --data
    behind the line of its pair and a tab."""
    from regard.cli import commands
    from regard.cli import evaluate as evaluating
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    job = commands.Job(run, None, output, device=device, batch_size=batch_size, tags=tuple(tag or []))
    sides = Sides(source_language, target_language, source_column, target_column)
    evaluating.score(job, evaluating.Known(CorpusPaths(source, target, data), sides))


@app.command(cls=TorchCommand)
def attend(
    run: RunOrCheckpoint,
    sentence: Annotated[str | None, typer.Argument(help="In quotes. Default: each line of standard input.")] = None,
    target: Annotated[str | None, typer.Option(help="What it is to say, in the place of its own translation.")] = None,
    kind: Annotated[str, typer.Option(help="source, encoder or decoder: what is looked at.")] = "source",
    layer: Annotated[int | None, typer.Option(min=1, help="One layer. Default: the mean of all.")] = None,
    head: Annotated[int | None, typer.Option(min=1, help="One head. Default: the mean of all.")] = None,
    tokens: Annotated[bool, typer.Option(help="Tokens as they are, not folded to words.")] = False,
    every: Annotated[bool, typer.Option(help="In pictures a map for each layer and head.")] = False,
    output: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Also write .png, .svg, .html, .json or .pharaoh.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON: every layer and head.")] = False,
    pharaoh: Annotated[bool, typer.Option(help="Print links between words, source-target.")] = False,
    ensemble: Ensemble = None,
    beam_size: BeamSize = None,
    device: Device = "auto",
    tag: Tags = None,
) -> None:
    """What each word of a translation looks at: on the terminal, as a picture, as a page, as numbers."""
    from regard.cli import attend as attending
    from regard.cli import commands
    from regard.cli import translate as translating

    if json_ and pharaoh:
        raise ConfigError("only one of them can be printed", where="--json, --pharaoh", fix="leave one out")
    attending.attend(
        commands.Job(run, None, None, device, 64, others=tuple(ensemble or []), tags=tuple(tag or [])),
        sentence,
        target,
        attending.View(kind, layer, head, tokens, every),
        outputs=output or [],
        told="json" if json_ else "pharaoh" if pharaoh else "text",
        search=translating.options([], "--search", beam_size=beam_size),
    )


@app.command(cls=TorchCommand)
def demo(
    out: Annotated[Path, typer.Option(help="Where the two runs and the pictures go.")] = Path("runs/demo"),
) -> None:
    """Dates in words to ISO dates: train two systems, test them, look at what they attend to."""
    _announce("loading PyTorch")
    from regard.cli import commands

    commands.demo(out)


@app.command(cls=TorchCommand)
def compare(
    recipe: Annotated[Path | None, typer.Argument(help="What all are trained by (TOML).")] = None,
    corpus: Annotated[str | None, typer.Option(help="numbers or dates, embedded, in the place of a recipe.")] = None,
    architectures: Annotated[str, typer.Option(help="all, or names with commas between them.")] = "all",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Of training, each. Default: the recipe's, or 10; quick on a corpus.")
    ] = None,
    runs: Annotated[list[str] | None, typer.Option(metavar="DIR,DIR", help="Finished runs, in their place.")] = None,
    out: Annotated[Path, typer.Option(help="Where runs and report go.")] = Path("report"),
    test_source: Annotated[Path | None, typer.Option(help="Default: the corpus' test split, or the dev set.")] = None,
    test_reference: Annotated[Path | None, typer.Option(help="What it should say.")] = None,
    test_data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Both in one file instead, read as the recipe reads its own.")
    ] = None,
    tokenized: Annotated[bool, typer.Option(help="The text is in tokens: BLEU counts those.")] = False,
    overrides: Overrides = None,
) -> None:
    """Systems side by side: train each under one budget, or take finished runs, test all, and write a page."""
    from regard.cli import commands
    from regard.corpus.paths import CorpusPaths
    from regard.reports.compare.run import Request

    request = Request(
        recipe=recipe,
        corpus=corpus,
        architectures=architectures,
        minutes=minutes,
        runs=commands.folders(runs or []),
        overrides=overrides or [],
        test=CorpusPaths(test_source, test_reference, test_data, ("--test-source", "--test-reference", "--test-data")),
        tokenized=tokenized,
    )
    commands.compare(request, out)


@app.command(cls=TorchCommand)
def shortlist(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, with its data/.")],
    candidates: Annotated[int, typer.Option(min=1, help="Target tokens for each source token, at most.")] = 30,
    frequent: Annotated[int, typer.Option(min=0, help="Target tokens that may always be said.")] = 1000,
) -> None:
    """Learn from the training data which tokens may be said of which source: a faster search, within them."""
    from regard.cli import commands

    commands.shortlist(run, candidates, frequent)


app.command("analyze", cls=TorchCommand)(analyze_options.analyze)
app.command("inspect")(inspect_clean_options.inspect)
app.command("clean")(inspect_clean_options.clean)
app.command("export", cls=TorchCommand)(export_import.export)
app.command("import", cls=TorchCommand)(export_import.import_)
app.command("serve", cls=TorchCommand)(serve.serve)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def run() -> None:
    """The entry point: errors of the input are told in a line or two, and end with status 1."""
    shorten_idle_spins()
    with raise_on_termination() as received:
        try:
            with errors_as_messages():
                app()
        except SystemExit:
            if received:
                report_stop(received[0])
            raise


def _announce(text: str) -> None:
    """Print on stderr what takes the next few seconds; of torchrun's processes, only in the first."""
    if os.environ.get("RANK", "0") == "0":
        Console(stderr=True).print(text, style="dim", highlight=False)
