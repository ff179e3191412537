"""Train the models of the lessons, export them for the page, and measure the figures: `python -m regard.lessons.build`.

    python -m regard.lessons.build [--runs DIR] [NAME ...]

Without names, all models are trained and all figures measured, in the folder of the package. With `--runs`, runs are
kept in DIR, and those that are there already are not trained again.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from regard.lessons.ablation import ablate
from regard.lessons.figures import FIGURES, Measure
from regard.lessons.models import LESSON_MODELS, train_model, write_json
from regard.lessons.pages import FOLDER
from regard.lessons.papers import papers

STATIC = FOLDER / "static"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m regard.lessons.build")
    parser.add_argument("--runs", type=Path, help="folder of the runs; default: a temporary one")
    parser.add_argument("--output", type=Path, default=STATIC, help="folder to write to; default: the package's")
    parser.add_argument("names", nargs="*", help="models and figures to build; default: all")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        build(options.runs or Path(temporary), options.output, options.names)


def build(runs: Path, output: Path, names: Sequence[str] = ()) -> None:
    """Train missing runs in `runs`, and write models and figures into `output`."""
    for model in LESSON_MODELS:
        if names and model.name not in names:
            continue
        folder = runs / model.name
        if not (folder / "run" / "best").exists():
            print(f"training {model.name}", flush=True)
            train_model(model, folder)
        if model.is_live:
            from regard.lessons.export import export_model

            with ablate(model.without):
                export_model(
                    folder / "run",
                    output / "models" / model.name,
                    is_steered=model.is_steered,
                    with_trace=model.with_trace,
                    int8=model.is_int8,
                )
    figures: dict[str, Measure] = {**FIGURES, "papers": partial(papers, models=output / "models")}
    for name, measure in figures.items():
        if not names or name in names:
            print(f"measuring {name}", flush=True)
            write_json(
                output / "figures" / f"{name}.json", measure({m.name: runs / m.name / "run" for m in LESSON_MODELS})
            )


if __name__ == "__main__":
    main()
