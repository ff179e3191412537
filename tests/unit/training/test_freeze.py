"""Frozen parameters do not change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.laws.cases import CASES
from tests.unit.training.toy import model, pairs, resumed, same, settings, trainer, weights

from regard.contract import Seq2Seq, VocabularySizes
from regard.data.loader import BatchSize, Loader
from regard.errors import ConfigError
from regard.models import ARCHITECTURES
from regard.training.freeze import freeze
from regard.training.step import TrainStep

TABLE = "encoder.embedding.table.weight"


def small(name: str) -> Seq2Seq:
    case = CASES[name]
    architecture = ARCHITECTURES[name.split("/")[0]]
    config = architecture.config(**{**architecture.presets["small"]().model_dump(), "dropout": 0.0, **case.sizes})
    torch.manual_seed(1)
    return architecture.build(config, VocabularySizes(9, 9, joint=True))


@pytest.mark.parametrize(
    ("names", "optimizer"),
    [(("encoder",), "muon"), (("decoder",), "adam"), (("*.embedding.*", "decoder.embedding"), "adadelta")],
    ids=str,
)
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_architecture_with_a_frozen_part(name: str, names: tuple[str, ...], optimizer: str) -> None:
    net = small(name)
    messages = freeze(net, names)
    before = weights(net)
    train_step = TrainStep(net, settings(optimizer=optimizer, weight_decay=0.1, freeze=names))
    batches = iter(Loader(pairs(), BatchSize(40), 1))
    for _ in range(3):
        assert train_step.run([next(batches)], 1.0).is_finite
    after = weights(net)
    moved = {path for path in after if not torch.equal(after[path], before[path])}
    trained = {path for path, parameter in net.named_parameters() if parameter.requires_grad}
    assert moved <= trained
    assert len(moved) > len(trained) / 2
    assert all(parameter.grad is None for parameter in net.parameters() if not parameter.requires_grad)
    groups = [group for part in train_step.optimizers.parts for group in part.param_groups]
    optimized = {id(parameter) for group in groups for parameter in group["params"]}
    assert optimized == {id(parameter) for parameter in net.parameters() if parameter.requires_grad}
    count = sum(parameter.numel() for path, parameter in net.named_parameters() if path in trained)
    assert f"{count:,} are trained" in messages[0]


def test_everything_but_the_output_layer_can_be_frozen() -> None:
    net = small("bahdanau2014")
    frozen = {f"decoder.{path.split('.')[0]}" for path, _ in net.decoder.named_parameters()} - {"decoder.output"}
    freeze(net, ["encoder", *frozen])
    before = weights(net)
    TrainStep(net, settings(optimizer="muon")).run([next(iter(Loader(pairs(), BatchSize(40), 1)))], 1.0)
    after = weights(net)
    assert {path for path in after if not torch.equal(after[path], before[path])} == {
        "decoder.output.weight",
        "decoder.output.bias",
    }


@pytest.mark.parametrize("average", [{"average_checkpoints": 3}, {"average_decay": 0.7}], ids=str)
def test_frozen_weights_stay_in_averages_checkpoints_and_after_resuming(average: dict[str, Any]) -> None:
    config = settings(max_steps=9, weight_decay=0.1, freeze=["encoder"], **average)
    run, seen = trainer(config)
    before = {name: tensor for name, tensor in weights(run.model).items() if name.startswith("encoder")}
    run.run()
    for saved in [*seen.saved_weights, weights(run.model)]:
        assert same({name: saved[name] for name in before}, before)
    again, parts = resumed(config, seen.saved[0])
    again.run()
    assert same(weights(again.model), weights(run.model))
    assert same(parts.saved_weights[-1], seen.saved_weights[-1])


def test_a_shared_matrix_is_reported() -> None:
    messages = freeze(model(), ["decoder.embedding"])
    assert messages[1:] == [
        f"frozen: {TABLE} too, which is the same matrix as decoder.embedding.table.weight",
        "frozen: decoder.output.weight too, which is the same matrix as decoder.embedding.table.weight",
    ]
    assert freeze(model(), ["*.table.weight"])[1:] == [
        "frozen: decoder.output.weight too, which is the same matrix as decoder.embedding.table.weight"
    ]
    assert len(freeze(model(), ["encoder.layers"])) == 1
    assert freeze(model(), []) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["encodr"], "did you mean encoder"),
        (["encoder", "decoder.embeding"], r"did you mean .*decoder\.embedding"),
        (["encoder.layers.0.attention.nothing"], r"did you mean .*encoder\.layers\.0\.attention"),
        (["*.zzz"], "name a part such as encoder"),
        (["decoder.output"], "tied to an embedding"),
        (["enc"], "no part of the model"),
        (["encoder", "decoder"], "nothing is left to train"),
        (["*"], "nothing is left to train"),
    ],
)
def test_a_name_that_matches_nothing_or_everything_is_an_error(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze(model(), names)
