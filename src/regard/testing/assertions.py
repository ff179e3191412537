"""Assertions whose messages name the position and the size of a difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regard.decoding.hypothesis import Hypothesis

STEP = ("row", "value")
TARGET = ("row", "target position", "value")
STEP_ATTENTION = ("row", "source position")
ATTENTION = ("row", "target position", "source position")

_TOLERANCES = {torch.float64: (1e-7, 1e-7), torch.float32: (1.3e-6, 1e-5)}  # relative, absolute; as in torch.testing


class InconclusiveError(AssertionError):
    """The weights of the tiny model cannot show whether a law holds; other weights may.

    Attributes:
        passed: The number of conditions on the weights that were met before this one.
    """

    def __init__(self, message: str, passed: int = 0) -> None:
        super().__init__(message)
        self.passed = passed


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with the message if the condition is false."""
    if not condition:
        raise AssertionError(message)


def require_lively(condition: bool, message: str, passed: int = 0) -> None:
    """Raise InconclusiveError with the message if the condition is false, `passed` conditions after the first."""
    if not condition:
        raise InconclusiveError(message, passed)


def assert_close(
    actual: Tensor | None,
    expected: Tensor | None,
    names: str,
    axes: Sequence[str] = (),
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Assert that two tensors have the same shape, dtype and values, or that both are None.

    Args:
        actual: The tensor to check.
        expected: The tensor to compare it with.
        names: What the two are, such as "the features of advance() and forward()".
        axes: What each axis counts, such as "row"; the message numbers the others.
        rtol: The relative tolerance. Default: that of torch.testing.assert_close for the dtype.
        atol: The absolute tolerance. Default: that of torch.testing.assert_close for the dtype.

    Raises:
        AssertionError: They differ. The message has the position and size of the largest difference.
    """
    if actual is None or expected is None:
        require(actual is expected, f"{names} differ: {_kind(actual)} and {_kind(expected)}")
        return
    require(actual.shape == expected.shape, f"{names} have shapes {tuple(actual.shape)} and {tuple(expected.shape)}")
    require(actual.dtype == expected.dtype, f"{names} have dtypes {actual.dtype} and {expected.dtype}")
    default_rtol, default_atol = _TOLERANCES.get(expected.dtype, (0.0, 0.0))
    rtol, atol = default_rtol if rtol is None else rtol, default_atol if atol is None else atol
    is_far = ~torch.isclose(actual, expected, rtol=rtol, atol=atol)
    if not is_far.any():
        return
    differences = (actual - expected).abs().nan_to_num(math.inf).masked_fill(~is_far, -1)
    index = [int(part) for part in torch.unravel_index(differences.argmax(), differences.shape)]
    raise AssertionError(
        f"{names} differ{_position(index, axes)}: {actual[tuple(index)]:.6g} and {expected[tuple(index)]:.6g}"
        f" ({int(is_far.sum())} of {is_far.numel()} values differ by more than the tolerance"
        f" {atol:.2g} + {rtol:.2g} x the value; the largest difference is {differences.max():.3g})"
    )


def widen_features(features: Tensor, like: Tensor) -> Tensor:
    """Return features (..., F) with zeros up to the width of others, if those are wider.

    Features of a decoder that copies grow with the source: the attention and the token of padding are 0.
    """
    return torch.nn.functional.pad(features, (0, max(0, like.size(-1) - features.size(-1))))


def _kind(value: Tensor | None) -> str:
    return "None" if value is None else f"a tensor of shape {tuple(value.shape)}"


def _position(index: Sequence[int], axes: Sequence[str]) -> str:
    names = [axes[axis] if axis < len(axes) else f"axis {axis}:" for axis in range(len(index))]
    return f" at {', '.join(f'{name} {number}' for name, number in zip(names, index, strict=True))}" if index else ""


def assert_number(actual: float, expected: float, names: str, rtol: float = 1e-6) -> None:
    """Assert that two numbers differ by at most rtol x the expected value, or 1e-12.

    Raises:
        AssertionError: They differ. The message has both.
    """
    close = actual == expected or abs(actual - expected) <= max(rtol * abs(expected), 1e-12)
    require(close, f"{names} differ: {actual:.9g} and {expected:.9g}, by {abs(actual - expected):.3g}")


def assert_same_hypotheses(actual: Sequence[Hypothesis], expected: Sequence[Hypothesis], names: str) -> None:
    """Assert that two searches returned the same hypotheses, with the same scores and attention.

    Args:
        actual: The hypotheses of a sentence, best first.
        expected: Those to compare them with.
        names: What the two are, such as "greedy search and beam search with beam size 1, sentence 2,".

    Raises:
        AssertionError: They differ. The message has the first hypothesis that differs.
    """
    require(len(actual) == len(expected), f"{names} return {len(actual)} and {len(expected)} hypotheses")
    for rank, (first, second) in enumerate(zip(actual, expected, strict=True)):
        where = f"{names} differ in hypothesis {rank}"
        outputs = [f"{item.tokens} {'finished' if item.finished else 'unfinished'}" for item in (first, second)]
        require(outputs[0] == outputs[1], f"{where}: {outputs[0]} and {outputs[1]}")
        assert_number(first.log_probability, second.log_probability, f"{where}: its log-probabilities", rtol=1e-9)
        assert_number(first.score, second.score, f"{where}: its scores", rtol=1e-9)
        assert_close(first.attention, second.attention, f"{where}: its attentions", ("step", "source position"))


def assert_distribution(weights: Tensor, visible: Tensor, name: str, axes: Sequence[str], atol: float = 1e-7) -> None:
    """Assert that weights are not negative, sum to 1, and are 0 where nothing is visible.

    Args:
        weights: Attention weights (..., S).
        visible: (..., S), True where attention may go.
        name: What the weights are.
        axes: What each axis counts.
        atol: How far the sums may be from 1.

    Raises:
        AssertionError: They are not. The message has the position and the weight or the sum.
    """
    for is_wrong, problem in ((weights.lt(0), "is negative"), (~visible & weights.ne(0), "is on a hidden position")):
        if is_wrong.any():
            index = [int(part) for part in is_wrong.nonzero()[0]]
            raise AssertionError(f"{name} {problem}{_position(index, axes)}: {weights[tuple(index)]:.6g}")
    sums = weights.sum(-1)
    assert_close(sums, torch.ones_like(sums), f"the sums of {name} and 1", axes, rtol=0, atol=atol)
