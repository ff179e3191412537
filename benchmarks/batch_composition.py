"""How many translations change with the batch that their sentences are in: none, where numbers are exact.

    python benchmarks/batch_composition.py RUN... --source FILE [--lines 500] [--beam-size 5]

translates the same sentences in batches of 64, of 7 and one at a time, in float64 and in float32, and counts
the lines that differ from those of batches of 64.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import count, read, told

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
        for name in ("float64", "float32"):
            translator = Translator.load(run, "cpu")
            if name == "float64":
                translator.model.double()

            def said(size: int, translator: Translator = translator) -> list[str]:
                found = translator.translate(
                    lines, beam_size=arguments.beam_size, batch_size=size, split_sentences=False
                )
                return [best.text for best in found]

            together = said(64)
            differing = {
                size: sum(one != other for one, other in zip(said(size), together, strict=True)) for size in (7, 1)
            }
            counts = ", ".join(f"{count} with {size}" for size, count in differing.items())
            print(f"{run.name}, {name}: of {len(lines)} lines differ {counts}", flush=True)


if __name__ == "__main__":
    with told():
        main()
