"""The main job on an embedded corpus: dates in words of several locales to ISO dates, by two systems."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import DataConfig, ModelConfig, RunConfig, SearchConfig, TokenizerConfig, TrainConfig
from regard.corpus.builtin import BUILTIN
from regard.corpus.corpus import Pair
from regard.errors import CheckpointError
from regard.inference.translator import Translation, Translator
from regard.models import ARCHITECTURES
from regard.reports.compare.attention_figure import draw_attention
from regard.runs.train import train

SEED = 1
SHOWN = 4  # test dates that are printed with what each system says


@dataclass(frozen=True)
class System:
    """A system of the demo: its sizes, and the training that suits them."""

    model: ModelConfig
    train: TrainConfig


def systems() -> dict[str, System]:
    """Both small presets, made smaller still: a date needs little."""
    common = TrainConfig(
        seed=SEED, optimizer="muon", schedule="cosine", label_smoothing=0.0, patience=0, metric="exact", warmup_steps=50
    )

    def preset(name: str, **sizes: float) -> ModelConfig:
        return ARCHITECTURES[name].presets["small"]().model_copy(update=sizes)

    return {
        "bahdanau2014": System(
            preset("bahdanau2014", hidden=96, embedding=64, alignment=64, maxout=64, dropout=0.0),
            common.model_copy(
                update={"learning_rate": 0.01, "max_steps": 400, "checkpoint_every": 100, "tokens_per_batch": 2048}
            ),
        ),
        "transformer2017": System(
            preset("transformer2017", d_model=128, ff=256, encoder_layers=2, decoder_layers=2, dropout=0.0),
            common.model_copy(
                update={"learning_rate": 0.005, "max_steps": 500, "checkpoint_every": 100, "tokens_per_batch": 2048}
            ),
        ),
    }


def recipe(system: System) -> RunConfig:
    """The whole recipe of one system."""
    return RunConfig(
        data=DataConfig(corpus="dates", target_language="iso"),
        tokenizer=TokenizerConfig(kind="character", vocabulary_size=1000),
        model=system.model,
        train=system.train,
        search=SearchConfig(beam_size=1, length_penalty=0.0),
    )


def run_demo(out: Path, console: Console) -> dict[str, float]:
    """Train both systems, test them, draw what they attend to; the share of test dates each got right, by name.

    An earlier demo in `out` gives way; any other folder with files in it is refused with CheckpointError.
    """
    _make_room(out)
    test = BUILTIN["dates"](SEED).test
    console.print(
        f"Dates in words to ISO dates, two systems, trained from scratch; tested on {len(test):,} dates that "
        "training has not seen.\n",
        highlight=False,
    )
    began = time.monotonic()
    translators: dict[str, Translator] = {}
    exact: dict[str, float] = {}
    for name, system in systems().items():
        console.rule(f"{name} ({ARCHITECTURES[name].paper})", align="left")
        train(recipe(system), out / name, console=console)
        translators[name] = Translator.load(out / name)
        found = translators[name].translate([pair.source for pair in test.pairs], split_sentences=False)
        right = sum(best.text == pair.target for best, pair in zip(found, test.pairs, strict=True))
        exact[name] = right / len(test)
        console.print(
            f"{name}: {right:,} of {len(test):,} test dates right ({100 * exact[name]:.1f}%)\n", highlight=False
        )
    _show(test.pairs[:SHOWN], translators, out, console)
    console.print(
        f"\nBoth took {time.monotonic() - began:.0f} s. Try your own files next, line n with line n:\n", highlight=False
    )
    console.print(
        "  .venv/bin/regard train --source train.en --target train.de --out runs/mine\n"
        "  .venv/bin/regard translate runs/mine < new.en > new.de",
        highlight=False,
        soft_wrap=True,
    )
    return exact


def _make_room(out: Path) -> None:
    if not out.exists():
        return
    others = {entry.name for entry in out.iterdir()} - {*systems(), *(f"{name}.png" for name in ("attention",))}
    if others:
        raise CheckpointError(
            f"the folder holds more than an earlier demo ({sorted(others)[0]})", where=out, fix="choose another --out"
        )
    for name in systems():
        if (out / name).exists():
            with RunFolder(out / name).lock():
                pass  # refused while another demo is at work
            shutil.rmtree(out / name)


def _show(pairs: Sequence[Pair], translators: dict[str, Translator], out: Path, console: Console) -> None:
    table = Table("in words", *translators, "truth")
    found: dict[str, list[Translation]] = {
        name: translator.translate([pair.source for pair in pairs], with_attention=True, split_sentences=False)
        for name, translator in translators.items()
    }
    for place, pair in enumerate(pairs):
        table.add_row(pair.source, *(said[place].text for said in found.values()), pair.target)
    console.print(table)
    picture = out / "attention.png"
    draw_attention([(name, said[0]) for name, said in found.items()], picture)
    console.print(f"What each looks at while it writes: {picture.resolve()}", highlight=False, soft_wrap=True)
