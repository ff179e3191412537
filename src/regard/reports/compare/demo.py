"""The demo: a small comparison of two systems that convert dates in words of several locales to ISO dates."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import DataConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.console import say
from regard.corpus.builtin import BUILTIN
from regard.corpus.paths import CorpusPaths
from regard.errors import CheckpointError
from regard.models import ARCHITECTURES
from regard.reports.attention_plots import draw_attention_maps
from regard.reports.compare.measure import measure_run
from regard.reports.compare.results import Sample, SystemResults
from regard.reports.compare.systems import ComparedSystem, choose_test_conditions
from regard.reports.compare.training import train_system
from regard.reports.theme import LIGHT, save_png

SEED = 1
SAMPLES = 4  # test dates that are printed with their translations
PICTURE = "attention.png"
MODEL_SIZES: dict[str, dict[str, int]] = {  # smaller than the small presets: dates are easy
    "bahdanau2014": {"hidden_size": 96, "embedding_size": 64, "attention_size": 64, "maxout_size": 64},
    "transformer2017": {"hidden_size": 128, "ffn_size": 256, "encoder_layers": 2, "decoder_layers": 2},
}
TRAINING: dict[str, dict[str, float]] = {
    "bahdanau2014": {"learning_rate": 0.01, "max_steps": 400},
    "transformer2017": {"learning_rate": 0.005, "max_steps": 500},
}


def demo_recipe(architecture: str) -> RunConfig:
    """Return the recipe of one of the two architectures."""
    model = ARCHITECTURES[architecture].presets["small"]()
    train = TrainConfig(
        seed=SEED, optimizer="muon", schedule="cosine", label_smoothing=0.0, patience=0, metric="exact",
        warmup_steps=50, checkpoint_every=100, tokens_per_batch=2048,
    )  # fmt: skip
    return RunConfig(
        data=DataConfig(corpus="dates", target_language="iso"),
        tokenizer=TokenizerConfig(kind="character", vocabulary_size=1000),
        model=model.model_copy(update={**MODEL_SIZES[architecture], "dropout": 0.0}),
        train=train.model_copy(update=TRAINING[architecture]),
        search=SearchConfig(beam_size=1, length_penalty=0.0),
    )


def run_demo(out: Path, console: Console) -> dict[str, float]:
    """Train both systems, test them, and draw their attention.

    Args:
        out: Folder for the two runs and the picture. An earlier demo in it is replaced.
        console: Where progress and results are printed.

    Returns:
        The share of test dates that each system converts correctly, by name.

    Raises:
        CheckpointError: `out` has files that are not from a demo.
    """
    _remove_earlier_demo(out)
    systems = [ComparedSystem(name, out / name, demo_recipe(name), train=True) for name in MODEL_SIZES]
    conditions = choose_test_conditions(systems, CorpusPaths(), tokenized=False)
    pairs = BUILTIN["dates"](SEED).test.pairs[:SAMPLES]
    samples = [Sample(source=pair.source, reference=pair.target) for pair in pairs]
    total = len(conditions.test_set)
    say(
        f"Dates in words to ISO dates: two systems, trained from scratch and tested on {total:,} dates that are not in "
        "the training data.\n",
        console,
    )
    start = time.monotonic()
    results: list[SystemResults] = []
    for system in systems:
        console.rule(f"{system.name} ({ARCHITECTURES[system.name].paper})", align="left")
        train_system(system, console)
        measurement = measure_run(system.name, system.folder, conditions, samples=samples, step_lengths=())
        results.append(measurement.facts)
        exact = results[-1].exact
        say(f"{system.name}: {round(exact * total):,} of {total:,} test dates correct ({100 * exact:.1f}%)\n", console)
    _print_samples(samples, results, console)
    _draw_attention(results, out / PICTURE)
    say(f"Attention of each system on the first date: {(out / PICTURE).resolve()}", console)
    say(
        f"\nBoth systems took {time.monotonic() - start:.0f} s. Next, try your own files, where line n translates "
        "line n:\n\n"
        "  .venv/bin/regard train --source train.en --target train.de -o runs/mine\n"
        "  .venv/bin/regard translate runs/mine < new.en > new.de",
        console,
    )
    return {system.name: system.exact for system in results}


def _remove_earlier_demo(out: Path) -> None:
    if not out.exists():
        return
    foreign = {entry.name for entry in out.iterdir()} - {*MODEL_SIZES, PICTURE}
    if foreign:
        raise CheckpointError(
            f"the folder has files that are not from an earlier demo ({min(foreign)})",
            where=out,
            fix="choose another folder",
        )
    for name in MODEL_SIZES:
        if (out / name).exists():
            with RunFolder(out / name).lock():
                pass  # fails while another demo is running
            shutil.rmtree(out / name)


def _print_samples(samples: list[Sample], results: list[SystemResults], console: Console) -> None:
    table = Table("in words", *(system.name for system in results), "reference")
    for number, sample in enumerate(samples):
        table.add_row(sample.source, *(system.translations[number] for system in results), sample.reference)
    console.print(table)


def _draw_attention(results: list[SystemResults], picture: Path) -> None:
    panels = [(system.name, matrix) for system in results if (matrix := system.attended[0]) is not None]
    save_png(draw_attention_maps(panels, LIGHT, max_columns=1), picture)
