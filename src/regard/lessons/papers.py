"""The figure on the papers' pages: what was measured of a small model of every architecture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.lessons.models import LESSON_MODELS, PAPER_LONGEST, PAPER_TASK, TRAINING, LessonModel
from regard.lessons.tasks import TASKS
from regard.models import ARCHITECTURES

SIZES = range(1, PAPER_LONGEST + 1)  # dates in a source
PAIRS = 200  # per size, of the dev split
EXAMPLES = 6  # per size, of the test split


def paper_models() -> dict[str, LessonModel]:
    """Return the model of each architecture's page."""
    models = {model.name: model for model in LESSON_MODELS}
    return {architecture: models[f"{PAPER_TASK}-{architecture}"] for architecture in ARCHITECTURES}


def papers(runs: Mapping[str, Path], models: Path) -> dict[str, Any]:
    """Return what the models of all architectures were trained with and how many dev lines they get right.

    Args:
        runs: The runs of the models.
        models: The folder of their exports, which are measured.
    """
    task = TASKS[PAPER_TASK]
    examples = [task.make("test", size, EXAMPLES) for size in SIZES]
    return {
        "sizes": list(SIZES),
        "pairs": PAIRS,
        "examples": [pair for pairs in zip(*examples, strict=True) for pair in pairs],
        "systems": {
            name: _measure(model, runs[model.name], models / model.name) for name, model in paper_models().items()
        },
    }


def _measure(model: LessonModel, run: Path, exported: Path) -> dict[str, Any]:
    from regard.checkpoints.checkpoint import load_checkpoint
    from regard.checkpoints.run_folder import resolve_checkpoint

    training = run.parent / TRAINING  # an older run has none
    return {
        "model": model.name,
        "parameters": load_checkpoint(resolve_checkpoint(run)).model.num_parameters,
        "steps": model.max_steps,
        "cpu_seconds": json.loads(training.read_text(encoding="utf-8"))["cpu_seconds"] if training.exists() else None,
        "longest": model.sizes[-1],
        "exact": exact_matches(exported),
    }


def exact_matches(folder: Path, pairs: int = PAIRS) -> list[float]:
    """Return the share of dev lines of each size that an exported model translates without any error, greedily."""
    from regard.inference.translator import Translator
    from regard.interop.onnx.runtime import OnnxModel

    model = OnnxModel(folder)
    translator = Translator(model, model.tokenizers, model.search)
    shares = []
    for size in SIZES:
        lines = TASKS[PAPER_TASK].make("dev", size, pairs)
        outputs = translator.translate([source for source, _ in lines])
        shares.append(sum(out.text == target for out, (_, target) in zip(outputs, lines, strict=True)) / pairs)
    return shares
