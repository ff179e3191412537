"""What is frozen stays, bit for bit, whatever is trained around it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.laws.conftest import CASES
from tests.unit.training.toy import model, pairs, resumed, same, settings, trainer, weights

from regard.contract import Seq2Seq, VocabularySizes
from regard.data.loader import Loader
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
def test_every_system_with_a_part_frozen(name: str, names: tuple[str, ...], optimizer: str) -> None:
    one = small(name)
    told = freeze(one, names)
    before = weights(one)
    train_step = TrainStep(one, settings(optimizer=optimizer, weight_decay=0.1, freeze=names))
    batches = iter(Loader(pairs(), 40, 1))
    for _ in range(3):
        assert train_step.run([next(batches)], 1.0).is_finite
    after = weights(one)
    moved = {path for path in after if not torch.equal(after[path], before[path])}
    trained = {path for path, parameter in one.named_parameters() if parameter.requires_grad}
    assert moved <= trained
    assert len(moved) > len(trained) / 2
    assert all(parameter.grad is None for parameter in one.parameters() if not parameter.requires_grad)
    groups = [group for part in train_step.optimizers.parts for group in part.param_groups]
    kept = {id(parameter) for group in groups for parameter in group["params"]}
    assert kept == {id(parameter) for parameter in one.parameters() if parameter.requires_grad}
    count = sum(parameter.numel() for path, parameter in one.named_parameters() if path in trained)
    assert f"{count:,} are trained" in told[0]


def test_all_but_the_output_layer() -> None:
    one = small("bahdanau2014")
    others = {f"decoder.{path.split('.')[0]}" for path, _ in one.decoder.named_parameters()} - {"decoder.output"}
    freeze(one, ["encoder", *others])
    before = weights(one)
    TrainStep(one, settings(optimizer="muon")).run([next(iter(Loader(pairs(), 40, 1)))], 1.0)
    after = weights(one)
    assert {path for path in after if not torch.equal(after[path], before[path])} == {
        "decoder.output.weight",
        "decoder.output.bias",
    }


@pytest.mark.parametrize("average", [{"average_checkpoints": 3}, {"average_decay": 0.7}], ids=str)
def test_through_means_checkpoints_and_a_resume(average: dict[str, Any]) -> None:
    config = settings(max_steps=9, weight_decay=0.1, freeze=["encoder"], **average)
    run, seen = trainer(config)
    before = {name: tensor for name, tensor in weights(run.model).items() if name.startswith("encoder")}
    run.run()
    for kept in [*seen.kept, weights(run.model)]:
        assert same({name: kept[name] for name in before}, before)
    again, parts = resumed(config, seen.saved[0])
    again.run()
    assert same(weights(again.model), weights(run.model))
    assert same(parts.kept[-1], seen.kept[-1])


def test_a_shared_matrix_is_told() -> None:
    told = freeze(model(), ["decoder.embedding"])
    assert told[1:] == [
        f"frozen: {TABLE} too, which is the same matrix as decoder.embedding.table.weight",
        "frozen: decoder.output.weight too, which is the same matrix as decoder.embedding.table.weight",
    ]
    assert freeze(model(), ["*.table.weight"])[1:] == [
        "frozen: decoder.output.weight too, which is the same matrix as decoder.embedding.table.weight"
    ]
    assert len(freeze(model(), ["encoder.layers"])) == 1
    assert freeze(model(), []) == []


@pytest.mark.parametrize(
    ("names", "said"),
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
def test_a_name_that_means_nothing_or_all(names: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        freeze(model(), names)
