from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.unit.serving.runs import make_run

from regard.checkpoints.added_files import add_json
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.evaluation.estimator import Estimator
from regard.inference.confidence import FILE, ConfidenceModel
from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service

# The confidence of a text is about its mean probability of a token, and that of a word its own probability.
MODEL = ConfidenceModel(
    Estimator(-2.0, (0.0, 0.0, 4.0, 0.0), (), 100, 0.5), Estimator(-2.0, (0.0, 4.0, 0.0, 0.0, 0.0), (), 100, 0.5)
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Use one thread, so that sums are computed in the same order on every machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def models(run: Path) -> Models:
    return Models([run], "cpu")


@pytest.fixture(scope="session")
def service(models: Models) -> Iterator[Service]:
    service = Service(models, Limits(gather=0.001))
    yield service
    service.close()


@pytest.fixture(scope="module")
def calibrated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve a run that has learned confidence."""
    folder = tmp_path_factory.mktemp("runs") / "calibrated"
    shutil.copytree(run, folder, symlinks=True)
    add_json(resolve_checkpoint(folder), FILE, MODEL.to_json())
    service = Service(Models([folder], "cpu"), Limits(gather=0.001))
    yield service
    service.close()
