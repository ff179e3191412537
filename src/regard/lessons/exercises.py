"""The checker of the lessons' exercises, and the data of their measured figures."""

from __future__ import annotations

import inspect
import json
import math
import numbers
import traceback
from collections.abc import Callable, Iterator, Mapping
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
        answer: A number, several numbers, or a function: what the exercise asks for. NumPy and torch work, too.
    """
    name = str(exercise)
    if name not in EXERCISES:
        print(f"{name}: there is no such exercise; {suggest(name, sorted(EXERCISES))}")
        return False
    try:
        problem = EXERCISES[name](answer)
    except _UnusableAnswer as error:
        problem = str(error)
    print(f"{name}: " + (f"not yet: {problem}" if problem else "right"))
    return not problem


def figure(name: str) -> Any:
    """Return the data of a measured figure, such as `bottleneck`. Raise ConfigError if there is none of that name."""
    path = FIGURES / f"{name}.json"
    if not path.is_file():
        names = sorted(path.stem for path in FIGURES.glob("*.json"))
        raise ConfigError(f"there is no figure `{name}`", where="regard.lessons.figure", fix=suggest(name, names))
    return json.loads(path.read_text(encoding="utf-8"))


class _UnusableAnswer(Exception):
    """An answer of another kind than the exercise asks for; its text says so to the reader."""


def _numbers(*expected: float, tolerance: float = 0.0, hint: str = "") -> Verify:
    """Return a check of one number or several, each within the tolerance."""

    def verify(answer: Any) -> str:
        request = "a number" if len(expected) == 1 else f"{len(expected)} numbers"
        if callable(answer) and not _is_array(answer):
            raise _UnusableAnswer(f"the exercise asks for {request}, and you gave a function")
        values = list(_flatten(answer, f"the exercise asks for {request}"))
        if len(values) != len(expected):
            return f"the answer has {_count(len(expected))}, and yours has {len(values)}"
        wrong = [place for place, value in enumerate(values) if not abs(value - expected[place]) <= tolerance]
        if not wrong:
            return ""
        which = "the number" if len(expected) == 1 else f"number {wrong[0] + 1}"
        if not math.isfinite(values[wrong[0]]):
            return f"{which} is infinite, or the result of an undefined operation such as 0 / 0"
        return f"{which} is not right" + (f"; {hint}" if hint else "")

    return verify


def _count(size: int) -> str:
    return "1 number" if size == 1 else f"{size} numbers"


def _flatten(answer: Any, request: str) -> Iterator[float]:
    """Yield the numbers of an answer. Raise _UnusableAnswer if there is anything else in it."""
    if _is_array(answer):
        yield from _flatten(answer.tolist(), request)
    elif isinstance(answer, list | tuple | range):
        for value in answer:
            yield from _flatten(value, request)
    elif isinstance(answer, numbers.Real):
        yield float(answer)
    elif answer is None:
        raise _UnusableAnswer(f"{request}, and the answer is None")
    elif isinstance(answer, str):
        raise _UnusableAnswer(f"{request}; write it without quotation marks")
    else:
        raise _UnusableAnswer(f"{request}, and there is something else in the answer")


def _is_array(value: Any) -> bool:
    """Return whether a value is an array of NumPy, a tensor, or a scalar of either."""
    return hasattr(value, "tolist") and hasattr(value, "dtype")


def _function(solution: Callable[..., Any], arguments: Callable[[np.random.Generator], tuple[Any, ...]]) -> Verify:
    """Return a check of a function, which is called with several random arguments."""

    def verify(answer: Any) -> str:
        if not callable(answer) or _is_array(answer):
            return "the answer is a function; give the function itself, without calling it"
        rng = np.random.default_rng(1)
        for _ in range(3):
            values = arguments(rng)
            expected, computed = np.asarray(solution(*values)), _result(answer, values)
            if computed.shape != expected.shape:
                return f"the result has {_shape(computed)}, and should have {_shape(expected)}"
            if not np.isfinite(computed).all():
                return "the result has values that are infinite, or results of an undefined operation such as 0 / 0"
            if not np.allclose(computed, expected, atol=1e-6):
                return f"the largest error is {np.abs(computed - expected).max():.3g}"
        return ""

    return verify


def _result(function: Callable[..., Any], values: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    """Return what a reader's function returns. Raise _UnusableAnswer if it fails or returns no numbers."""
    called = f"your function is called with {'1 argument' if len(values) == 1 else f'{len(values)} arguments'}"
    if not _accepts(function, values):
        raise _UnusableAnswer(f"{called}, and does not accept that many")
    try:
        result = function(*values)
    except Exception as error:
        line = _line(function, error)
        shapes = ", ".join(map(_describe, values))
        raise _UnusableAnswer(
            f"your function fails{line}; {called} ({shapes}): call it with such values to see the error"
        ) from None
    if result is None:
        raise _UnusableAnswer("the function returns None; does it have a `return`?")
    try:
        return np.asarray(_as_lists(result), dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise _UnusableAnswer("the function returns something other than an array of numbers") from None


def _accepts(function: Callable[..., Any], values: tuple[Any, ...]) -> bool:
    """Return whether a function can be called with these arguments, or does not say which it has."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*values)
    except TypeError:
        return False
    return True


def _as_lists(value: Any) -> Any:
    """Return arrays and tensors as lists, also within a list."""
    if _is_array(value):
        return value.tolist()
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _line(function: Callable[..., Any], error: Exception) -> str:
    """Return for example ` in line 3`, of the file or cell that the function is in; nothing if that is unknown."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f" in line {lines[-1]}" if lines else ""


def _describe(value: Any) -> str:
    """Return what an argument of a reader's function is, such as `the shape (6,)`."""
    if callable(value):
        return "a function"
    return f"a list of {len(value)}" if isinstance(value, list) else _shape(np.asarray(value))


def _shape(array: np.ndarray[Any, Any]) -> str:
    return "a number" if array.ndim == 0 else f"the shape {array.shape}"


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


def _without_head(heads: Any, w_o: Any, head: int) -> Any:
    size = heads.shape[2]
    parts = np.einsum("thw,hwd->htd", heads, w_o.reshape(-1, size, w_o.shape[1]))
    return np.delete(parts, head, axis=0).sum(axis=0)


def _head_arguments(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.normal(size=(5, 4, 3)), rng.normal(size=(12, 6)), int(rng.integers(0, 4))


def _occlusion(score: Any, words: list[str]) -> Any:
    return [score(words) - score([*words[:at], "<unk>", *words[at + 1 :]]) for at in range(len(words))]


def _occlusion_arguments(rng: np.random.Generator) -> tuple[Any, ...]:
    words = ["the", "dog", "sees", "the", "cat"]
    known = rng.exponential(size=(len(words), len(words)))

    def score(source: list[str]) -> float:
        is_known = np.array([word == right for word, right in zip(source, words, strict=True)], float)
        return float(-(1 - is_known) @ known.sum(1) - is_known @ known @ is_known)

    return score, words


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
    "4.1": _numbers(2.5, 4.0, tolerance=1e-6, hint="the context is the sum of weights times annotations"),
    "4.2": _function(_without_head, _head_arguments),
    "4.3": _function(_occlusion, _occlusion_arguments),
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
