"""`regard train --ray` prepares what one machine prepares, and continues when processes or nodes were lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.end_to_end.fake_ray import FakeCluster, install
from tests.end_to_end.helpers import ONE_THREAD, RECIPE, Files, call, file_bytes, refused, write_lines

from regard.config.schema import TokenizerConfig
from regard.corpus.corpus import Pair
from regard.data import encoding, encoding_on_ray, store_writer
from regard.errors import WorkerLost
from regard.ray_cluster import connect
from regard.runs import prepare
from regard.tokenizers.base import train_tokenizers

CHUNK = 100  # pairs; the corpus has 12 chunks


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a hundred pairs, each of which is saved."""
    monkeypatch.setattr(encoding, "CHUNK_PAIRS", CHUNK)
    monkeypatch.setattr(store_writer, "SAVE_INTERVAL", 0.0)


@pytest.fixture
def short(files: Files) -> Path:
    """A recipe of one step."""
    path = files / "one-step.toml"
    path.write_text(RECIPE.replace("max_steps = 240", "max_steps = 1"))
    return path


def test_a_lost_cluster_costs_only_what_is_missing(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("train", short, "--out", tmp_path / "alone").code == 0
    cluster = FakeCluster(lost_tasks={7})
    install(monkeypatch, cluster)
    run = tmp_path / "run"
    first = call("train", short, "--out", run, "--ray", "auto")
    refused(first, "the cluster encodes nothing: a node was lost", "regard train --resume")
    cluster.lost_tasks, cluster.tasks = set(), 0
    second = call("train", "--resume", run, "--ray", "auto")
    assert second.code == 0, second.err
    assert cluster.tasks == 12 - 7
    assert file_bytes(run / "data") == file_bytes(tmp_path / "alone" / "data")


def test_a_lost_process_costs_only_what_is_missing(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a cluster; the run can be resumed, as the message says."""

    def dying(*arguments: Any) -> Iterator[store_writer.Chunk]:
        yield from islice(encoding.encode(*arguments), 5)
        raise WorkerLost("a process has died", fix="run `regard train --resume`")

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(prepare, "encode", dying)
        refused(call("train", short, "--out", run), "a process has died")
    progress = json.loads((run / "data" / ".train-parts" / "progress.json").read_text())
    assert progress["read"] == 5 * CHUNK
    assert call("train", "--resume", run).code == 0


def test_what_cannot_be_encoded_on_a_cluster(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeCluster())
    command: list[str | Path] = ["train", short, "--out", tmp_path / "run", "--ray", "here:1"]
    refused(call(*command, "--set", "data.streaming=true"), "--ray: a streamed corpus is encoded while training")
    refused(call(*command, "--dry-run"), "--ray: a dry run encodes on this machine")
    monkeypatch.setitem(sys.modules, "ray", None)
    finished = call(*command)
    refused(finished, "Ray, which is not installed", 'pip install "regard[ray]"')
    assert "preparing the data" not in finished.err
    assert not (tmp_path / "run" / "recipe.toml").exists()  # the corrected command can use the folder


PAIRS = 150_000
REGARD = """
import regard.data.encoding as encoding, regard.data.store_writer as store_writer
encoding.CHUNK_PAIRS, store_writer.SAVE_INTERVAL = 2000, 0.0
from regard.cli.main import run
run()
"""


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start `regard train ...` with 75 chunks, each of which is saved."""
    command = [sys.executable, "-c", REGARD, "train", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ONE_THREAD)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate()
    assert process.returncode == 0, err


def wait_for(process: subprocess.Popen[bytes], run: Path, pairs: int) -> int:
    """Wait until this many pairs are stored, and return how many are."""
    progress = run / "data" / ".train-parts" / "progress.json"
    while not progress.exists() or json.loads(progress.read_text())["read"] < pairs:
        assert process.poll() is None, process.communicate()
        threading.Event().wait(0.005)
    return int(json.loads(progress.read_text())["read"])


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes with a CPU each, and the second node."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(num_cpus=1)
    finally:
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of Ray
def test_a_lost_node_costs_only_its_chunks(
    nodes: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node is lost while it encodes a chunk, which the other node then encodes."""
    cluster, second = nodes
    encode_chunk, calls = encoding_on_ray.encode_chunk, tmp_path / "calls"

    def recorded(job: Any, texts: encoding.Texts) -> store_writer.Chunk | str:
        import ray

        name = f"{ray.get_runtime_context().get_node_id()} {os.getpid()}"
        with calls.open("a") as file:
            file.write(f"starts {name}\n")
        time.sleep(0.3)
        with calls.open("a") as file:
            file.write(f"ends {name}\n")
        return encode_chunk(job, texts)

    def busy_processes() -> list[int]:
        lines = [line.split() for line in calls.read_text().splitlines()]
        numbers = Counter((int(pid), kind) for kind, node, pid in lines if node == second.node_id)
        return [pid for pid, kind in numbers if kind == "starts" and numbers[pid, "starts"] > numbers[pid, "ends"]]

    monkeypatch.setattr(encoding_on_ray, "encode_chunk", recorded)
    monkeypatch.setattr(encoding, "CHUNK_PAIRS", 25)
    pairs = [Pair(f"line {number}", f"Zeile {number}", number) for number in range(1, 1001)]
    texts = [(pair.source, pair.target) for pair in pairs]
    train_tokenizers(TokenizerConfig(kind="character"), texts).save(tmp_path)
    with connect(cluster.address):
        chunks, is_lost = list[store_writer.Chunk](), False
        for chunk in encoding_on_ray.encode_on_ray(pairs, tmp_path):
            chunks.append(chunk)
            if not is_lost and len(chunks) >= 5 and (processes := busy_processes()):
                for pid in processes:  # Ray would let them finish
                    os.kill(pid, signal.SIGKILL)
                cluster.remove_node(second, allow_graceful=False)
                is_lost = True
    for chunk, local in zip(chunks, encoding.encode(pairs, tmp_path), strict=True):
        for name, array in vars(local).items():
            np.testing.assert_array_equal(getattr(chunk, name), array, strict=True)
    assert is_lost
    assert 40 < calls.read_text().count("starts") <= 40 + 2 * encoding_on_ray.AHEAD


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of Ray
def test_the_command_is_killed_and_then_loses_a_node(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    """The data are those of one machine."""
    cluster, second = nodes
    numbers = [f"{number * 7919 % 1_000_003}" for number in range(PAIRS)]
    for name, lines in (("train", numbers), ("dev", numbers[:50])):
        write_lines(tmp_path / f"{name}.src", [*lines, "9" * 300])  # the last one is too long
        write_lines(tmp_path / f"{name}.tgt", [*(line[::-1] for line in lines), "9"])
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace("max_steps = 240", "max_steps = 1"))
    alone, run = tmp_path / "alone", tmp_path / "run"
    finish(start(recipe, "--out", alone))

    process = start(recipe, "--out", run, "--ray", cluster.address)
    stored = wait_for(process, run, 20_000)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    process = start("--resume", run, "--ray", cluster.address)
    assert stored + 10_000 <= wait_for(process, run, stored + 10_000) < PAIRS - 30_000
    cluster.remove_node(second, allow_graceful=False)
    finish(process)
    assert file_bytes(run / "data") == file_bytes(alone / "data")
