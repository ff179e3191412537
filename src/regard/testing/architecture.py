"""Check an architecture against all laws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, product
from typing import Any

from regard.config.schema import ModelConfig
from regard.models import ARCHITECTURES, Architecture
from regard.testing import (
    building,
    copying,
    dropout,
    inference,
    liveliness,
    precision,
    recorded_attention,
    searching,
    shortlists,
    sources,
    stepping,
)
from regard.testing.assertions import InconclusiveError
from regard.testing.case import Case, preset_values
from regard.testing.law import Law

MODULES = (
    building,
    liveliness,
    sources,
    stepping,
    recorded_attention,
    copying,
    searching,
    shortlists,
    inference,
    dropout,
    precision,
)
LAWS: tuple[Law, ...] = tuple(value for module in MODULES for value in vars(module).values() if isinstance(value, Law))
"""All laws, those that a new architecture is most likely to break first."""

LONG_LAWS = frozenset(law for law in LAWS if law.check.__module__ in (dropout.__name__, precision.__name__))
NOISES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)  # on matrices; the smallest at which predictions are confident is used
EMBEDDING_NOISES = (1.0, 0.5)
LONG_NOISES = (0.3, 0.5, 1.0, 2.0)  # small, so that rounding errors do not grow
LONG_EMBEDDING_NOISES = (0.1, 1.0)
SEEDS = range(1, 9)
MAX_CASES = 8  # that a law may call inconclusive
MAX_LAYERS = 2  # of a preset
ERRORS = 8.0  # how many times the effect of rounded weights an error in float32 may be; it is up to 4 times that large
MAX_TOLERANCE = 1e-3  # of a case that is sensitive to rounding; 0.4 times what each target token changes at least


def check_architecture(
    architecture: str | Architecture,
    config: ModelConfig | None = None,
    *,
    laws: Sequence[Law] = LAWS,
    tolerance: float = 5e-6,
) -> None:
    """Check that an architecture obeys the laws that search, training and checkpoints rely on.

    The models are as small as `config` makes them: with sizes of 8 to 32 and 2 layers, all laws take a few seconds.
    Noise is added to their weights until predictions are confident, and dropout is 0 except in the law of dropout.

    Args:
        architecture: The architecture, or its name in recipes.
        config: Its settings. Default: its preset `tiny`, or the first one if there is no `tiny`, with 2 layers.
        laws: The laws to check. Default: all.
        tolerance: The largest error in float32, relative to the largest value. Where rounding the weights to float32
            has a larger effect on float64 outputs than an eighth of it, the error may be eight times that effect.

    Raises:
        AssertionError: The architecture breaks a law. For each broken law the message has the position and size of the
            difference, and what it means. If no weights give confident predictions, laws that need them are not
            checked, and the message says so.
    """
    spec = ARCHITECTURES[architecture] if isinstance(architecture, str) else architecture
    sizes = _smallest_sizes(spec) if config is None else config.model_dump()
    sizes = {name: value for name, value in sizes.items() if "dropout" not in name}
    name = str(sizes["architecture"])
    short, long = (
        _Candidates(
            [
                Case(architecture, sizes, noise, seed, embedding_noise, tolerance)
                for noise, embedding_noise, seed in product(noises, embedding_noises, SEEDS)
            ],
            precondition,
        )
        for noises, embedding_noises, precondition in (
            (NOISES, EMBEDDING_NOISES, liveliness.outputs_depend_on_source_and_prefix),
            (LONG_NOISES, LONG_EMBEDDING_NOISES, precision.long_outputs_depend_on_source_and_prefix),
        )
    )
    broken: dict[str, str] = {}
    unchecked = 0
    for law in laws:
        try:
            (long if law in LONG_LAWS else short).check(law)
        except _NoCaseError as error:
            broken[error.precondition.name] = str(error)
            unchecked += law is not error.precondition
        except AssertionError as error:
            broken[law.name] = str(error)
    if broken:
        summary = f"{name} breaks {', '.join(broken)}"
        if unchecked:
            summary += f"; {unchecked} of {len(laws)} laws could not be checked for that reason"
        raise AssertionError("\n\n".join([summary, *broken.values()] if len(laws) > 1 else broken.values()))


def _smallest_sizes(spec: Architecture) -> dict[str, Any]:
    """Return the settings of the preset `tiny`, or of the first one, with at most MAX_LAYERS layers."""
    return {
        name: min(value, MAX_LAYERS) if name.endswith("layers") and isinstance(value, int) else value
        for name, value in preset_values(spec, "tiny").items()
    }


class _NoCaseError(AssertionError):
    """No case meets a precondition."""

    def __init__(self, precondition: Law, message: str) -> None:
        super().__init__(message)
        self.precondition = precondition


class _Candidates:
    """Cases of an architecture with various noises and seeds.

    Args:
        cases: The cases, to try in this order.
        precondition: The law that makes a case worth checking.
    """

    def __init__(self, cases: Sequence[Case], precondition: Law) -> None:
        self._first, self._untried, self._precondition = cases[0], iter(cases), precondition
        self._lively: list[Case] = []
        self._problem = InconclusiveError("", -1)  # of the case that came closest

    def check(self, law: Law) -> None:
        """Check a law with the first case that can show it.

        If a case is sensitive to rounding, the tolerance in float32 is ERRORS times its sensitivity.

        Raises:
            AssertionError: The law is broken, or inconclusive in MAX_CASES cases.
            _NoCaseError: No case meets the precondition.
        """
        if law.any_weights:
            return law(self._first)
        problem: InconclusiveError | None = None
        for case in islice(self._find(), MAX_CASES):
            try:
                return law(case)
            except InconclusiveError as error:
                problem = problem or error
            except AssertionError:
                tolerance = ERRORS * precision.sensitivity(case) if law.float32 else 0.0
                if not case.tolerance < tolerance < MAX_TOLERANCE:
                    raise
                return law(replace(case, tolerance=tolerance))
        raise problem or _NoCaseError(self._precondition, str(self._problem))

    def _find(self) -> Iterator[Case]:
        """Yield the cases that meet the precondition. Each case is tried once."""
        yield from self._lively
        for case in self._untried:
            try:
                self._precondition(case)
            except InconclusiveError as error:
                self._problem = max(self._problem, error, key=lambda problem: problem.passed)
            else:
                self._lively.append(case)
                yield case
