"""Choose how much of the change is kept: the weights between the old model and the trained one.

On the line between both, the gain on corrections and the loss elsewhere grow together (Wortsman et al. 2022, "Robust
fine-tuning of zero-shot models"). The largest share of the change is kept with which the model is not worse on the old
dev set. The corrections that are held out have no part in the choice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from regard.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.checkpoints.untrusted_files import named_weights
from regard.inference.translator import Translator
from regard.runs.improvement.acceptance import Track, compare, decide, is_worse, translate_all
from regard.runs.improvement.record import Comparison, Decision, TextPair
from regard.runs.warm_start import STARTED

SHARES: Final = (1.0, 0.75, 0.5, 0.25)  # of the change that are tried, in this order
BLENDED: Final = "blended-"

Notify = Callable[[str], None]


def evaluate(
    run: RunFolder,
    trained: Path,
    corrections: Sequence[TextPair],
    dev: Sequence[TextPair],
    track: Track,
    notify: Notify,
) -> Decision:
    """Compare a trained model with the old one, choose the share of the change, and make the result the best one.

    Args:
        run: The new run, which is locked. Its data has the weights of the old model.
        trained: The checkpoint after training.
        corrections: The corrections that are held out.
        dev: The old dev set.
        track: Shows progress.
        notify: Prints a line.

    Raises:
        CheckpointError: A checkpoint cannot be read or written.
    """
    start = run.data / STARTED
    old = Translator.load(start)
    language = old.target_language
    sources, references = _sides(dev)
    old_dev = translate_all(old, sources, track)
    candidates: list[tuple[Path, float, Comparison]] = []
    for share in SHARES:
        path = trained if share == 1 else blend(start, trained, share, run.checkpoints)
        texts = translate_all(Translator.load(path), sources, track)
        candidates.append((path, share, compare(old_dev, texts, references, language)))
        if not is_worse(candidates[-1][2]):
            break
        notify(f"with {share:.0%} of the change, the old dev set changes by {candidates[-1][2].gain:+.2f} chrF")
    best, share, comparison = candidates[0] if is_worse(candidates[-1][2]) else candidates[-1]
    sources, references = _sides(corrections)
    before, after = (translate_all(model, sources, track) for model in (old, Translator.load(best)))
    decision = decide(compare(before, after, references, language), comparison, share)
    run.set_best(best)
    for path, _, _ in candidates:
        if path not in (best, trained):
            shutil.rmtree(path)
    return decision


def blend(start: Path, trained: Path, share: float, folder: Path) -> Path:
    """Write a checkpoint whose weights are a share of the trained ones and the rest of those at the start.

    Returns:
        The checkpoint, in `folder`.

    Raises:
        CheckpointError: A checkpoint cannot be read or written.
    """
    old, new = load_checkpoint(start), load_checkpoint(trained)
    weights = named_weights(new.model)
    with torch.no_grad():
        for name, weight in named_weights(old.model).items():
            weights[name].lerp_(weight, 1 - share)
    path = folder / f"{BLENDED}{round(100 * share)}"
    save_checkpoint(path, replace(new, metrics={}))
    return path


def _sides(pairs: Sequence[TextPair]) -> tuple[list[str], list[str]]:
    return [source for source, _ in pairs], [target for _, target in pairs]
