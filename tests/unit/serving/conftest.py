from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.unit.serving.runs import make_run

from regard.serving.limits import Limits
from regard.serving.models import Models
from regard.serving.service import Service


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
