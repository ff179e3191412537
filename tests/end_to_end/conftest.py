from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from tests.end_to_end.helpers import Files, call, recipe

import regard
from regard.inference.translator import Translator


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums in one order, however many processors there are."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """By the processes that tests start too: where the suite runs in a shell's background, it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.make(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def run(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned most of it, trained by the command line."""
    recipe(files)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    finished = call("train", files / "tiny.toml", "--out", folder)
    assert finished.code == 0, finished.err
    return folder


@pytest.fixture(scope="session")
def translator(run: Path) -> Translator:
    return regard.Translator.load(run, "cpu")
