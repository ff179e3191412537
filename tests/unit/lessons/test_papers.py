"""The models on the papers' pages: one of every architecture, with what was measured of them."""

from __future__ import annotations

import json

import pytest

import regard.lessons
from regard.lessons.models import LESSON_MODELS
from regard.lessons.pages import FOLDER
from regard.lessons.papers import SIZES, exact_matches, paper_models
from regard.models import ARCHITECTURES

pytest.importorskip("onnxruntime")

MODELS = FOLDER / "static" / "models"
SYSTEMS = list(paper_models())


def test_every_architecture_has_a_model_in_the_page() -> None:
    measured = regard.lessons.figure("papers")
    assert list(measured["systems"]) == SYSTEMS == list(ARCHITECTURES)
    assert measured["sizes"] == list(SIZES)
    for name, system in measured["systems"].items():
        model = paper_models()[name]
        assert model in LESSON_MODELS
        assert (system["model"], system["steps"], system["longest"]) == (model.name, model.max_steps, model.sizes[-1])
        manifest = json.loads((MODELS / model.name / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["architecture"] == name
        assert manifest.get("weights", "float32") == ("int8" if model.is_int8 else "float32")
    assert [source.count(";") for source, _ in measured["examples"]][:4] == [0, 1, 0, 1]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_models_in_the_page_are_as_good_as_the_figure_says(system: str) -> None:
    measured = regard.lessons.figure("papers")["systems"][system]
    assert exact_matches(MODELS / measured["model"]) == pytest.approx(measured["exact"], abs=0.011)
