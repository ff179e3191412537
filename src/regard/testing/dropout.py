"""Laws of dropout: it acts in training, at the places that are documented, and nowhere in evaluation.

Dropping every value at a place has the same effect as zeroing the weights that produce or consume these values. A place
is therefore identified by its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain
from unittest import mock

import torch
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.nn.dropout import LEVELS, Dropout
from regard.nn.kernels.autograd import DropoutDraw
from regard.nn.output_layer import TiedLinear
from regard.testing.assertions import TARGET, assert_close, require
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import as_batch

PROBABILITY = 0.5
SOURCES = as_batch([[4, 5, 2], [8, 7, 3, 3, 6, 2], [2]])
TARGETS = torch.tensor([[1, 4, 5], [1, 3, 6], [1, 7, 4]])


@dataclass(frozen=True)
class Place:
    """Weights (..., inputs) to zero: a pattern of parameter and buffer names, and the first column to zero."""

    weights: str
    first: int = 0


def build_with_dropout(case: Case) -> Seq2Seq:
    """Return the model of a case in float32, with dropout, and with output weights that are tied to no embedding."""
    model = case.build(dropout=PROBABILITY).float()
    output = getattr(model.decoder, "output", None)
    if isinstance(output, TiedLinear):  # give it separate weights, so that only the embedding can be zeroed
        weights = nn.Embedding.from_pretrained(output.weight.detach().clone(), freeze=False)
        model.decoder.output = TiedLinear(weights)
    return model


def without(model: Seq2Seq, place: Place) -> Seq2Seq:
    """Return a copy of the model in which the weights of the place are zero."""
    changed = copy.deepcopy(model)
    matching = [
        tensor
        for key, tensor in chain(changed.named_parameters(), changed.named_buffers())
        if fnmatchcase(key, place.weights)
    ]
    require(bool(matching), f"no weights match {place.weights!r}")
    with torch.no_grad():
        for tensor in matching:
            tensor[..., place.first :] = 0
    return changed


@dataclass
class DropoutRecorder:
    """Replaces dropout: in training, the chosen applications drop everything and all others drop nothing.

    Attributes:
        chosen: Whether each application of dropout, in order, drops everything.
        applied: The modules whose dropout was applied, in order.
    """

    chosen: Sequence[bool] = ()
    applied: list[Dropout] = field(default_factory=list)

    def run(self, model: Seq2Seq, chosen: Sequence[bool]) -> Tensor:
        """Return the logits in training mode; each chosen application of dropout drops everything.

        Raises:
            AssertionError: Dropout is not applied as often as `chosen` is long.
        """
        self.chosen = chosen
        self.applied.clear()
        logits: Tensor = model.train()(SOURCES, TARGETS)
        require(
            len(self.applied) == len(chosen), f"dropout is applied {len(self.applied)} times instead of {len(chosen)}"
        )
        return logits

    def drops(self, module: Dropout) -> bool:
        """Count one application and return whether it drops everything."""
        if not module.training:
            return False
        require(module.p == PROBABILITY, f"the probability of a dropout is {module.p} instead of {PROBABILITY}")
        self.applied.append(module)
        return len(self.applied) <= len(self.chosen) and self.chosen[len(self.applied) - 1]


@contextmanager
def record_dropout() -> Iterator[DropoutRecorder]:
    """Replace the dropout of regard.nn inside the context."""
    recorder = DropoutRecorder()

    def forward(module: Dropout, x: Tensor) -> Tensor:
        return x * (0 if recorder.drops(module) else 1)

    def draw(module: Dropout) -> DropoutDraw:
        return DropoutDraw(LEVELS if recorder.drops(module) else 0, 1.0, 0)

    with mock.patch.object(Dropout, "forward", forward), mock.patch.object(Dropout, "draw", draw):
        yield recorder


def is_close(actual: Tensor, expected: Tensor) -> bool:
    """Return whether logits in float32 are the same but for rounding."""
    return torch.allclose(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def check_dropout_places(case: Case, places: Sequence[Place]) -> None:
    """Check that dropout acts at the given places, in their order, and nowhere else.

    Args:
        case: The architecture.
        places: The places of dropout, in the order of application. A place that is applied at each step is repeated.

    Raises:
        AssertionError: Dropout acts elsewhere, or not at one of the places. The message names the place.
    """
    model = build_with_dropout(case)
    plain = model.eval()(SOURCES, TARGETS)
    for place in dict.fromkeys(places):
        with record_dropout() as recorder:
            actual = recorder.run(model, [candidate == place for candidate in places])
        expected = without(model, place).eval()(SOURCES, TARGETS)
        require(is_close(actual, expected), f"dropping everything at {place} is not zeroing its weights")
        require(not is_close(plain, expected), f"dropping everything at {place} has no effect")


@law("translations are random, or training is not regularized", float32=True)
def dropout_acts_only_in_training(case: Case) -> None:
    """In eval mode the dropout of the settings has no effect; in training mode it changes the logits.

    Nothing is checked if no setting has `dropout` in its name.
    """
    if not any("dropout" in name for name, _ in case.config()):
        return
    model = case.build(dropout=PROBABILITY).float()
    plain = case.build(dropout=0.0).float()
    plain.load_state_dict(model.state_dict())  # the initial weights may depend on dropout
    expected = plain(SOURCES, TARGETS).detach()
    atol = 1e-5 * float(expected.abs().max())
    names = "the logits in eval mode with and without dropout"
    assert_close(model(SOURCES, TARGETS), expected, names, TARGET, rtol=0, atol=atol)
    model.train()
    with torch.random.fork_rng(devices=[]):
        first, second = (_seeded(model, seed) for seed in (1, 2))
    require(not is_close(first, expected), "the logits in training mode are those in eval mode: dropout never acts")
    require(not is_close(first, second), "dropout drops the same values for every seed")
    with record_dropout() as recorder:
        model(SOURCES, TARGETS)
    modules = [(name, module) for name, module in model.named_modules() if isinstance(module, Dropout)]
    unused = [name for name, module in modules if not any(module is applied for applied in recorder.applied)]
    require(not unused, f"dropout is never applied at {', '.join(unused)}")


def _seeded(model: Seq2Seq, seed: int) -> Tensor:
    torch.manual_seed(seed)
    logits: Tensor = model(SOURCES, TARGETS)
    return logits
