"""Lesson 4: what becomes of outputs if attention is changed, and which words matter according to it.

Occlusion measures how much a source word matters for a target token: by how much the token's log-probability falls if
the word is hidden, that is, replaced by the unknown token or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from regard.lessons.phrases import ADJECTIVES, CONJUNCTIONS, NOUNS, VERBS, log_probability, phrases
from regard.lessons.tasks import TASKS

Array = np.ndarray[Any, Any]
Change = Callable[[int, Array], Array]
"""The weights (S,) to use in a step, given the step's number and its own weights."""

RECURRENT, TRANSFORMER = "phrases", "dates-transformer2017"
CLAUSES = (1, 2, 3)
SENTENCES = 100  # of each number of clauses
DATES = (1, 2)  # in a source
DATE_SOURCES = 100  # of each number of dates
ISO = len("2026-11-22")
EXAMPLES = 6  # of each number of clauses or dates
FIRST_EXAMPLES = ("the dog sees the woman", "the old woman paints the new house", "the dog seeks the place")
HIDDEN = ("replaced", "removed")  # how a word is hidden
RESAMPLES = 2000
LIMIT = 60  # tokens of an output
_GERMAN: Mapping[str, set[str]] = {
    "article": {"der", "die", "das", "den"},
    "noun": {option.split()[1] for options in NOUNS.values() for option in options},
    "adjective": {form + end for options in ADJECTIVES.values() for form in options for end in ("", "n")},
    "verb": {option for options in VERBS.values() for option in options},
    "conjunction": {option for options in CONJUNCTIONS.values() for option in options},
}


def what_if(runs: Mapping[str, Path]) -> dict[str, Any]:
    """Return the data of lesson 4: changed weights, attention against occlusion, and what each head is needed for."""
    model = _Model.load(runs[RECURRENT])
    sources = {clauses: [source for source, _ in phrases("test", clauses, SENTENCES)] for clauses in CLAUSES}
    everything = [source for of_clauses in sources.values() for source in of_clauses]
    return {
        "sentences": len(everything),
        "examples": [*FIRST_EXAMPLES, *(source for texts in sources.values() for source in texts[:EXAMPLES])],
        "weights": changed_weights(model, everything),
        "moved": moved_weights(model, everything),
        "occlusion": attention_and_occlusion(model, everything),
        "heads": heads_removed(runs[TRANSFORMER]),
    }


class _Decoded(NamedTuple):
    """A source with its end token, the greedy output with its own, and what each step gave.

    `log_probabilities` (T, V), `attention` (T, S) and the state before each step.
    """

    source: list[int]
    output: list[int]
    log_probabilities: Array
    attention: Array
    states: list[Any]


class _Model(NamedTuple):
    """A model with one attention, and its tokenizers."""

    network: Any
    tokenizers: Any

    @classmethod
    def load(cls, run: Path) -> _Model:
        """Load the best checkpoint of a run, without native programs, whose attention cannot be changed."""
        from regard.checkpoints.checkpoint import load_checkpoint
        from regard.checkpoints.run_folder import resolve_checkpoint

        checkpoint = load_checkpoint(resolve_checkpoint(run))
        return cls(checkpoint.model.float().eval(), checkpoint.tokenizers)

    def step(self, token: int, state: Any, weights: Array | None = None) -> tuple[Any, Array, Array]:
        """Feed a token, with other weights if they are given; return state, log-probabilities and attention."""
        import torch

        from regard.lessons.steering import Steering, steer

        steering = Steering()
        if weights is not None:
            added = torch.tensor(weights, dtype=torch.float32)[None, None, None]
            steering = Steering(source_scale=torch.zeros(1, 1, 1), source_added=added)
        with torch.inference_mode(), steer(steering):
            step = self.network.decoder.step(torch.tensor([token]), state, with_attention=True)
        return step.state, step.logits.log_softmax(-1)[0].double().numpy(), step.attention[0].double().numpy()

    def decode(self, text: str, change: Change | None = None) -> _Decoded:
        """Decode a text greedily; `change` replaces the weights of each step."""
        import torch

        from regard.special_tokens import BOS, EOS

        source = [*self.tokenizers.source.encode(text), EOS]
        with torch.inference_mode():
            state = self.network.decoder.init_state(self.network.encode(torch.tensor([source])))
        output: list[int] = []
        states, rows, attention = [], [], []
        while EOS not in output and len(output) < LIMIT:
            token = output[-1] if output else BOS
            states.append(state)
            following, log_probabilities, weights = self.step(token, state)
            if change is not None:
                weights = change(len(output), weights)
                following, log_probabilities, _ = self.step(token, state, weights)
            state = following
            rows.append(log_probabilities)
            attention.append(weights)
            output.append(int(log_probabilities[EOS:].argmax()) + EOS)
        return _Decoded(source, output, np.array(rows), np.array(attention), states)

    def text(self, decoded: _Decoded) -> str:
        """Return the text of an output."""
        return str(self.tokenizers.target.decode(decoded.output))

    def scores(self, source: Sequence[Sequence[int]], output: Sequence[int]) -> Array:
        """Return the log-probabilities (B, T) of the tokens of one output, given each of several sources."""
        import torch

        from regard.special_tokens import BOS

        tokens = torch.tensor([output] * len(source))
        inputs = torch.tensor([[BOS, *output[:-1]]] * len(source))
        with torch.inference_mode():
            rows = self.network(torch.tensor(source), inputs).log_softmax(-1).gather(2, tokens[:, :, None])
        return np.asarray(rows[:, :, 0].double().numpy())


def kind_of(word: str) -> str:
    """Return the kind of a German word, or nothing for the end token."""
    return next((kind for kind, german in _GERMAN.items() if word in german), "")


def noun_after(words: Sequence[str], place: int) -> int | None:
    """Return the place of the first English noun at or after a place."""
    return next((place for place in range(place, len(words)) if words[place] in NOUNS), None)


def changed_weights(model: _Model, sources: Sequence[str]) -> dict[str, float]:
    """Return the share of outputs that are translations, if the weights of all steps are changed.

    Of the own weights: all on the largest, equal, or each moved to another token, the same way in all steps.
    """
    rng = np.random.default_rng(1)
    rights: dict[str, list[bool]] = {}
    for source in sources:
        order = rng.permutation(len(source.split()) + 1)
        changes: dict[str, Change | None] = {
            "its own weights": None,
            "all on the largest": lambda _, weights: np.eye(len(weights))[weights.argmax()],
            "equal weights": lambda _, weights: np.full(len(weights), 1 / len(weights)),
            "shuffled weights": lambda _, weights, order=order: weights[order],  # type: ignore[misc]
        }
        for name, change in changes.items():
            text = model.text(model.decode(source, change))
            rights.setdefault(name, []).append(log_probability(source, text) > -np.inf)
    return {name: float(np.mean(right)) for name, right in rights.items()}


def moved_weights(model: _Model, sources: Sequence[str]) -> dict[str, Any]:
    """Return what a step writes if all its weight is moved to one other token, before any other step is changed.

    For each kind of word, the share of steps that write the same word with all weight on at least one token that is not
    the one with the largest weight. For articles, also what happens if the weight goes to their noun.
    """
    from regard.special_tokens import BOS

    is_kept: dict[str, list[bool]] = {}
    article: dict[str, list[float]] = {"on_article": [], "on_noun": [], "before": [], "after": [], "same": []}
    for source in sources:
        decoded = model.decode(source)
        words = source.split()
        for step, (state, token, previous) in enumerate(
            zip(decoded.states, decoded.output, [BOS, *decoded.output], strict=False)
        ):
            kind = kind_of(model.tokenizers.target.pieces([token])[0])
            largest = int(decoded.attention[step].argmax())
            rows = [model.step(previous, state, weights)[1] for weights in np.eye(len(decoded.source))]
            same = [int(row[2:].argmax()) + 2 == token for row in rows]
            if not kind:
                continue
            is_kept.setdefault(kind, []).append(any(same[:largest] + same[largest + 1 :]))
            noun = noun_after(words, largest)
            if kind == "article" and noun is not None:
                article["on_article"].append(decoded.attention[step][largest])
                article["on_noun"].append(decoded.attention[step][noun])
                article["before"].append(np.exp(decoded.log_probabilities[step][token]))
                article["after"].append(np.exp(rows[noun][token]))
                article["same"].append(same[noun])
    return {
        "kept": {kind: {"share": float(np.mean(values)), "steps": len(values)} for kind, values in is_kept.items()},
        "article": {name: float(np.mean(values)) for name, values in article.items()},
    }


def attention_and_occlusion(model: _Model, sources: Sequence[str]) -> dict[str, Any]:
    """Return how attention and occlusion agree on the words of a source, by how words are hidden and kind of target.

    Of steps that write a kind of word, `agree` is the share in which the source word with the largest weight is the one
    with the largest fall, `tau` the mean of Kendall's rank correlation, `weight` the mean weight of the word with the
    largest fall, and `noun` the share in which that is the first noun from the word with the largest weight on. Each
    has a 95 % interval (bootstrap over sentences). The end tokens of both sides are left out.
    """
    measured: dict[str, list[list[dict[str, Any]]]] = {how: [] for how in HIDDEN}
    for source in sources:
        decoded = model.decode(source)
        kinds = [kind_of(piece) for piece in model.tokenizers.target.pieces(decoded.output)]
        for how in HIDDEN:
            falls = occlusion(model, decoded, how)
            measured[how].append(
                [
                    {
                        "kind": kind,
                        "agree": float(weights.argmax() == fall.argmax()),
                        "tau": kendall(weights, fall),
                        "weight": float(weights[fall.argmax()]),
                        "noun": int(fall.argmax()) == noun_after(source.split(), int(weights.argmax())),
                    }
                    for kind, weights, fall in zip(kinds, decoded.attention[:, :-1], falls, strict=True)
                    if kind
                ]
            )
    kinds = ["all", *_GERMAN]
    return {how: {kind: _summary(rows, kind) for kind in kinds} for how, rows in measured.items()}


def occlusion(model: _Model, decoded: _Decoded, how: str) -> Array:
    """Return by how much the log-probability of each token of the output falls (T, S - 1) if a word is hidden."""
    from regard.special_tokens import UNK

    source = decoded.source
    middle = [UNK] if how == "replaced" else []
    hidden = [[*source[:place], *middle, *source[place + 1 :]] for place in range(len(source) - 1)]
    falls = model.scores([source], decoded.output) - model.scores(hidden, decoded.output)  # (S - 1, T)
    return np.asarray(falls.T)


def kendall(first: Array, second: Array) -> float:
    """Return Kendall's rank correlation: the share of pairs in the same order, minus that in the opposite one."""
    rows, columns = np.triu_indices(len(first), 1)
    return float(np.mean(np.sign(first[rows] - first[columns]) * np.sign(second[rows] - second[columns])))


def _summary(sentences: Sequence[Sequence[Mapping[str, Any]]], kind: str) -> dict[str, Any]:
    """Return means over the steps of a kind, with intervals."""
    chosen = [[row for row in rows if kind in ("all", row["kind"])] for rows in sentences]
    chosen = [rows for rows in chosen if rows]
    result: dict[str, Any] = {"steps": sum(map(len, chosen))}
    for name in ("agree", "tau", "weight", "noun"):
        totals = np.array([[sum(row[name] for row in rows), len(rows)] for rows in chosen])
        result[name] = [float(totals[:, 0].sum() / totals[:, 1].sum()), *_interval(totals)]
    return result


def _interval(totals: Array) -> list[float]:
    """Return the 95 % interval of a mean, given the sum and the count of each sentence."""
    rng = np.random.default_rng(1)
    resampled = totals[rng.integers(0, len(totals), (RESAMPLES, len(totals)))].sum(1)
    return [float(value) for value in np.percentile(resampled[:, 0] / resampled[:, 1], (2.5, 97.5))]


def heads_removed(run: Path) -> dict[str, Any]:
    """Return the quality of a Transformer with all heads, without each, with one per layer, and without whole layers.

    `exact` is the share of right outputs by the number of dates, and `first` that of outputs whose first date is right.
    """
    import torch

    from regard.lessons.steering import Steering, steer

    model = _Model.load(run)
    pairs = {size: TASKS["dates"].make("test", size, DATE_SOURCES) for size in DATES}
    encoder, decoder = model.network.encoder, model.network.decoder
    heads = model.network.encoder.layers[0].attention.query.out_features // encoder.head_size

    def share(part: str = "", removed: Sequence[tuple[int, int]] = ()) -> dict[str, list[float]]:
        layers = len(encoder.layers if part == "encoder" else decoder.layers)
        scale = torch.ones(1, layers, heads)
        for layer, head in removed:
            scale[0, layer, head] = 0
        inside = Steering(self_scale=scale) if part == "encoder" else Steering()
        after = {"decoder": Steering(self_scale=scale), "source": Steering(source_scale=scale)}.get(part, Steering())
        shares: dict[str, list[float]] = {"exact": [], "first": []}
        for of_size in pairs.values():
            with steer(inside):
                state = _start(model, [source for source, _ in of_size])
            with steer(after):
                outputs = _finish(model, state, len(of_size))
            compared = [(out, target) for out, (_, target) in zip(outputs, of_size, strict=True)]
            shares["exact"].append(float(np.mean([out == target for out, target in compared])))
            shares["first"].append(float(np.mean([out[:ISO] == target[:ISO] for out, target in compared])))
        return shares

    result: dict[str, Any] = {
        "sources": DATE_SOURCES,
        "dates": DATES,
        "examples": [source for pair in zip(*pairs.values(), strict=True) for source, _ in pair][: 2 * EXAMPLES],
        "complete": share(),
    }
    for part, count in (
        ("encoder", len(encoder.layers)),
        ("decoder", len(decoder.layers)),
        ("source", len(decoder.layers)),
    ):
        everything = [(layer, head) for layer in range(count) for head in range(heads)]
        result[part] = {
            "without_head": [[share(part, [(layer, head)]) for head in range(heads)] for layer in range(count)],
            "only_head": [
                [
                    share(part, [pair for pair in everything if pair[0] == layer and pair[1] != head])
                    for head in range(heads)
                ]
                for layer in range(count)
            ],
            "without_layer": [share(part, [pair for pair in everything if pair[0] == layer]) for layer in range(count)],
        }
    return result


def _start(model: _Model, sources: Sequence[str]) -> Any:
    """Return the decoder's state before the first token of several sources."""
    import torch

    from regard.data.batch import pad
    from regard.special_tokens import EOS

    tokens = pad([model.tokenizers.source.encode(source) for source in sources], last=EOS)
    with torch.inference_mode():
        return model.network.decoder.init_state(model.network.encode(tokens))


def _finish(model: _Model, state: Any, count: int) -> list[str]:
    """Decode greedily from a state, and return the texts."""
    import torch

    from regard.special_tokens import BOS, EOS

    tokens = torch.full((count,), BOS)
    columns = []
    with torch.inference_mode():
        for _ in range(LIMIT):
            step = model.network.decoder.step(tokens, state)
            state, tokens = step.state, step.logits[:, EOS:].argmax(-1) + EOS
            columns.append(tokens.tolist())
    rows = [list(row) for row in zip(*columns, strict=True)]
    return [model.tokenizers.target.decode(row[: row.index(EOS)] if EOS in row else row) for row in rows]
