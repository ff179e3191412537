"""A working folder as readers of the documentation have it, with miniature corpora, tiny runs and little training."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from tests.documentation import corpora
from tests.file_server import serve_files

from regard.checkpoints.added_files import add_json
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.config.recipe import resolve_paths
from regard.config.schema import RunConfig
from regard.corpus import datasets
from regard.corpus.datasets import Dataset, RemoteFile
from regard.evaluation.estimator import Estimator
from regard.evaluation.test_set import TestSet
from regard.inference.confidence import FILE, ConfidenceModel
from regard.models import ARCHITECTURES
from regard.reports.compare import plan as comparison_plan
from regard.reports.compare import training as comparison_training
from regard.reports.compare.measure import TestConditions
from regard.reports.compare.systems import QUICK_SIZES, choose_test_conditions
from regard.runs import step_timing
from regard.runs import train as training
from regard.runs.step_timing import StepTiming
from regard.serving import server as serving
from regard.serving import threads
from regard.serving.sockets import listen
from regard.training.timing import End
from regard.training.trainer import Trainer

STEPS = 2  # of each training run
VOCABULARY = 500  # at most
TEST_PAIRS = 6  # of a comparison
STEP_SECONDS = 0.4  # of a training step, in plans


@contextmanager
def little_training() -> Iterator[None]:
    """Within the block, models are small, runs end after a few steps, and plans do not depend on the machine.

    No command changes, and nothing that a command prints before training.
    """
    check_end = Trainer.check_end
    starts: WeakKeyDictionary[Trainer, int] = WeakKeyDictionary()  # the step at which each trainer started

    def ends_early(trainer: Trainer) -> End | None:
        end = check_end(trainer)
        start = starts.setdefault(trainer, trainer.progress.step)
        if end is None and trainer.progress.step >= start + STEPS:
            return "steps" if trainer.config.max_minutes is None else "minutes"
        return end

    def small(config: RunConfig) -> RunConfig:
        size = min(VOCABULARY, config.tokenizer.vocabulary_size)
        tokenizer = config.tokenizer.model_copy(update={"vocabulary_size": size})
        return resolve_paths(config).model_copy(update={"tokenizer": tokenizer})

    def timings(config: object, sizes: object, length: object, precisions: Any, device: object) -> list[StepTiming]:
        return [StepTiming(STEP_SECONDS, precision) for precision in sorted(precisions)]

    def few_pairs(*arguments: Any, **options: Any) -> TestConditions:
        conditions = choose_test_conditions(*arguments, **options)
        pairs = conditions.test_set
        test_set = TestSet(pairs.name, pairs.sources[:TEST_PAIRS], pairs.references[:TEST_PAIRS])
        return replace(conditions, test_set=test_set)

    with ExitStack() as stack:
        for name, architecture in ARCHITECTURES.items():
            preset = partial(architecture.config, **QUICK_SIZES[name])
            stack.enter_context(mock.patch.dict(architecture.presets, dict.fromkeys(architecture.presets, preset)))
        for place, name, value in (
            (Trainer, "check_end", ends_early),
            (training, "resolve_paths", small),
            (step_timing, "time_steps", timings),
            (comparison_plan, "choose_test_conditions", few_pairs),
            (comparison_training, "LENGTHS", (8, 16)),
        ):
            stack.enter_context(mock.patch.object(place, name, value))
        yield


def _digest(path: Path) -> str:
    """Return the SHA-256 of the uncompressed text of a file."""
    data = path.read_bytes()
    return hashlib.sha256(gzip.decompress(data) if path.suffix == ".gz" else data).hexdigest()


@contextmanager
def miniature_downloads(folder: Path) -> Iterator[None]:
    """Within the block, `regard data get` downloads Multi30k as miniatures from this machine.

    Of other corpora, the miniatures in the folder, which REGARD_DATA names, are all that there is to download.
    """
    with serve_files() as server:

        def remote(file: RemoteFile) -> RemoteFile:
            text = corpora.published(file.name).encode()
            is_compressed = file.url.endswith(".gz")
            url = file.name if is_compressed else file.name.removesuffix(".gz")
            server.pages[url] = gzip.compress(text) if is_compressed else text
            return replace(file, url=server.url(url), size=len(text), sha256=hashlib.sha256(text).hexdigest())

        def local(dataset: Dataset) -> Dataset:
            paths = [(file, folder / dataset.name / file.name) for file in dataset.files]
            files = tuple(replace(file, sha256=_digest(path)) for file, path in paths if path.exists())
            return replace(dataset, files=files)

        table: dict[str, Dataset] = {name: local(dataset) for name, dataset in datasets.datasets().items()}
        table["multi30k"] = replace(table["multi30k"], files=tuple(map(remote, table["multi30k"].files)))
        with mock.patch.object(datasets, "datasets", lambda: table):
            yield


@dataclass
class Servers:
    """Runs each server of `regard serve` in a thread, on a free port instead of the one in its command.

    Attributes:
        addresses: The port of a command, and the address of the server that it started.
    """

    addresses: dict[int, str] = field(default_factory=dict)
    _running: dict[int, tuple[serving.Server, threading.Thread]] = field(default_factory=dict)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Start servers in the block, and stop them at its end."""
        run = serving.Server.run

        def start(server: serving.Server) -> None:
            port = server.config.port
            self._stop(port)
            sockets = listen("127.0.0.1", 0)
            thread = threading.Thread(target=run, args=(server, sockets), daemon=True)
            thread.start()
            while not server.started:
                assert thread.is_alive(), "the server ended"
                time.sleep(0.01)
            self._running[port] = server, thread
            self.addresses[port] = "{}:{}".format(*sockets[0].getsockname())

        with (
            mock.patch.object(serving.Server, "run", start),
            mock.patch.object(threads, "end_process", lambda: None),
        ):
            yield
        for port in list(self._running):
            self._stop(port)

    def _stop(self, port: int) -> None:
        if port in self._running:
            server, thread = self._running.pop(port)
            server.should_exit = True
            thread.join()

    def at_real_ports(self, text: str) -> str:
        """Return a command line with the addresses at which the servers really listen."""
        for port, address in self.addresses.items():
            text = re.sub(rf"127\.0\.0\.1:{port}\b", address, text)
        return text


def make_folder(folder: Path, root: Path, files: Path, data: Path) -> None:
    """Make a working folder with the recipes of the clone, the published corpora and a reader's own files."""
    shutil.copytree(files, folder)
    shutil.copytree(root / "recipes", folder / "recipes")
    (folder / "data").symlink_to(data)


RECIPE = """
[data]
source_language = "{source}"
target_language = "{target}"
dev_source = "dev.{source}"
dev_target = "dev.{target}"

[[data.corpora]]
source = "captions.{source}"
target = "captions.{target}"
tags = {tags}

[tokenizer]
kind = "unigram"
vocabulary_size = 340

[model]
architecture = "transformer2017"
encoder_layers = 2
decoder_layers = 2
hidden_size = 32
ffn_size = 64
num_heads = 2
dropout = 0.0

[train]
max_steps = 150
tokens_per_batch = 1024
optimizer = "muon"
learning_rate = 0.02
schedule = "cosine"
warmup_steps = 10
label_smoothing = 0.0
checkpoint_every = 75
patience = 0
metric = "loss"
device = "cpu"
precision = "float32"

[search]
beam_size = 5
"""
RECIPES: Mapping[str, str] = {
    "en-de": RECIPE.format(source="en", target="de", tags=[]),
    "de-en": RECIPE.format(source="de", target="en", tags=[]),
    "three": RECIPE.format(source="en", target="de", tags='["de"]'),
}


def add_confidence(run: Path) -> None:
    """Give a run confidence, which `regard train` fits only for a larger dev set: everything is right with 27%."""
    model = ConfidenceModel(Estimator(-1.0, (0.0,) * 4, (), 100, 0.3), Estimator(-1.0, (0.0,) * 5, (), 100, 0.3))
    add_json(resolve_checkpoint(run), FILE, model.to_json())
