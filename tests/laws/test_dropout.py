"""Dropout acts where the docstring of each architecture says, and nowhere else: `check_dropout_places`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from regard.models import ARCHITECTURES
from regard.testing import Case, Place, check_dropout_places
from regard.testing.dropout import (
    SOURCES,
    TARGETS,
    build_with_dropout,
    dropout_acts_only_in_training,
    is_close,
    record_dropout,
    without,
)
from regard.testing.law import without_kernels

STEPS = TARGETS.shape[1]


@dataclass(frozen=True)
class Expected:
    """A case and its places of dropout, in the order of application."""

    case: Case
    places: Sequence[Place]


def layers(number: int, *patterns: str) -> list[Place]:
    """Return the places of each layer in turn; `#` in a pattern stands for the number of the layer."""
    return [Place(pattern.replace("#", str(layer))) for layer in range(number) for pattern in patterns]


SOURCE, TARGET = Place("encoder.embedding.*"), Place("decoder.embedding.*")
OUTPUT = Place("decoder.output.weight")  # reads the features before the logits

LUONG = {"num_layers": 2, "hidden_size": 12, "embedding_size": 10, "attention": "global", "score": "general"}
LUONG_ENCODER = [SOURCE, Place("encoder.stack.layers.1.weight_ih_l0"), TARGET]
LUONG_STEP = [Place("decoder.stack.layers.1.weight_ih_l0"), Place("decoder.combine.weight")]
GNMT = {"encoder_layers": 3, "decoder_layers": 4, "hidden_size": 12, "embedding_size": 10, "attention_size": 8}
TRANSFORMER = {"hidden_size": 32, "ffn_size": 48, "num_heads": 2, "encoder_layers": 2, "decoder_layers": 2}
TRANSFORMER_PLACES = [
    SOURCE,
    *layers(2, "encoder.layers.#.attention.output.*", "encoder.layers.#.ff.2.*"),
    TARGET,
    *layers(2, *(f"decoder.layers.#.{part}.*" for part in ("attention.output", "source_attention.output", "ff.2"))),
]


def modern_places(history: str) -> list[Place]:
    """Return the places of `modern`; `history` is the layer that reads the target so far."""
    return [
        SOURCE,
        *layers(2, "encoder.layers.#.attention.output.*", "encoder.layers.#.ff.output.*"),
        TARGET,
        *layers(2, *(f"decoder.layers.#.{part}.*" for part in (history, "source_attention.output", "ff.output"))),
    ]


# Keys are `architecture` or `architecture/variant`.
EXPECTED: dict[str, Expected] = {
    "bahdanau2014": Expected(
        Case("bahdanau2014", {"hidden_size": 12, "embedding_size": 10, "attention_size": 8, "maxout_size": 7}),
        [SOURCE, TARGET, OUTPUT],
    ),
    "bytenet2016": Expected(
        Case("bytenet2016", {"hidden_size": 8, "encoder_layers": 3, "decoder_layers": 2}, noise=0.5),
        [
            SOURCE,
            *layers(3, "encoder.blocks.#.widen.*"),
            TARGET,
            *layers(2, "decoder.blocks.#.widen.*"),
            OUTPUT,
        ],
    ),
    "cho2014": Expected(
        Case("cho2014", {"hidden_size": 12, "embedding_size": 10, "maxout_size": 7}),
        [SOURCE, TARGET, Place("decoder.out_rank.weight")],
    ),
    "convs2s2017": Expected(
        Case(
            "convs2s2017",
            {
                "embedding_size": 12,
                "encoder_convolutions": ((10, 3), (14, 1)),
                "decoder_convolutions": ((10, 3), (14, 2)),
                "max_positions": 4,
            },
        ),
        [
            SOURCE,
            *layers(2, "encoder.blocks.#.convolution.linear.magnitude"),
            TARGET,
            *layers(2, "decoder.blocks.#.convolution.linear.magnitude"),
            Place("decoder.output.magnitude"),
        ],
    ),
    "gnmt2016": Expected(
        Case("gnmt2016", GNMT),
        [
            SOURCE,
            *layers(2, "encoder.layers.#.weight_ih_l0"),
            TARGET,
            *STEPS * [Place("decoder.bottom.weight_ih_l0", first=10)],  # the context after the word
            *layers(3, "decoder.layers.#.weight_ih_l0"),
            OUTPUT,
        ],
    ),
    "luong2015": Expected(Case("luong2015", {**LUONG, "input_feeding": False}), [*LUONG_ENCODER, *LUONG_STEP]),
    "luong2015/feeding": Expected(Case("luong2015", LUONG), [*LUONG_ENCODER, *STEPS * LUONG_STEP]),
    "modern": Expected(Case("modern", TRANSFORMER), modern_places("past.output")),
    "modern/ssru": Expected(Case("modern", {**TRANSFORMER, "decoder": "ssru"}), modern_places("past.input")),
    "sutskever2014": Expected(
        Case("sutskever2014", {"num_layers": 3, "hidden_size": 12, "embedding_size": 10}),
        [
            SOURCE,
            *(Place(f"encoder.stack.layers.{layer}.weight_ih_l0") for layer in (1, 2)),
            TARGET,
            *(Place(f"decoder.stack.layers.{layer}.weight_ih_l0") for layer in (1, 2)),
            OUTPUT,
        ],
    ),
    "transformer2017": Expected(Case("transformer2017", TRANSFORMER, noise=0.5), TRANSFORMER_PLACES),
    "transformer2017/odd": Expected(
        Case("transformer2017", {**TRANSFORMER, "hidden_size": 34}, noise=0.5), TRANSFORMER_PLACES
    ),
}


def test_every_architecture_has_an_expectation() -> None:
    assert {name.split("/")[0] for name in EXPECTED} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", EXPECTED)
def test_dropout_acts_only_at_its_places(name: str) -> None:
    check_dropout_places(EXPECTED[name].case, EXPECTED[name].places)
    with without_kernels():
        check_dropout_places(EXPECTED[name].case, EXPECTED[name].places)


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_dropped_in_evaluation(name: str) -> None:
    dropout_acts_only_in_training(EXPECTED[name].case)


@pytest.mark.parametrize("kernels", [True, False])
def test_input_feeding_feeds_the_vector_after_dropout(kernels: bool) -> None:
    """When the attentional vector of the first step is dropped, the second step is fed zeros."""
    model, places = build_with_dropout(EXPECTED["luong2015/feeding"].case), EXPECTED["luong2015/feeding"].places
    first = places.index(LUONG_STEP[1])
    with nullcontext() if kernels else without_kernels(), record_dropout() as recorder:
        actual = recorder.run(model, [number == first for number in range(len(places))])
    without_feeding = without(model, Place("decoder.stack.layers.0.weight_ih_l0", first=10))
    expected = without_feeding.eval()(SOURCES, TARGETS)
    assert actual[:, 0].eq(0).all()
    assert is_close(actual[:, 1], expected[:, 1])
    assert not is_close(actual[:, 2], expected[:, 2])
