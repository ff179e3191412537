"""Score the translations of test sets, and print the scores: of one set in lines, of several in a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regard.cli.streams import output
from regard.corpus.corpus import Pair, SkipReport
from regard.evaluation.by_label import NO_LABEL, LabelScores, by_label
from regard.evaluation.metrics import Quality, hits_in_top, measure, plugin_scores, word_bleu
from regard.inference.translation import Translation

Row = tuple[str, ...]


@dataclass(frozen=True)
class ReadTestSet:
    """A test set in memory.

    Attributes:
        files: Its files.
        pairs: Its N pairs.
        skipped: What was skipped in the files.
        labels: (N,) the label of each pair; None without labels.
    """

    files: tuple[Path, ...]
    pairs: Sequence[Pair]
    skipped: SkipReport
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class TestSetScores:
    """The scores of a test set.

    Attributes:
        name: The test set's name in the output.
        pairs: The number of its pairs.
        left_aside: What was skipped in its files, as sentences.
        quality: The scores.
        plugin_scores: Scores of the metrics of plugins, by name.
        exact_at: For each K, the share of references, 0 to 1, that are among the K best translations.
        labels: The scores of each label; empty without labels.
        seconds: How long translating took.
    """

    name: str
    pairs: int
    left_aside: tuple[str, ...]
    quality: Quality
    plugin_scores: Mapping[str, float]
    exact_at: Mapping[int, float]
    labels: tuple[LabelScores, ...]
    seconds: float


def name_test_sets(files: Sequence[Sequence[Path]]) -> list[str]:
    """Return a name for each test set: that of its first file, or the whole path if names are not unique."""
    names = [paths[0].name for paths in files]
    return names if len(set(names)) == len(names) else [str(paths[0]) for paths in files]


def score_test_set(
    name: str,
    test_set: ReadTestSet,
    translations: Sequence[Translation],
    seconds: float,
    *,
    target_language: str,
    tokenized: bool,
    top: Sequence[int],
) -> TestSetScores:
    """Return the scores of the translations of a test set.

    Args:
        name: The test set's name in the output.
        test_set: The test set.
        translations: The translation of each pair, with as many alternatives as `top` needs.
        seconds: How long translating took.
        target_language: Language code that selects the BLEU tokenizer.
        tokenized: The text is already split into tokens.
        top: Each K for which references among the K best translations are counted.
    """
    hypotheses, references = [best.text for best in translations], [pair.target for pair in test_set.pairs]
    n_best = [[hypothesis.text for hypothesis in best.n_best] for best in translations] if top else []
    hits = {count: hits_in_top(n_best, references, count) for count in sorted(set(top))}
    labels: list[LabelScores] = []
    if test_set.labels is not None:
        bleu = word_bleu(target_language, tokenized=tokenized)
        labels = by_label(test_set.labels, hypotheses, references, bleu, hits)
    return TestSetScores(
        name,
        len(references),
        tuple(test_set.skipped.sentences()),
        measure(hypotheses, references, target_language=target_language, tokenized=tokenized),
        plugin_scores(hypotheses, references),
        {count: sum(is_hit) / len(references) for count, is_hit in hits.items()},
        tuple(labels),
        seconds,
    )


def write_json(test_sets: Sequence[TestSetScores]) -> None:
    """Print one JSON object: the scores of one test set, or of several in a list `test_sets`.

    Scores that are not finite are null, as JSON has no number for them.
    """
    objects = [_to_json(scores) for scores in test_sets]
    if len(objects) > 1:
        named = [{"name": scores.name, **item} for scores, item in zip(test_sets, objects, strict=True)]
        objects = [{"test_sets": named}]
    with output(None) as write:
        write(json.dumps(_without_nonfinite(objects[0]), ensure_ascii=False, allow_nan=False) + "\n")


def _without_nonfinite(value: Any) -> Any:
    """Return a copy of a JSON value in which NaN and infinities are None."""
    if isinstance(value, dict):
        return {key: _without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_json(scores: TestSetScores) -> dict[str, Any]:
    labels = [
        {
            "label": label.label,
            "lines": label.pairs,
            "bleu": label.bleu,
            "chrf": label.chrf,
            "exact": label.exact,
            **({"exact_at": label.exact_at} if label.exact_at else {}),
        }
        for label in scores.labels
    ]
    return {
        **asdict(scores.quality),
        **({"exact_at": scores.exact_at} if scores.exact_at else {}),
        **scores.plugin_scores,
        **({"labels": labels} if labels else {}),
        "lines": scores.pairs,
        "left_aside": list(scores.left_aside),
        "seconds": round(scores.seconds, 2),
    }


def print_scores(test_sets: Sequence[TestSetScores]) -> None:
    """Print the scores of one test set in lines, or of several in a table; then those of labels, in tables."""
    with output(None) as write:
        for line in _describe(test_sets[0]) if len(test_sets) == 1 else _compare(test_sets):
            write(f"{line}\n")
        for scores in test_sets:
            if scores.labels:
                name = scores.name if len(test_sets) > 1 else "label"
                for line in ("", *align_columns(_label_rows(name, scores))):
                    write(f"{line}\n")


def _describe(scores: TestSetScores) -> Iterator[str]:
    quality = scores.quality
    for name in ("bleu", "chrf", "ter"):
        yield f"{name:5} {getattr(quality, name):6.2f}  {quality.signatures[name]}"
    for name, score in scores.plugin_scores.items():
        yield f"{name:5} {score:6.2f}"
    yield f"wer   {quality.wer:6.2f}  edits per 100 words of the reference"
    for count, share in scores.exact_at.items():
        yield f"exact {100 * share:6.2f}  % of lines have the reference among the {count} best translations"
    yield f"exact {100 * quality.exact:6.2f}  % of {scores.pairs:,} lines, in {scores.seconds:.1f} s"


def _compare(test_sets: Sequence[TestSetScores]) -> Iterator[str]:
    """Yield a table with a row for each test set, and the signatures of its metrics."""
    first = test_sets[0]
    head = ("test set", "lines", "bleu", "chrf", "ter", *first.plugin_scores, "wer", *_exact_names(first.exact_at))
    rows: list[Row] = [head]
    for scores in test_sets:
        quality = scores.quality
        values = (quality.bleu, quality.chrf, quality.ter, *scores.plugin_scores.values(), quality.wer)
        exact = (quality.exact, *scores.exact_at.values())
        rows.append((scores.name, f"{scores.pairs:,}", *map(_two_digits, values), *map(_percent, exact)))
    yield from align_columns(rows)
    yield ""
    for name, signature in first.quality.signatures.items():
        yield f"{name:5} {signature}"
    yield "wer   edits per 100 words of the reference"
    lines, seconds = sum(scores.pairs for scores in test_sets), sum(scores.seconds for scores in test_sets)
    yield f"exact % of lines; {lines:,} lines in {seconds:.1f} s"


def _label_rows(name: str, scores: TestSetScores) -> Iterator[Row]:
    """Yield the rows of the table of labels, with its head and the total."""
    yield (name, "lines", "bleu", "chrf", *_exact_names(scores.exact_at))
    for label in scores.labels:
        yield (
            label.label or NO_LABEL,
            f"{label.pairs:,}",
            *map(_two_digits, (label.bleu, label.chrf)),
            *map(_percent, (label.exact, *label.exact_at.values())),
        )
    quality = scores.quality
    yield (
        "total",
        f"{scores.pairs:,}",
        *map(_two_digits, (quality.bleu, quality.chrf)),
        *map(_percent, (quality.exact, *scores.exact_at.values())),
    )


def _exact_names(exact_at: Mapping[int, float]) -> Row:
    return ("exact", *(f"top {count}" for count in exact_at))


def _two_digits(value: float) -> str:
    return f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def align_columns(rows: Iterator[Row] | Sequence[Row]) -> Iterator[str]:
    """Yield the rows of a table as lines: the first column is aligned left, the others right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *aligned))
