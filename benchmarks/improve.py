"""Improve a run with corrections of another domain: the gain there, and the loss elsewhere.

    python benchmarks/improve.py RUN --source FILE --target FILE --elsewhere-source FILE --elsewhere-reference FILE
                                 [--labels FILE --label NAME] [--pattern REGEX] [--words 4 20] [--corrections 500]
                                 [--test 500] [--epochs N] [--old-pairs N] [--seeds 1] [--set SECTION.KEY=VALUE]

The domain is made of the pairs of --source and --target whose label (the same line of --labels) is --label, and whose
source matches --pattern and has as many words as --words allows. Of these, --corrections pairs are given to
`regard improve` as corrections, and --test others, which it never sees, measure the gain. No source and no target is in
both. The choice depends on the text only. The test set elsewhere measures the loss.

All translations are made with the search of the run. The intervals and p-values are those of a paired bootstrap.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import count, exit_on_error, fail, print_machine, read, read_pair

Pairs = list[tuple[str, str]]


def choose(pairs: Pairs, corrections: int, test: int) -> tuple[Pairs, Pairs]:
    """Return pairs for corrections and for the test, with different sources and targets, ordered by a hash."""
    ordered = sorted(dict(pairs).items(), key=lambda pair: hashlib.sha256(pair[0].encode()).digest())
    unique = list({target: (source, target) for source, target in reversed(ordered)}.values())[::-1]
    if len(unique) < corrections + test:
        fail(f"the domain has only {len(unique):,} pairs with different sources and targets")
    return unique[:corrections], unique[corrections : corrections + test]


def domain(options: argparse.Namespace) -> Pairs:
    sources, targets = read_pair(options.source, options.target)
    labels = [""] * len(sources) if options.labels is None else read(options.labels)
    pattern = re.compile(options.pattern, re.IGNORECASE)
    shortest, longest = options.words
    return [
        (source, target)
        for source, target, label in zip(sources, targets, labels, strict=True)
        if label == options.label and pattern.search(source) and shortest <= len(source.split()) <= longest
    ]


def measure(options: argparse.Namespace, corrections: Pairs, tests: dict[str, Pairs], seed: int) -> None:
    import regard
    from regard.runs.improvement.acceptance import compare, translate_all
    from regard.runs.warm_start import STARTED

    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "corrections.tsv"
        rows = "".join(f"{source}\t{target}\n" for source, target in corrections)
        table.write_text(f"source\ttarget\n{rows}", encoding="utf-8")
        chosen = {
            name: getattr(options, name) for name in ("epochs", "old_pairs") if getattr(options, name) is not None
        }
        start, cpu = time.monotonic(), time.process_time()
        result = regard.improve(
            options.run,
            table,
            output=Path(scratch) / "new",
            overrides=[f"train.seed={seed}", *options.set],
            **chosen,
        )
        wall, cpu = time.monotonic() - start, time.process_time() - cpu
        print(f"seed {seed}: {wall:.0f} s; CPU time: {cpu:.0f} s\n\n```\n{result}\n```\n")
        models = regard.load(result.folder / "data" / STARTED, "cpu"), regard.load(result.folder, "cpu")
        print("| test set | pairs | chrF before | after | change | p | BLEU before | after |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name, pairs in tests.items():
            sources, references = [source for source, _ in pairs], [target for _, target in pairs]
            before, after = (translate_all(model, sources, lambda texts, total: texts) for model in models)
            scores = compare(before, after, references, models[0].target_language)
            print(
                f"| {name} | {scores.pairs:,} | {scores.chrf[0]:.2f} | {scores.chrf[1]:.2f} | {scores.gain:+.2f} "
                f"| {scores.p:.3f} | {scores.bleu[0]:.2f} | {scores.bleu[1]:.2f} |",
                flush=True,
            )
        print(flush=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for name in ("source", "target", "elsewhere-source", "elsewhere-reference"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--label", default="")
    parser.add_argument("--pattern", default="")
    parser.add_argument("--words", type=count, nargs=2, default=(4, 20))
    parser.add_argument("--corrections", type=count, default=500)
    parser.add_argument("--test", type=count, default=500)
    parser.add_argument("--epochs", type=count)
    parser.add_argument("--old-pairs", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args(arguments)


def main() -> None:
    options = parse(sys.argv[1:])
    with exit_on_error():
        from regard.checkpoints.run_folder import resolve_checkpoint

        resolve_checkpoint(options.run)
        corrections, test = choose(domain(options), options.corrections, options.test)
        elsewhere = list(zip(*read_pair(options.elsewhere_source, options.elsewhere_reference), strict=True))
        print_machine()
        print(f"{len(corrections):,} corrections; {' '.join(sys.argv[1:])}\n")
        for seed in options.seeds:
            measure(options, corrections, {"the domain": test, "elsewhere": elsewhere}, seed)


if __name__ == "__main__":
    main()
