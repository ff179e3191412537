"""Models on the meta device have the weights of real ones, without memory."""

from __future__ import annotations

import pytest

from regard.contract import VocabularySizes
from regard.models import ARCHITECTURES, build_model, build_on_meta

SIZES = VocabularySizes(20, 30, joint=False)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_on_meta_has_the_names_and_shapes_of_a_real_one(name: str) -> None:
    config = ARCHITECTURES[name].presets["tiny"]()
    meta, real = build_on_meta(config, SIZES), build_model(config, SIZES)
    shapes = [{key: tensor.shape for key, tensor in model.state_dict().items()} for model in (meta, real)]
    assert shapes[0] == shapes[1]
    assert {weight.device.type for weight in meta.parameters()} == {"meta"}
