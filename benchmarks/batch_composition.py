"""Count the translations that depend on the composition of their batch.

    python benchmarks/batch_composition.py RUN... --source FILE [--lines 500] [--beam-size 5]

translates the same sentences at batch sizes 64, 7 and 1, in float64 and in float32, and counts the lines that differ
from those at batch size 64. With exact arithmetic, no line differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import count, exit_on_error, read

from regard.inference.translator import Translator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--lines", type=count, default=500)
    parser.add_argument("--beam-size", type=count, default=5)
    arguments = parser.parse_args()
    lines = read(arguments.source, arguments.lines)
    for run in arguments.runs:
        for precision in ("float64", "float32"):
            translator = Translator.load(run, "cpu")
            if precision == "float64":
                translator.model.double()

            def translate(size: int, translator: Translator = translator) -> list[str]:
                translations = translator.translate(
                    lines, beam_size=arguments.beam_size, batch_size=size, split_sentences=False
                )
                return [translation.text for translation in translations]

            expected = translate(64)
            differing = {
                size: sum(text != reference for text, reference in zip(translate(size), expected, strict=True))
                for size in (7, 1)
            }
            counts = ", ".join(f"{number} at batch size {size}" for size, number in differing.items())
            print(f"{run.name}, {precision}: of {len(lines)} lines, {counts} differ", flush=True)


if __name__ == "__main__":
    with exit_on_error():
        main()
