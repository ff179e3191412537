"""Preconditions of the laws: every architecture is tested, with models that are able to fail."""

from __future__ import annotations

from tests.laws.conftest import CASES
from torch import Tensor

from regard.contract import Seq2Seq
from regard.decoding.beam import beam_search
from regard.decoding.length_penalty import gnmt
from regard.models import ARCHITECTURES


def test_every_architecture_is_tested() -> None:
    assert {name.split("/")[0] for name in CASES} == set(ARCHITECTURES)


def test_the_weights_are_lively(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    """Near-uniform predictions would pass every other test."""
    probabilities = model(sources, targets).softmax(-1)  # (B, T, V)
    assert probabilities.amax(-1).mean() > 0.5
    assert probabilities.std(1).amax(-1).min() > 0.05  # across positions
    same_prefix = model(sources, targets[:1].expand_as(targets)).softmax(-1)
    assert same_prefix.std(0).amax(-1).min() > 0.01  # across sources


def test_search_ends_with_eos_and_at_the_limit(model: Seq2Seq, sources: Tensor) -> None:
    beams = beam_search(
        model.decoder, model.encode(sources), [9, 4, 7, 12], beam_size=3, top_beams=3, penalty=gnmt(0.6)
    )
    assert {hypothesis.finished for beam in beams for hypothesis in beam} == {True, False}
