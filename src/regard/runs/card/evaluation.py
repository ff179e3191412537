"""Add the scores of a test set to the model card of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from regard.config.schema import SearchConfig
from regard.evaluation.metrics import Quality
from regard.runs.card.file import EDITED, FILE, update_card
from regard.runs.card.record import Evaluation, read_record


def add_scores(
    run: Path,
    weights: str,
    files: Iterable[Path],
    quality: Quality,
    pairs: int,
    search: SearchConfig,
    details: Sequence[str] = (),
) -> str:
    """Add scores to the record and to the card of a run; return a message that says what has changed.

    Args:
        run: The folder of the run.
        weights: The digest of the weights that were evaluated.
        files: The files of the test set.
        quality: The scores.
        pairs: The number of pairs.
        search: The settings of the search.
        details: What else the scores depend on.

    Raises:
        CheckpointError: The card cannot be read or written.
    """
    scores = {"bleu": quality.bleu, "chrf": quality.chrf, "ter": quality.ter, "exact": 100 * quality.exact}
    names = tuple(path.name for path in files)
    evaluation = Evaluation(weights, names, pairs, _describe(search, details), scores, quality.signatures)
    outcome = update_card(run, read_record(run).with_evaluation(evaluation))
    return EDITED.format(path=run / FILE) if outcome == "edited" else f"added to {run / FILE}"


def _describe(search: SearchConfig, details: Sequence[str]) -> str:
    """Return for example `beam search, size 5`."""
    if search.strategy == "beam":
        name = "greedy search" if search.beam_size == 1 else f"beam search, size {search.beam_size}"
    else:
        name = f"search `{search.strategy}`"
    return ", ".join([name, *details])
