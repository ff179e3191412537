"""The text of a model card: use, scores, training data, model, training, limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from regard.config.optimization import OptimizationConfig
from regard.config.overrides import HUB
from regard.corpus.language_pairs import UNKNOWN, language_name
from regard.inference.confidence import ConfidenceModel
from regard.inference.translator import LONGEST
from regard.models import ARCHITECTURES
from regard.runs.card.facts import CardFacts, dev_corpora, is_natural, training_corpora
from regard.runs.card.metadata import METRICS

ENDS = {
    "steps": "all steps of the recipe were taken",
    "minutes": "the time limit was reached",
    "patience": "the dev score no longer improved",
    "interrupted": "it was stopped before its end, and may be continued",
}
NOT_KNOWN = "Not known: the model was imported from another toolkit."
TOO_LONG = "longer than data.max_length"


def format_text(facts: CardFacts) -> str:
    """Return the text of a card, in Markdown."""
    sections = {
        "Use": _use(facts),
        "Scores": _scores(facts),
        "Training data": _data(facts),
        "Model": _model(facts),
        "Training": _training(facts),
        "Limits": _limits(facts),
    }
    lines = [f"# {_plain(facts.name)}", "", _summary(facts)]
    for title, section in sections.items():
        lines += ["", f"## {title}", "", *section]
    return "\n".join(lines) + "\n"


def _summary(facts: CardFacts) -> str:
    pairs = [f"{_language(source)} to {_language(target)}" for source, target in facts.language_pairs]
    is_known = any(is_natural(code) for pair in facts.language_pairs for code in pair)
    subject = f"A model that translates from {', and from '.join(pairs)}" if is_known else "A model of sequences"
    if facts.is_imported:
        return f"{subject}, imported into regard from another toolkit. See its own model card for data and licence."
    version = "" if facts.record.training is None else f" {facts.record.training.versions.get('regard', '')}".rstrip()
    return f"{subject}, trained with regard{version}."


def _language(code: str) -> str:
    if code == UNKNOWN:
        return "an unknown language"
    return f"{language_name(code)} ({code})" if language_name(code) != code else code


def _use(facts: CardFacts) -> Iterator[str]:
    options = "".join(f" --plugin {name}" for name in facts.config.plugins)
    yield "With regard installed, in the folder of this file:"
    yield from ("", "```sh", f"regard translate .{options} < input.txt > output.txt", "```", "")
    yield from ("```python", "import regard", "")
    yield from (f"regard.load_plugin({json.dumps(name)})" for name in facts.config.plugins)
    text = "\\t".join(["A text."] * len(facts.config.tokenizer.source_kinds))
    yield from ('translator = regard.load(".")', f'print(translator.translate("{text}").text)', "```")
    if facts.record.hub:
        yield from ("", "From the Hugging Face hub, by its name:", "", "```sh")
        yield f"regard translate {HUB}{facts.record.hub}{options} < input.txt > output.txt"
        yield "```"
    if facts.config.plugins:
        names = ", ".join(map(_code, facts.config.plugins))
        yield from ("", f"The model needs plugins that are not part of regard: {names}.")


def _scores(facts: CardFacts) -> Iterator[str]:
    rows: list[str] = []
    dev = ", ".join(map(_code, dev_corpora(facts.config))) or "pairs held out of the training corpus"
    size = None if facts.dev is None else facts.dev.pairs
    signatures = {} if facts.dev is None else facts.dev.signatures
    rows += _score_rows(f"dev set: {dev}", size, "greedy search", facts.metrics, signatures)
    for evaluation in facts.evaluations:
        name = f"test set: {', '.join(map(_code, evaluation.data))}"
        rows += _score_rows(name, evaluation.pairs, evaluation.search, evaluation.scores, evaluation.signatures)
    if not rows:
        yield "No scores are known."
        return
    yield "| data | pairs | search | metric | score | signature of sacreBLEU |"
    yield "| --- | ---: | --- | --- | ---: | --- |"
    yield from rows
    yield ""
    yield "The checkpoint was chosen by its scores on the dev set, so they are somewhat higher than on new text."
    if not facts.evaluations:
        yield "No scores on a separate test set are known."


def _score_rows(
    data: str, pairs: int | None, search: str, scores: Mapping[str, Any], signatures: Mapping[str, str]
) -> Iterator[str]:
    names = [*METRICS, *sorted(set(scores) - {*METRICS, "loss"})]
    for name in names:
        value = scores.get(name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            label = METRICS[name][1] if name in METRICS else _code(name)
            signature = _code(signatures[name]) if name in signatures else ""
            count = "" if pairs is None else f"{pairs:,}"
            yield f"| {data} | {count} | {search} | {label} | {value:.2f} | {signature} |"


def _data(facts: CardFacts) -> Iterator[str]:
    if facts.is_imported:
        yield NOT_KNOWN
        return
    for name in training_corpora(facts.config):
        yield f"- corpus: {_code(name)}"
    if facts.pairs is not None:
        yield f"- training pairs: {facts.pairs:,}"
    if facts.skipped is not None:
        yield f"- pairs of the corpus that were skipped: {_skipped(facts)}"
    dev = ", ".join(map(_code, dev_corpora(facts.config))) or "held out of the training corpus"
    if facts.dev is not None:
        yield f"- dev set: {facts.dev.pairs:,} pairs, {dev}"
    if facts.start:
        yield f"- training started from the weights of the run {_code(facts.start)}, which was trained on other data"
    if facts.is_improved:
        yield "- this checkpoint was trained further on corrections of its translations (`regard improve`)"
    if rates := facts.config.augmentation.rates:
        yield f"- training text was changed at random (augmentation): {', '.join(sorted(rates))}"
    yield "- the vocabulary contains words, and parts of words, of the training text"


def _skipped(facts: CardFacts) -> str:
    skipped = facts.skipped or {}
    total = sum(skipped.values())
    too_long = sum(count for reason, count in skipped.items() if TOO_LONG in reason)
    parts = [f"{too_long:,} longer than {facts.config.data.max_length:,} tokens"] if too_long else []
    if total > too_long:
        parts.append(f"{total - too_long:,} unusable, such as pairs with a blank side")
    return f"{total:,}" + (f" ({', '.join(parts)})" if parts else "")


def _model(facts: CardFacts) -> Iterator[str]:
    config, vocabularies = facts.config, facts.vocabularies
    preset = f", preset `{facts.preset}`" if facts.preset else ""
    settings = {key: value for key, value in config.model.model_dump(mode="json").items() if key != "architecture"}
    source, target = "; ".join(config.tokenizer.source_kinds), config.tokenizer.target
    kinds = source + (f" and {target}" if target != source else "")
    sizes = (
        f"{vocabularies.source:,} tokens for both sides"
        if vocabularies.joint
        else f"{vocabularies.source:,} source tokens and {vocabularies.target:,} target tokens"
    )
    paper = ARCHITECTURES[config.model.architecture].paper
    yield f"- architecture: `{config.model.architecture}`{f' ({paper})' if paper else ''}{preset}"
    yield f"- parameters: {facts.parameters:,}, stored in {_code('model.safetensors')}"
    yield f"- settings: {_code(', '.join(f'{key} = {json.dumps(value)}' for key, value in settings.items()))}"
    yield f"- tokenizer: {kinds}, with {sizes}"


def _optimization(config: OptimizationConfig) -> str:
    return f"{config.optimizer}, learning rate {config.learning_rate:g}, schedule {config.schedule}"


def _training(facts: CardFacts) -> Iterator[str]:
    if facts.is_imported:
        yield NOT_KNOWN
        return
    train, record = facts.config.train, facts.record.training
    pairs, tokens = train.pairs_per_batch, train.tokens_per_batch
    size = f"{pairs * train.accumulate:,} pairs" if pairs else f"about {tokens * train.accumulate:,} tokens"
    yield f"- steps of this checkpoint: {facts.step:,}, of {size}"
    second = train.second_stage
    after = f", after {second.after_steps:,} steps {_optimization(second)}" if second else ""
    yield f"- optimizer: {_optimization(train)}{after}, precision {train.precision}"
    if record is not None:
        processes = f", {record.processes} processes" if record.processes > 1 else ""
        minutes = record.seconds / 60
        time = f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes:.1f} minutes"
        device = f" on {_plain(record.device)}" if record.device else ""
        yield f"- training time: {time}{device}{processes}"
        yield f"- end of training: at step {record.step:,}, because {ENDS.get(record.end, record.end)}"
        if record.versions:
            yield f"- versions: {', '.join(f'{name} {version}' for name, version in record.versions.items())}"
    yield "- all settings are in `recipe.toml`"


def _limits(facts: CardFacts) -> Iterator[str]:
    number = "its training pairs" if facts.pairs is None else f"its {facts.pairs:,} training pairs"
    yield f"- The model knows only what {number} show. Expect worse translations of other kinds of text."
    yield from _confidence(facts.confidence)
    yield "- The scores compare translations with references. They do not show that a single translation is right."
    yield "- Do not use translations where an error does harm, such as in medicine or law, unless a person who knows"
    yield "  both languages checks them."
    longest = max(LONGEST, facts.config.data.max_length)
    yield f"- Sentences of more than {longest:,} tokens are translated in parts."


def _confidence(confidence: ConfidenceModel | None) -> Iterator[str]:
    if confidence is None:
        yield "- Confidence is not calibrated: the model gives no probability that a translation is right."
        return
    pairs = confidence.sentence.examples
    yield f"- Confidence (`--confidence`) is calibrated on {pairs:,} pairs like those of the dev set. On other text it"
    yield "  may be wrong."


def _plain(text: str) -> str:
    """Return text without line breaks and without characters that Markdown or HTML interprets."""
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#" else character for character in text)


def _code(text: str) -> str:
    """Return text as code that may be in the cell of a table."""
    text = " ".join(text.encode("utf-8", "replace").decode().replace("`", "'").split())
    return f"`{text}`".replace("|", "\\|")
