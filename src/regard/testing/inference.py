"""Laws of models prepared for inference: frozen, in 8 bits, or restricted to a subset of the output tokens."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import NoReturn
from unittest import mock

import torch

from regard.contract import Decoder, Seq2Seq
from regard.nn import inference, int8
from regard.nn.copying import CopyingOutput
from regard.nn.inference import freeze_for_inference
from regard.nn.int8 import NativeLinear, OneDnnLinear
from regard.testing.assertions import TARGET, assert_close, require, require_lively
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS


@law("the model that translates is not the one that was trained")
def freezing_changes_no_output(case: Case) -> None:
    """freeze_for_inference returns a model with the same logits that shares weights with the given one."""
    model = case.model()
    frozen = freeze_for_inference(model)
    names = "the logits of the frozen and of the given model"
    assert_close(frozen(SOURCES, TARGETS), model(SOURCES, TARGETS), names, TARGET)
    shared = {id(parameter) for parameter in model.parameters()}
    require(any(id(parameter) in shared for parameter in frozen.parameters()), "the frozen model copies all weights")


def freeze_in_8_bits(model: Seq2Seq) -> Seq2Seq:
    """Return a frozen model whose linear layers are all in 8 bits, even the small ones."""
    with mock.patch.object(inference, "is_worthwhile", lambda weight: True):
        return freeze_for_inference(model, int8=True)


def has_8_bit_layers(model: Seq2Seq) -> bool:
    """Return whether the decoder has a layer in 8 bits."""
    return any(isinstance(module, (NativeLinear, OneDnnLinear)) for module in model.decoder.modules())


@law("translation with --int8 is bad, or changes the model in memory")
def int8_is_close_and_leaves_the_model_unchanged(case: Case) -> None:
    """In 8 bits, logits are close to those of float32, and the given model does not change.

    Nothing is checked where 8-bit products are not available, or if the decoder has no torch.nn.Linear.
    """
    if not int8.available():
        return
    model = case.model().float()
    before = copy.deepcopy(model.state_dict())
    exact = model(SOURCES, TARGETS)
    frozen = freeze_in_8_bits(model)
    if not has_8_bit_layers(frozen):
        return
    actual = frozen(SOURCES, TARGETS)
    error, spread = float((actual - exact).square().mean().sqrt()), float(exact.std())
    if error >= 0.3 * spread:
        message = f"the mean error of logits in 8 bits is {error:.3g}; their spread is {spread:.3g}"
        change = float((_perturbed(model)(SOURCES, TARGETS) - exact).square().mean().sqrt())
        require_lively(change < 0.15 * spread, f"{message}, but the model is as sensitive to noise in float32")
        raise AssertionError(message)
    require(not actual.equal(exact), "logits in 8 bits are those of float32: no product is computed in 8 bits")
    for name, parameter in model.state_dict().items():
        require(torch.equal(parameter, before[name]), f"{name} of the given model has changed")
    names = "the logits of the given model after and before freezing"
    assert_close(model(SOURCES, TARGETS), exact, names, TARGET, rtol=0, atol=0)


@law("search with a shortlist is wrong, or no faster than without one")
def a_readout_subset_computes_only_its_logits(case: Case) -> None:
    """readout_subset returns the logits of its tokens, also in 8 bits.

    If a decoder overrides it, it does not compute the logits of other tokens, unless it copies source tokens.
    """
    models = [("", case.model(14))]
    if int8.available():
        models.append((" in 8 bits", freeze_in_8_bits(case.model(14).float())))
    for mode, model in models:
        features = model.features(SOURCES, TARGETS).features
        tokens = torch.tensor([0, 2, 3, 8, 13])
        expected = model.decoder.readout(features)[..., tokens]
        decoder = type(model.decoder)
        needs_all = isinstance(getattr(model.decoder, "output", None), CopyingOutput)
        needs_all = needs_all or decoder.readout_subset is Decoder.readout_subset
        with nullcontext() if needs_all else mock.patch.object(decoder, "readout", _fail):
            actual = model.decoder.readout_subset(tokens)(features)
        assert_close(actual, expected, f"the logits of readout_subset and of readout{mode}", TARGET)


def _perturbed(model: Seq2Seq) -> Seq2Seq:
    """Return a copy with noise on its matrices: a 254th of their largest value, the rounding error of 8 bits."""
    perturbed, generator = copy.deepcopy(model), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in perturbed.parameters():
            if parameter.dim() > 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * parameter.abs().max() / 254)
    return perturbed


def _fail(*_: object) -> NoReturn:
    raise AssertionError("readout_subset computes the logits of all tokens")
