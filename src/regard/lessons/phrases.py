"""The corpus of lesson 7: English phrases with several German translations each, from a small grammar.

A clause is `the [ADJECTIVE] NOUN VERB the [ADJECTIVE] NOUN`, and a sentence is clauses joined by `and` or `but`. A word
has several translations with fixed probabilities, and each is drawn by itself. German articles depend on the noun that
follows, so the first word of a phrase commits the second: most translations of `car` are masculine (`der Wagen`,
`der PKW`), but the most probable one is neuter (`das Auto`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

MAX_CLAUSES = 3  # of the training data
ADJECTIVE_SHARE = 0.5

NOUNS: Mapping[str, Mapping[str, float]] = {
    "car": {"das Auto": 0.4, "der Wagen": 0.32, "der PKW": 0.28},
    "place": {"die Stelle": 0.4, "der Ort": 0.34, "der Platz": 0.26},
    "job": {"die Arbeit": 0.42, "der Beruf": 0.3, "der Job": 0.28},
    "letter": {"der Brief": 0.42, "das Schreiben": 0.33, "das Papier": 0.25},
    "picture": {"das Bild": 0.4, "die Aufnahme": 0.34, "die Zeichnung": 0.26},
    "house": {"das Haus": 0.6, "das Gebäude": 0.4},
    "road": {"die Straße": 0.6, "der Weg": 0.4},
    "man": {"der Mann": 0.7, "der Herr": 0.3},
    "woman": {"die Frau": 0.7, "die Dame": 0.3},
    "child": {"das Kind": 1.0},
    "dog": {"der Hund": 1.0},
    "cat": {"die Katze": 1.0},
}
VERBS: Mapping[str, Mapping[str, float]] = {
    "sees": {"sieht": 0.6, "erblickt": 0.4},
    "finds": {"findet": 0.65, "entdeckt": 0.35},
    "loves": {"liebt": 0.55, "mag": 0.45},
    "paints": {"malt": 1.0},
    "seeks": {"sucht": 1.0},
}
ADJECTIVES: Mapping[str, Mapping[str, float]] = {
    "big": {"große": 0.6, "riesige": 0.4},
    "beautiful": {"schöne": 0.6, "hübsche": 0.4},
    "old": {"alte": 1.0},
    "new": {"neue": 1.0},
}
CONJUNCTIONS: Mapping[str, Mapping[str, float]] = {
    "and": {"und": 1.0},
    "but": {"aber": 0.7, "doch": 0.3},
}


class Translation(NamedTuple):
    """A translation of the grammar, and its log-probability."""

    text: str
    log_probability: float


def phrases(split: str, clauses: int, count: int) -> list[tuple[str, str]]:
    """Return sentences of `clauses` clauses, each with a random translation."""
    rng = random.Random(f"phrases {split} {clauses}")
    pairs = []
    for _ in range(count):
        source = _sentence(rng, clauses)
        drawn = [
            rng.choices(list(options), weights=list(options.values()))[0] for options in _options(tuple(source.split()))
        ]
        pairs.append((source, " ".join(drawn)))
    return pairs


def best_translation(source: str) -> Translation:
    """Return the most probable translation of a sentence."""
    best = [max(options.items(), key=lambda item: item[1]) for options in _options(tuple(source.split()))]
    return Translation(" ".join(text for text, _ in best), sum(math.log(share) for _, share in best))


def log_probability(source: str, target: str) -> float:
    """Return the log-probability that the grammar gives a translation; minus infinity if it is none."""
    rest, total = f"{target} ", 0.0
    for options in _options(tuple(source.split())):
        text = next((text for text in options if rest.startswith(f"{text} ")), None)
        if text is None:
            return -math.inf
        rest, total = rest[len(text) + 1 :], total + math.log(options[text])
    return -math.inf if rest else total


def _sentence(rng: random.Random, clauses: int) -> str:
    parts: list[str] = []
    for place in range(clauses):
        if place:
            parts.append(rng.choice(list(CONJUNCTIONS)))
        for verb in (rng.choice(list(VERBS)), None):
            parts.append("the")
            if rng.random() < ADJECTIVE_SHARE:
                parts.append(rng.choice(list(ADJECTIVES)))
            parts.append(rng.choice(list(NOUNS)))
            if verb:
                parts.append(verb)
    return " ".join(parts)


@cache
def _options(words: Sequence[str]) -> list[Mapping[str, float]]:
    """Return the translations of each part of a sentence: noun phrases, verbs and conjunctions."""
    parts: list[Mapping[str, float]] = []
    adjective: str | None = None
    is_object = False
    for word in words:
        if word in NOUNS:
            parts.append(_noun_phrase(word, adjective, is_object))
            adjective = None
        elif word in ADJECTIVES:
            adjective = word
        elif word != "the":
            parts.append({**VERBS, **CONJUNCTIONS}[word])
            is_object = word in VERBS
    return parts


def _noun_phrase(noun: str, adjective: str | None, is_object: bool) -> Mapping[str, float]:
    phrases: dict[str, float] = {}
    for german, noun_share in NOUNS[noun].items():
        article, name = german.split()
        is_accusative = is_object and article == "der"  # only masculine forms change
        for form, share in ADJECTIVES[adjective].items() if adjective else [("", 1.0)]:
            inflected = f"{form}n " if form and is_accusative else f"{form} " if form else ""
            phrases[f"{'den' if is_accusative else article} {inflected}{name}"] = noun_share * share
    return phrases
