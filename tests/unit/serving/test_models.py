from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.serving.runs import add_checkpoint

from regard.checkpoints.run_folder import RunFolder
from regard.errors import CheckpointError, ConfigError
from regard.serving.limits import RequestRejected
from regard.serving.models import Models


def test_a_multilingual_model_is_served_for_each_language(tmp_path: Path) -> None:
    folder = tmp_path / "several"
    RunFolder(folder).checkpoints.mkdir(parents=True)
    add_checkpoint(folder, 1, steps=1, languages=("en", ""), tags=("de", "fr"))
    models = Models([folder], "cpu")
    assert models.sources == ["en"]
    assert models.targets("en") == ["de", "fr"]
    french = models.pick("en", "fr")
    assert (french.tag, french.name) == ("fr", "several")
    result = french.translator.translate("one")
    assert result.source_tokens[0] == "<fr>"


def test_several_models_for_one_pair_have_distinct_names(run: Path) -> None:
    models = Models([run, run], "cpu")
    assert [model.name for model in models.served] == ["small", "small-2"]
    assert models.pick("en", "de").name == "small"
    assert models.pick("en", "de", "small-2").name == "small-2"
    for source, target, name in (("en", "de", "other"), ("xx", "de", None), ("de", "en", None), ("en", "en", None)):
        with pytest.raises(RequestRejected) as error:
            models.pick(source, target, name)
        assert error.value.status == 400


def test_missing_runs_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        Models([tmp_path / "none"], "cpu")
    with pytest.raises(ConfigError):
        Models([], "cpu")
