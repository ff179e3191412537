"""Measure the confidence of a run on test sets: calibration error, ranking power, and what it costs.

    python benchmarks/confidence.py RUN --test NAME=test.en,test.de ... [--lines 1000]
    python benchmarks/confidence.py RUN --cost test.en [--rounds 5]

The run has learned its confidence (`regard calibrate RUN`) from other pairs than those of the tests. The first command
prints for each test set the calibration error (ECE, ten bins) and AUC of the confidence of translations and of words,
next to those of the model's own probability, and of isotonic regression of that on the dev set of the run. The second
translates the same lines in turn with and without confidence, in batches and one by one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import count, exit_on_error, print_machine, read, read_pair
from sacrebleu.metrics.chrf import CHRF

from regard.evaluation.calibration import compute_calibration
from regard.evaluation.estimator import fit_estimator
from regard.evaluation.ranking import area_under_roc, spearman
from regard.inference.confidence import ScoredTranslation, match, right_translation
from regard.inference.translator import Translator
from regard.runs.confidence import MAX_PAIRS, load_dev_pairs, score_pairs


class Scored:
    """The translations of a test set and their words: raw probabilities, confidences, and which are right."""

    def __init__(self, translator: Translator, pairs: Sequence[tuple[str, str]]) -> None:
        model = translator.confidence
        assert model is not None, "run `regard calibrate RUN` first"
        scored = score_pairs(translator, pairs, lambda translations, total: translations)
        items: list[ScoredTranslation] = list(scored.values())
        references = [pairs[index][1].strip() for index in scored]
        self.annotated = [model.annotate(item) for item in items]
        self.chrf = np.array(
            [
                CHRF().sentence_score(best.text, [reference]).score
                for best, reference in zip(self.annotated, references, strict=True)
            ]
        )
        self.confidence = {
            "translations": np.array([best.confidence for best in self.annotated], dtype=float),
            "words": np.array([word.confidence for best in self.annotated for word in best.words]),
        }
        self.raw = {
            "translations": np.exp([item.tokens.mean() for item in items]),
            "words": np.exp(np.concatenate([item.words for item in items])),
        }
        rights = [
            right_translation(item.translation.text, reference, exact=model.exact, chrf=model.chrf)
            for item, reference in zip(items, references, strict=True)
        ]
        self.is_right = {
            "translations": np.array(rights),
            "words": np.concatenate(
                [match(item, reference) for item, reference in zip(items, references, strict=True)]
            ),
        }


def print_quality(translator: Translator, dev: Scored, name: str, test: Scored) -> None:
    for kind in ("translations", "words"):
        is_right, raw = test.is_right[kind], test.raw[kind]
        logs = np.log(dev.raw[kind])[:, None]
        refitted = fit_estimator(logs, dev.is_right[kind]).predict(np.log(raw)[:, None])
        cells = [name, kind, f"{len(raw):,}", f"{100 * is_right.mean():.1f}"]
        cells += [f"{100 * compute_calibration(p, is_right).error:.1f}" for p in (raw, refitted, test.confidence[kind])]
        cells += [f"{area_under_roc(p, is_right):.3f}" for p in (raw, test.confidence[kind])]
        cells.append(f"{test.confidence[kind].mean():.3f}")
        if kind == "translations":
            cells += [f"{spearman(p, test.chrf):.3f}" for p in (raw, test.confidence[kind])]
        print("| " + " | ".join(cells) + " |", flush=True)


def measure_cost(translator: Translator, lines: Sequence[str], rounds: int) -> None:
    """Print the ratios of time with confidence to time without it, of the medians and of the lowest.

    Each round translates twice, in turn; every second round begins with confidence. Other work on the machine makes
    the lowest times less uncertain than the medians.
    """

    def timed(size: int, batch: int, with_confidence: bool) -> tuple[float, float]:
        start = time.process_time(), time.perf_counter()
        translator.translate(
            lines if batch > 1 else lines[:100],
            beam_size=size,
            batch_size=batch,
            split_sentences=False,
            with_confidence=with_confidence,
        )
        return time.process_time() - start[0], time.perf_counter() - start[1]

    print(
        "| search | batch | CPU time: medians | lowest | wall time: medians | lowest | CPU s without: median | lowest |"
    )
    print("| --- " + "| ---: " * 7 + "|")
    for size in (1, 5):
        for batch in (64, 1):
            for with_confidence in (False, True):
                timed(size, batch, with_confidence)
            times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            for number in range(rounds):
                for with_confidence in (number % 2 == 1, number % 2 == 0):
                    times[with_confidence].append(timed(size, batch, with_confidence))
            cells = ["greedy" if size == 1 else f"beam of {size}", str(batch)]
            (plain, plain_wall), (sure, sure_wall) = (list(zip(*times[key], strict=True)) for key in (False, True))
            for with_it, without in ((sure, plain), (sure_wall, plain_wall)):
                cells += [f"{summary(with_it) / summary(without):.3f}" for summary in (statistics.median, min)]
            cells += [f"{summary(plain):.2f}" for summary in (statistics.median, min)]
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--test", action="append", default=[], metavar="NAME=SOURCE,REFERENCE")
    parser.add_argument("--lines", type=count, default=1000)
    parser.add_argument("--precision", choices=("float32", "int8"), default="float32")
    parser.add_argument("--beam-size", type=count)
    parser.add_argument("--ensemble", type=Path, help="another run, whose probabilities are averaged with the first's")
    parser.add_argument("--cost", type=Path)
    parser.add_argument("--rounds", type=count, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tests = {}
    for entry in arguments.test:
        name, _, files = entry.partition("=")
        source, reference = (Path(file) for file in files.split(","))
        tests[name] = list(zip(*read_pair(source, reference), strict=True))[: arguments.lines]
    translator = Translator.load(arguments.run, "cpu", arguments.precision)
    print_machine()
    if arguments.ensemble:
        folders = [arguments.run, arguments.ensemble]
        translator = Translator.load_ensemble(folders, "cpu", arguments.precision)
    if arguments.beam_size:
        translator = translator.with_search(beam_size=arguments.beam_size)
    if tests:
        dev = Scored(translator, load_dev_pairs(arguments.run)[:MAX_PAIRS])
        print(
            "| test set | | number | right, % | ECE raw | ECE raw, fitted | ECE confidence | AUC raw | AUC confidence "
            "| mean confidence | Spearman raw | Spearman confidence |"
        )
        print("| --- | --- " + "| ---: " * 10 + "|")
        for name, pairs in tests.items():
            print_quality(translator, dev, name, Scored(translator, pairs))
    if arguments.cost:
        measure_cost(translator, read(arguments.cost, arguments.lines), arguments.rounds)


if __name__ == "__main__":
    with exit_on_error():
        main()
