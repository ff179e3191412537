"""Laws of dropout: it acts where the docstring of each architecture says, and nowhere else.

Dropping every value at a place has the same effect as zeroing the weights that produce or consume these values. The
tests therefore identify a place by its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

import pytest
import torch
from tests.doubles import as_batch
from tests.laws.conftest import Case, build_case
from torch import Tensor, nn

from regard.contract import Seq2Seq
from regard.models import ARCHITECTURES
from regard.nn.dropout import LEVELS, Dropout
from regard.nn.kernels.autograd import DropoutDraw
from regard.nn.output_layer import TiedLinear

P = 0.5
STEPS = 3
SOURCES = as_batch([[4, 5, 2], [8, 7, 3, 3, 6, 2], [2]])
TARGETS = torch.tensor([[1, 4, 5], [1, 3, 6], [1, 7, 4]])


@dataclass(frozen=True)
class Place:
    """Weights (..., inputs) to zero: a pattern of parameter and buffer names, and the first column to zero."""

    weights: str
    first: int = 0


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
        Case({"hidden_size": 12, "embedding_size": 10, "attention_size": 8, "maxout_size": 7}), [SOURCE, TARGET, OUTPUT]
    ),
    "bytenet2016": Expected(
        Case({"hidden_size": 8, "encoder_layers": 3, "decoder_layers": 2}, noise=0.5),
        [
            SOURCE,
            *layers(3, "encoder.blocks.#.widen.*"),
            TARGET,
            *layers(2, "decoder.blocks.#.widen.*"),
            OUTPUT,
        ],
    ),
    "cho2014": Expected(
        Case({"hidden_size": 12, "embedding_size": 10, "maxout_size": 7}),
        [SOURCE, TARGET, Place("decoder.out_rank.weight")],
    ),
    "convs2s2017": Expected(
        Case(
            {
                "embedding_size": 12,
                "encoder_convolutions": ((10, 3), (14, 1)),
                "decoder_convolutions": ((10, 3), (14, 2)),
                "max_positions": 4,
            }
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
        Case(GNMT),
        [
            SOURCE,
            *layers(2, "encoder.layers.#.weight_ih_l0"),
            TARGET,
            *STEPS * [Place("decoder.bottom.weight_ih_l0", first=10)],  # the context after the word
            *layers(3, "decoder.layers.#.weight_ih_l0"),
            OUTPUT,
        ],
    ),
    "luong2015": Expected(Case({**LUONG, "input_feeding": False}), [*LUONG_ENCODER, *LUONG_STEP]),
    "luong2015/feeding": Expected(Case(LUONG), [*LUONG_ENCODER, *STEPS * LUONG_STEP]),
    "modern": Expected(Case(TRANSFORMER), modern_places("past.output")),
    "modern/ssru": Expected(Case({**TRANSFORMER, "decoder": "ssru"}), modern_places("past.input")),
    "sutskever2014": Expected(
        Case({"num_layers": 3, "hidden_size": 12, "embedding_size": 10}),
        [
            SOURCE,
            *(Place(f"encoder.stack.layers.{layer}.weight_ih_l0") for layer in (1, 2)),
            TARGET,
            *(Place(f"decoder.stack.layers.{layer}.weight_ih_l0") for layer in (1, 2)),
            OUTPUT,
        ],
    ),
    "transformer2017": Expected(Case(TRANSFORMER, noise=0.5), TRANSFORMER_PLACES),
    "transformer2017/odd": Expected(Case({**TRANSFORMER, "hidden_size": 34}, noise=0.5), TRANSFORMER_PLACES),
}


def build_model(name: str) -> Seq2Seq:
    """Build the model of an expectation, in float32, with dropout and untied output weights."""
    case = EXPECTED[name].case
    model = build_case(name.split("/")[0], Case({**case.sizes, "dropout": P}, case.noise), 8).float()
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
    assert matching, place
    with torch.no_grad():
        for tensor in matching:
            tensor[..., place.first :] = 0
    return changed


class Recorder:
    """Replaces dropout: in training, the chosen applications drop everything and all others drop nothing."""

    def __init__(self) -> None:
        self.chosen: list[bool] = []
        self.count = 0

    def run(self, model: Seq2Seq, chosen: Sequence[bool]) -> Tensor:
        """Return the logits in training mode; each chosen application of dropout drops everything."""
        self.chosen, self.count = list(chosen), 0
        logits: Tensor = model.train()(SOURCES, TARGETS)
        assert self.count == len(chosen)
        return logits

    def drops(self, module: Dropout) -> bool:
        """Count one application and return whether it drops everything."""
        if not module.training:
            return False
        assert module.p == P
        self.count += 1
        return self.count <= len(self.chosen) and self.chosen[self.count - 1]

    def forward(self, module: Dropout, x: Tensor) -> Tensor:
        return x * (0 if self.drops(module) else 1)

    def draw(self, module: Dropout) -> DropoutDraw:
        return DropoutDraw(LEVELS if self.drops(module) else 0, 1.0, 0)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder_ = Recorder()
    monkeypatch.setattr(Dropout, "forward", lambda module, x: recorder_.forward(module, x))
    monkeypatch.setattr(Dropout, "draw", lambda module: recorder_.draw(module))
    return recorder_


def test_every_architecture_has_an_expectation() -> None:
    assert {name.split("/")[0] for name in EXPECTED} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", EXPECTED)
def test_dropout_acts_only_at_its_places(name: str, kernels: bool, recorder: Recorder) -> None:
    model, places = build_model(name), EXPECTED[name].places
    plain = model.eval()(SOURCES, TARGETS)
    for place in dict.fromkeys(places):
        actual = recorder.run(model, [candidate == place for candidate in places])
        expected = without(model, place).eval()(SOURCES, TARGETS)
        assert is_close(actual, expected), place
        assert not is_close(plain, expected), place


def is_close(actual: Tensor, expected: Tensor) -> bool:
    return torch.allclose(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_dropped_in_evaluation(name: str, kernels: bool) -> None:
    model = build_model(name).eval()
    actual = model(SOURCES, TARGETS)
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = 0.0
    assert is_close(actual, model(SOURCES, TARGETS))


def test_input_feeding_feeds_the_vector_after_dropout(kernels: bool, recorder: Recorder) -> None:
    """When the attentional vector of the first step is dropped, the second step is fed zeros."""
    model, places = build_model("luong2015/feeding"), EXPECTED["luong2015/feeding"].places
    first = places.index(LUONG_STEP[1])
    actual = recorder.run(model, [number == first for number in range(len(places))])
    without_feeding = without(model, Place("decoder.stack.layers.0.weight_ih_l0", first=10))
    expected = without_feeding.eval()(SOURCES, TARGETS)
    assert actual[:, 0].eq(0).all()
    assert is_close(actual[:, 1], expected[:, 1])
    assert not is_close(actual[:, 2], expected[:, 2])
