"""The measured figures of the lessons: functions that make their data from the runs of `regard.lessons.models`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from regard.lessons.cost import cost
from regard.lessons.film import alignment
from regard.lessons.heads import heads
from regard.lessons.models import SCORES, measure_lengths
from regard.lessons.search_figure import search_figure
from regard.lessons.tasks import TASKS
from regard.lessons.what_if import what_if

Runs = Mapping[str, Path]
Measure = Callable[[Runs], dict[str, Any]]
MEASURED_PAIRS = 200  # per length
EXAMPLES = 8  # per length
SYSTEMS = ("cho2014", "bahdanau2014")
STEP_SOURCES = ("4096", "31415", "270182")


def bottleneck(runs: Runs) -> dict[str, Any]:
    """Return quality by length of both systems of lesson 1 on both tasks, and examples of each length."""
    return {
        name: {
            "sizes": list(task.sizes),
            "trained_to": task.trained_to,
            "pairs": MEASURED_PAIRS,
            "exact": {system: measure_lengths(runs[f"{name}-{system}"], task, MEASURED_PAIRS) for system in SYSTEMS},
            "examples": [task.make("test", size, EXAMPLES) for size in task.sizes],
        }
        for name, task in ((name, TASKS[name]) for name in ("digits", "dates"))
    }


def scores(runs: Runs) -> dict[str, Any]:
    """Return for each attention score what it computes from in every step of a few sentences."""
    return {score: _steps(runs[f"score-{score}"], score) for score in SCORES}


def _steps(run: Path, score: str) -> dict[str, Any]:
    import torch

    from regard.inference.translator import load
    from regard.special_tokens import BOS, EOS

    translator = load(run, device="cpu")
    model, tokenizers = translator.model, translator.tokenizers
    scorer: Any = cast(Any, model.decoder).attention.score
    queries: list[list[float]] = []
    scorer.register_forward_pre_hook(lambda _, arguments: queries.extend(arguments[0].flatten(0, 1).tolist()))
    sentences = []
    for source in STEP_SOURCES:
        output = translator.translate(source).text
        queries.clear()
        with torch.inference_mode():
            memory = model.encode(torch.tensor([[*tokenizers.source.encode(source), EOS]]))
            target = torch.tensor([[BOS, *tokenizers.target.encode(output)]])
            attention = model.decoder(target, memory, with_attention=True).attention
        assert attention is not None
        sentences.append(
            {
                "source": [*source, "</s>"],
                "output": [*output, "</s>"],
                "queries": list(queries),
                "keys": memory.keys[0].tolist(),
                "weights": attention[0].tolist(),
            }
        )
    parameters = {name: value.tolist() for name, value in scorer.named_parameters()}
    return {"sentences": sentences, "parameters": parameters}


FIGURES: Mapping[str, Measure] = {
    "bottleneck": bottleneck,
    "alignment": alignment,
    "scores": scores,
    "what_if": what_if,
    "heads": heads,
    "cost": cost,
    "search": search_figure,
}
