"""Measure runs on perturbed copies of a test set, with and without what a translator does about them.

    python benchmarks/robustness.py RUN [RUN ...] --source FILE --reference FILE [--limit N]

prints the chrF of each run on the test set and on its copies (see `regard analyze --perturb`), with the share of the
clean chrF that is lost. Capitals and title case are also translated as they are, without `regard.text.capitals`. Then
it prints how many lines differ in numbers or addresses, with and without `search.keep_numbers`: on lines of the test
set that have digits, on copies with a URL or an e-mail address, and on copies with a number instead of two, which are
English and German.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from unittest import mock

from common import count, exit_on_error, print_machine, read_pair

from regard.evaluation.metrics import chrf
from regard.evaluation.test_set import TestSet
from regard.inference.translator import Translator
from regard.reports.analyze.perturbed import PERTURBATIONS, perturb
from regard.text import model_input, perturbations
from regard.text.numbers import find_differences
from regard.text.perturbations import TextPair

CASES = ("upper case", "title case")
TWO = re.compile(r"\b[Tt]wo\b"), re.compile(r"\b[Zz]wei\b")  # English and German
NUMBERS = 150  # lines of the copies with an address and with a number


def translate(translator: Translator, pairs: Sequence[TextPair], *, keep_numbers: bool = False) -> list[str]:
    sources = [source for source, _ in pairs]
    return [best.text for best in translator.translate(sources, split_sentences=False, keep_numbers=keep_numbers)]


def score(translator: Translator, pairs: Sequence[TextPair]) -> float:
    return chrf(translate(translator, pairs), [reference for _, reference in pairs])


def measure_copies(name: str, translator: Translator, test: TestSet) -> None:
    """Print a row of scores."""
    clean = score(translator, list(zip(test.sources, test.references, strict=True)))
    cells = [f"{clean:.2f}"]
    for copy, (change, _) in PERTURBATIONS.items():
        pairs = perturb(test, change)
        value = score(translator, pairs)
        cells.append(f"{value:.2f} ({100 * (value / clean - 1):+.1f}%)")
        if copy in CASES:
            with mock.patch.object(model_input, "lower_capitals", lambda text, *rest: text):
                cells.append(f"{score(translator, pairs):.2f}")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def replace_number(pair: TextPair, random: Random) -> TextPair:
    """Replace two by another number."""
    number = str(random.choice((random.randrange(13, 100), random.randrange(101, 1000))))
    return TWO[0].sub(number, pair[0], count=1), TWO[1].sub(number, pair[1], count=1)


def measure_numbers(name: str, translator: Translator, pairs: Sequence[TextPair]) -> None:
    """Print a row for the lines with digits, and for the copies with addresses and with numbers."""
    languages = translator.source_language, translator.target_language
    first = pairs[:NUMBERS]
    with_two = [pair for pair in pairs if all(word.search(side) for word, side in zip(TWO, pair, strict=True))]
    sets = {
        "digits": [pair for pair in pairs if re.search(r"\d", pair[0])],
        "address": [perturbations.urls(*pair, Random(number)) for number, pair in enumerate(first)],
        "number": [replace_number(pair, Random(number)) for number, pair in enumerate(with_two[:NUMBERS])],
    }
    for kind, lines in sets.items():
        cells = []
        for keep in (False, True):
            texts = translate(translator, lines, keep_numbers=keep)
            wrong = sum(
                bool(find_differences(source, text, languages)) for (source, _), text in zip(lines, texts, strict=True)
            )
            cells += [f"{wrong}", f"{chrf(texts, [reference for _, reference in lines]):.2f}"]
        print(f"| {name} | {kind} | {len(lines)} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--limit", type=count, help="the first lines of the test set, for the copies")
    options = parser.parse_args()
    with exit_on_error():
        sources, references = read_pair(options.source, options.reference)
        translators = {run.name: Translator.load(run, "cpu") for run in options.runs}
    print_machine()
    test = TestSet(str(options.source), tuple(sources[: options.limit]), tuple(references[: options.limit]))
    copies = [f"{copy} | {copy} as it is" if copy in CASES else copy for copy in PERTURBATIONS]
    print(f"| run | clean | {' | '.join(copies)} |\n|{' --- |' * (len(PERTURBATIONS) + len(CASES) + 2)}")
    for name, translator in translators.items():
        measure_copies(name, translator, test)
    print("\n| run | lines with | lines | differ | chrF | differ with keep_numbers | chrF |\n|" + " --- |" * 7)
    for name, translator in translators.items():
        measure_numbers(name, translator, list(zip(sources, references, strict=True)))


if __name__ == "__main__":
    main()
