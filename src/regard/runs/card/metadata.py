"""The YAML at the top of a model card, which the hub reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from regard.config.overrides import HUB
from regard.corpus.language_codes import base_code
from regard.runs.card.facts import CardFacts, dev_corpora, hub_datasets, is_natural

LIBRARY = "regard"
METRICS = {  # names of scores: the hub's name, and the name to show
    "bleu": ("bleu", "BLEU"),
    "chrf": ("chrf", "chrF"),
    "ter": ("ter", "TER"),
    "wer": ("wer", "word error rate"),
    "exact": ("exact_match", "exact matches, %"),
}


def format_metadata(facts: CardFacts) -> str:
    """Return the metadata of a card, between lines of three hyphens."""
    return "\n".join(["---", *_yaml(_metadata(facts)), "---", ""])


def _metadata(facts: CardFacts) -> dict[str, Any]:
    table: dict[str, Any] = {}
    codes = list(dict.fromkeys(base_code(language) for language in facts.languages))
    if codes:
        table["language"] = codes
    if facts.record.license:
        table["license"] = facts.record.license
    table["library_name"] = LIBRARY
    if facts.start.startswith(HUB):
        table["base_model"] = facts.start.removeprefix(HUB).partition("@")[0]
    if is_translation(facts):
        table["pipeline_tag"] = "translation"
    table["tags"] = [LIBRARY, "seq2seq", "attention", facts.config.model.architecture]
    if datasets := hub_datasets(facts.config):
        table["datasets"] = datasets
    results = list(_results(facts))
    if results:
        table["metrics"] = list(dict.fromkeys(entry["type"] for result in results for entry in result["metrics"]))
        table["model-index"] = [{"name": facts.name, "results": results}]
    return table


def is_translation(facts: CardFacts) -> bool:
    """Return whether the model translates from one natural language to another."""
    return any(
        is_natural(source) and is_natural(target) and base_code(source) != base_code(target)
        for source, target in facts.language_pairs
    )


def _results(facts: CardFacts) -> Iterator[dict[str, Any]]:
    task = {"type": "translation" if is_translation(facts) else "text2text-generation"}
    signatures = {} if facts.dev is None else facts.dev.signatures
    names = ", ".join(dev_corpora(facts.config)) or "pairs held out of the training corpus"
    if dev := _scores(facts.metrics, signatures):
        yield {"task": task, "dataset": _dataset("dev", f"dev set: {names}"), "metrics": dev}
    for evaluation in facts.evaluations:
        if test := _scores(evaluation.scores, evaluation.signatures):
            name = ", ".join(evaluation.data)
            yield {"task": task, "dataset": _dataset(evaluation.data[0], name), "metrics": test}


def _dataset(kind: str, name: str) -> dict[str, str]:
    """Return the description of a data set. The hub allows only certain characters in its type."""
    return {"type": re.sub(r"[^\w.-]+", "-", kind, flags=re.ASCII).strip("-.") or "data", "name": name}


def _scores(scores: Mapping[str, Any], signatures: Mapping[str, str]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for name, (kind, label) in METRICS.items():
        value = scores.get(name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            entry: dict[str, Any] = {"type": kind, "value": round(float(value), 2), "name": label}
            if name in signatures:
                entry["args"] = {"signature": signatures[name]}
            entries.append(entry)
    return entries


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping as YAML. All strings are quoted: `no`, Norwegian, would be false."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(item, f"{indent}  ")
        elif isinstance(item, Sequence) and not isinstance(item, str):
            yield f"{indent}{key}:"
            for element in item:
                yield from _yaml_element(element, indent)
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _yaml_element(element: object, indent: str) -> Iterator[str]:
    if not isinstance(element, Mapping):
        yield f"{indent}- {_scalar(element)}"
        return
    for number, line in enumerate(_yaml(element, f"{indent}  ")):
        yield f"{indent}- {line[len(indent) + 2 :]}" if number == 0 else line


def _scalar(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    text = value.encode("utf-8", "replace").decode()  # a file name may not be Unicode
    return json.dumps(text, ensure_ascii=not text.isprintable())
