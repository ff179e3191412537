"""The folder of a run without a name, and the scores that a resumed run starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.checkpoints.test_killed_while_saving import checkpoint

from regard.checkpoints.checkpoint import save_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.schema import DataConfig, RunConfig
from regard.models.transformer2017 import Config
from regard.runs.train import CheckpointWriter, default_folder

LANGUAGES = {"source_language": "en", "target_language": "de"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"source": "a", "target": "b", **LANGUAGES}, "en-de-transformer2017"),
        ({"source": "a", "target": "b"}, "transformer2017"),
        ({"corpus": "dates"}, "dates-transformer2017"),
    ],
)
def test_the_default_folder_joins_what_is_known(data: dict[str, Any], name: str) -> None:
    assert default_folder(RunConfig(data=DataConfig(**data), model=Config())) == Path("runs") / name


def test_the_best_scores_of_a_resumed_run_are_those_of_its_best_checkpoint(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    contents = replace(checkpoint(1), metrics={"chrf": 20.0})
    unused: Any = None  # the prepared data
    assert CheckpointWriter(contents.config, run, unused).best_scores == {}
    save_checkpoint(run.checkpoint(1), contents)
    run.set_best(run.checkpoint(1))
    assert CheckpointWriter(contents.config, run, unused).best_scores == {"chrf": 20.0}
    (run.checkpoint(1) / "metrics.json").write_text("{")
    assert CheckpointWriter(contents.config, run, unused).best_scores == {}
