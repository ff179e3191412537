"""The measured figure of lesson 7: beam size against quality, and how often a model prefers the empty output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regard.inference.translator import Translation, Translator, load
from regard.lessons.phrases import best_translation, log_probability, phrases

BEAM_SIZES = (1, 2, 4, 8, 16, 32, 64)
CLAUSES = (1, 2, 3, 4)
MODELS = ("phrases", "phrases-unsmoothed")
MEASURED = 50  # sentences of each number of clauses
EXAMPLES = 8
FIRST_EXAMPLE = "the dog seeks the place"  # greedy search misses the most probable output by one article
EXACT_STEPS = 20_000
GAIN = 1e-3  # a smaller difference of log-probabilities is rounding
RULES: Mapping[str, dict[str, Any]] = {
    "plain": {"length_penalty": 0.0, "allow_empty": True},
    "not_empty": {"length_penalty": 0.0, "allow_empty": False},
    "average": {"length_penalty": 1.0, "length_norm": "average", "allow_empty": True},
}
Search = Callable[..., list[Translation]]


def search_figure(runs: Mapping[str, Path]) -> dict[str, Any]:
    """Return what every search finds with the models of lesson 7 on test sentences."""
    sources = {clauses: [source for source, _ in phrases("test", clauses, MEASURED)] for clauses in CLAUSES}
    translators = {name: load(runs[name], device="cpu") for name in MODELS}
    return {
        "beam_sizes": BEAM_SIZES,
        "clauses": CLAUSES,
        "sentences": MEASURED,
        "examples": {clauses: _examples(translators[MODELS[0]], texts, clauses) for clauses, texts in sources.items()},
        "models": {name: _measure(translator, sources) for name, translator in translators.items()},
    }


def _examples(translator: Translator, sources: Sequence[str], clauses: int) -> list[str]:
    """Return a few of the sources, first those where a beam finds a more probable output than greedy search."""
    greedy, beam = (translator.translate(sources, **{**RULES["not_empty"], "beam_size": size}) for size in (1, 4))
    gains = [b.log_probability - g.log_probability for g, b in zip(greedy, beam, strict=True)]
    order = sorted(range(len(sources)), key=lambda place: (gains[place] < GAIN, len(sources[place].split())))
    first = [FIRST_EXAMPLE] if clauses == 1 else []
    return list(dict.fromkeys([*first, *(sources[place] for place in order)]))[:EXAMPLES]


def _measure(translator: Translator, sources: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    def search(texts: Sequence[str], **options: Any) -> list[Translation]:
        all_options: dict[str, Any] = {**RULES["plain"], "patience": 1.0, **options}
        outputs: list[Translation] = translator.translate(texts, **all_options)
        return outputs

    beams = {
        rule: [_quality(sources[3], search(sources[3], beam_size=size, **options)) for size in BEAM_SIZES]
        for rule, options in RULES.items()
    }
    return {"beams": beams, "silence": [_silence(translator, texts, search) for texts in sources.values()]}


def _quality(sources: Sequence[str], outputs: Sequence[Translation]) -> dict[str, float]:
    """Return the shares of outputs that are translations, the most probable ones, and empty; and log-probability."""
    texts = [output.text for output in outputs]
    pairs = list(zip(sources, texts, strict=True))
    return {
        "right": sum(log_probability(source, text) > -1000 for source, text in pairs) / len(pairs),
        "best": sum(text == best_translation(source).text for source, text in pairs) / len(pairs),
        "empty": texts.count("") / len(pairs),
        "log_probability": sum(output.log_probability for output in outputs) / len(pairs),
        "words": sum(len(text.split()) for text in texts) / len(pairs),
    }


def _silence(translator: Translator, sources: Sequence[str], search: Search) -> dict[str, Any]:
    """Return the quality of each search on sentences of one length, and the log-probability of the empty output."""
    exact = search(sources, beam_size=4, strategy="exact", exact_steps=EXACT_STEPS)
    greedy = search(sources, beam_size=1)
    beam = search(sources, beam_size=4, allow_empty=False)
    empty = list(translator.score((source, "") for source in sources))
    return {
        "greedy": _quality(sources, greedy),
        "lookahead": _quality(sources, search(sources, strategy="lookahead", lookahead_width=3, lookahead_depth=2)),
        "beam": _quality(sources, beam),
        "exact": _quality(sources, exact),
        "proved": sum(bool(output.proved) for output in exact) / len(exact),
        "missed": sum(g.log_probability < b.log_probability - GAIN for g, b in zip(greedy, beam, strict=True)),
        "empty": sum(empty) / len(empty),
    }
