"""The checker of the lessons' exercises, and the data of their measured figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from regard.errors import ConfigError, suggest

FIGURES = Path(__file__).parent / "static" / "figures"

Verify = Callable[[Any], str]
"""Returns why an answer is wrong, or nothing if it is right."""


def check(exercise: str, answer: object) -> bool:
    """Check the answer to an exercise, print the result, and return whether the answer is right.

    Args:
        exercise: The number of the exercise, such as `1.2`.
        answer: A number, several numbers, or a function: what the exercise asks for.

    Raises:
        ConfigError: There is no such exercise.
    """
    if exercise not in EXERCISES:
        raise ConfigError(
            f"there is no exercise `{exercise}`", where="regard.lessons.check", fix=suggest(exercise, sorted(EXERCISES))
        )
    try:
        problem = EXERCISES[exercise](answer)
    except Exception as error:  # whatever the reader's function raises
        problem = f"{type(error).__name__}: {error}"
    print(f"{exercise}: " + (f"not yet: {problem}" if problem else "right"))
    return not problem


def figure(name: str) -> Any:
    """Return the data of a measured figure, such as `bottleneck`. Raise ConfigError if there is none of that name."""
    path = FIGURES / f"{name}.json"
    if not path.is_file():
        names = sorted(path.stem for path in FIGURES.glob("*.json"))
        raise ConfigError(f"there is no figure `{name}`", where="regard.lessons.figure", fix=suggest(name, names))
    return json.loads(path.read_text(encoding="utf-8"))


def _numbers(*expected: float, tolerance: float = 0.0, hint: str = "") -> Verify:
    """Return a check of one number or several, each within the tolerance."""

    def verify(answer: Any) -> str:
        values = np.atleast_1d(np.asarray(answer, dtype=float)).flatten()
        if len(values) != len(expected):
            return f"the answer has {len(expected)} numbers, and yours has {len(values)}"
        wrong = [place for place, value in enumerate(values) if not abs(value - expected[place]) <= tolerance]
        if not wrong:
            return ""
        which = "the number" if len(expected) == 1 else f"number {wrong[0] + 1}"
        return f"{which} is not right" + (f"; {hint}" if hint else "")

    return verify


def _function(solution: Callable[..., Any], arguments: Callable[[np.random.Generator], tuple[Any, ...]]) -> Verify:
    """Return a check of a function, which is called with several random arguments."""

    def verify(answer: Any) -> str:
        if not callable(answer):
            return "the answer is a function; give the function itself, without calling it"
        rng = np.random.default_rng(1)
        for _ in range(3):
            values = arguments(rng)
            expected, result = np.asarray(solution(*values)), answer(*values)
            if result is None:
                return "the function returns nothing"
            computed = np.asarray(result, dtype=float)
            if computed.shape != expected.shape:
                return f"the result has the shape {computed.shape}, and should have {expected.shape}"
            if not np.allclose(computed, expected, atol=1e-6):
                return f"the largest error is {np.abs(computed - expected).max():.3g}"
        return ""

    return verify


def _below_half(answer: Any) -> str:
    digits = figure("bottleneck")["digits"]
    pairs = zip(digits["sizes"], digits["exact"]["cho2014"], strict=True)
    first = next(size for size, share in pairs if share < 0.5)
    return _numbers(first, hint="it is the first length whose share is below 0.5")(answer)


def _separator_head(answer: Any) -> str:
    decoder = figure("heads")["shares"]["decoder"]
    shares = np.array(decoder["heads"])[:, :, decoder["relations"].index("separator")]
    layer, head = np.unravel_index(shares.argmax(), shares.shape)
    return _numbers(int(layer) + 1, int(head) + 1, hint="it is the head with the largest share; count from 1")(answer)


def _sinusoid(position: int, size: int) -> np.ndarray[Any, Any]:
    angles = position / 10000.0 ** (np.arange(0, size, 2) / size)
    return np.stack((np.sin(angles), np.cos(angles)), axis=1).flatten()


def _first_steps(answer: Any) -> str:
    film = figure("alignment")["films"]["bahdanau2014"]
    steps = [
        next(step for step, shares in zip(film["step"], film["part_share"], strict=True) if shares[part] > 0.5)
        for part in ("year", "month", "day")
    ]
    return _numbers(*steps, hint="it is the first step whose share is above 0.5")(answer)


def _entropy(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(-(weights * np.log2(np.where(weights > 0, weights, 1.0))).sum(axis=1))


def _weights_with_zeros(rng: np.random.Generator) -> tuple[np.ndarray[Any, Any]]:
    weights = np.stack([_weights(rng, 6) for _ in range(4)]) * np.tri(4, 6, 2)
    return (weights / weights.sum(axis=1, keepdims=True),)


def _weights(rng: np.random.Generator, size: int) -> np.ndarray[Any, Any]:
    weights = np.exp(rng.normal(size=size))
    return np.asarray(weights / weights.sum())


def _additive_arguments(rng: np.random.Generator) -> tuple[Any, ...]:
    return (
        rng.normal(size=4), rng.normal(size=(6, 5)), rng.normal(size=(3, 4)), rng.normal(size=(3, 5)),
        rng.normal(size=3),
    )  # fmt: skip


def _best_continuations(totals: Any, log_probabilities: Any, count: int) -> Any:
    candidates = np.asarray(totals)[:, None] + log_probabilities
    order = np.argsort(-candidates, axis=None)[:count]
    return np.stack(np.unravel_index(order, candidates.shape))


def _beam_arguments(rng: np.random.Generator) -> tuple[Any, ...]:
    return np.sort(-rng.exponential(size=3))[::-1], np.log([_weights(rng, 7) for _ in range(3)]), 3


def _cross_attention(x: Any, memory: Any, queries: Any, keys: Any, values: Any, output: Any, heads: int) -> Any:
    def split(rows: Any) -> Any:
        return np.reshape(rows, (len(rows), heads, -1)).swapaxes(0, 1)  # (H, rows, D / H)

    q, k, v = split(x @ queries), split(memory @ keys), split(memory @ values)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])  # (H, T, S)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    contexts = weights / weights.sum(axis=-1, keepdims=True) @ v  # (H, T, D / H)
    return contexts.swapaxes(0, 1).reshape(len(x), -1) @ output


def _cross_attention_arguments(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.normal(size=(3, 8)), rng.normal(size=(5, 8)), *(rng.normal(size=(8, 8)) for _ in range(4)), 2)


EXERCISES: Mapping[str, Verify] = {
    "1.1": _numbers(64, 1664, hint="count the end token, and both directions of bahdanau2014"),
    "1.2": _below_half,
    "1.3": _function(lambda weights, states: weights @ states, lambda rng: (_weights(rng, 6), rng.normal(size=(6, 4)))),
    "2.1": _numbers(4, 1.5, tolerance=1e-6, hint="use the logarithm to base 2"),
    "2.2": _first_steps,
    "2.3": _function(_entropy, _weights_with_zeros),
    "3.1": _numbers(0.140, 0.284, 0.576, tolerance=0.002, hint="divide the dot products by the square root of 2"),
    "3.2": _function(lambda q, keys, w, u, v: np.tanh(w @ q + keys @ u.T) @ v, _additive_arguments),
    "3.3": _function(lambda weights: np.diag(weights) - np.outer(weights, weights), lambda rng: (_weights(rng, 5),)),
    "5.1": _function(np.tri, lambda rng: (int(rng.integers(3, 9)),)),
    "5.2": _function(_sinusoid, lambda rng: (int(rng.integers(0, 60)), 2 * int(rng.integers(2, 9)))),
    "5.3": _separator_head,
    "6.1": _numbers(3_152_384, 4_204_032, hint="count biases, and two numbers per channel of each norm"),
    "6.2": _function(_cross_attention, _cross_attention_arguments),
    "6.3": _numbers(20, 5, 1, hint="a convolution of width 3 moves a word by its dilation in each layer"),
    "7.1": _numbers(0.30, 0.36, tolerance=0.001, hint="multiply the probabilities along each path"),
    "7.2": _numbers(3, 1, 2, hint="divide each log-probability by the divisor of its length"),
    "7.3": _function(_best_continuations, _beam_arguments),
}
