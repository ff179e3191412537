"""What the laws take for granted: every architecture is held to them, by a model that could break them."""

from __future__ import annotations

from tests.laws.conftest import CASES
from torch import Tensor

from regard.contract import Seq2Seq
from regard.decoding.beam import beam_search
from regard.decoding.length_penalty import gnmt
from regard.models import ARCHITECTURES


def test_every_architecture_is_held_to_the_laws() -> None:
    assert {name.split("/")[0] for name in CASES} == set(ARCHITECTURES)


def test_the_weights_are_lively(model: Seq2Seq, sources: Tensor, targets: Tensor) -> None:
    """Near-uniform predictions would keep every other law here."""
    probabilities = model(sources, targets).softmax(-1)  # (B, T, V)
    assert probabilities.amax(-1).mean() > 0.5
    assert probabilities.std(1).amax(-1).min() > 0.05  # over positions
    same_prefix = model(sources, targets[:1].expand_as(targets)).softmax(-1)
    assert same_prefix.std(0).amax(-1).min() > 0.01  # over sources


def test_search_ends_by_eos_and_by_the_limit(model: Seq2Seq, sources: Tensor) -> None:
    hypotheses_ = beam_search(
        model.decoder, model.encode(sources), [9, 4, 7, 12], beam_size=3, top_beams=3, penalty=gnmt(0.6)
    )
    assert {hypothesis.finished for hypotheses in hypotheses_ for hypothesis in hypotheses} == {True, False}
