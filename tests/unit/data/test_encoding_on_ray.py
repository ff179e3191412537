"""Encoding on a Ray cluster, with a fake of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.end_to_end.fake_ray import FakeCluster, install

from regard.config.schema import TokenizerConfig
from regard.corpus.corpus import Pair
from regard.data import encoding, encoding_on_ray
from regard.data.encoding import encode
from regard.data.encoding_on_ray import AHEAD, encode_on_ray
from regard.errors import WorkerLost
from regard.tokenizers.base import train_tokenizers

PAIRS = [Pair(f"line {number} of it", f"Zeile {number}", 2 * number) for number in range(1, 48)]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A cluster with 2 CPUs, chunks of 5 pairs, and tokenizers in `tmp_path`."""
    pairs = [(pair.source, pair.target) for pair in PAIRS]
    train_tokenizers(TokenizerConfig(kind="unigram", vocabulary_size=300), pairs).save(tmp_path)
    monkeypatch.setattr(encoding, "CHUNK_PAIRS", 5)
    cluster = FakeCluster()
    install(monkeypatch, cluster)
    return cluster


def test_the_chunks_are_those_of_this_machine(cluster: FakeCluster, tmp_path: Path) -> None:
    chunks = list(encode_on_ray(iter(PAIRS), tmp_path))
    expected = list(encode(PAIRS, tmp_path))
    assert [len(chunk) for chunk in chunks] == [5] * 9 + [2]
    for chunk, local in zip(chunks, expected, strict=True):
        for name, array in vars(local).items():
            np.testing.assert_array_equal(getattr(chunk, name), array, strict=True)
    assert cluster.tasks == 10
    assert cluster.most_pending == 2 * AHEAD
    assert cluster.options["max_retries"] > 0


def test_a_new_job_loads_the_tokenizers_again(cluster: FakeCluster, tmp_path: Path) -> None:
    """The process of a node may have those of another job in the same folder."""
    first = next(encode_on_ray(PAIRS, tmp_path))
    train_tokenizers(TokenizerConfig(kind="byte"), []).save(tmp_path)
    assert next(encode_on_ray(PAIRS, tmp_path)).source.max() < 260 < first.source.max()  # bytes; pieces


def test_a_chunk_that_is_lost_too_often_is_an_error(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.lost_tasks = {3}
    chunks = encode_on_ray(PAIRS, tmp_path)
    assert [len(next(chunks)) for _ in range(3)] == [5, 5, 5]
    with pytest.raises(WorkerLost, match=r"the cluster encodes nothing: a node was lost\n"):
        next(chunks)


def test_an_error_on_a_node_names_its_reason(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any) -> None:
        raise OSError("no such folder")

    monkeypatch.setattr(encoding_on_ray, "_load_tokenizers", load)
    with pytest.raises(WorkerLost, match="a node cannot encode: OSError: no such folder") as raised:
        next(encode_on_ray(PAIRS, tmp_path))
    assert "share the folder of the run" in str(raised.value)


def test_a_cluster_that_has_lost_all_nodes_is_an_error(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_on_ray, "NO_CPU_LIMIT", 0.0)
    cluster.resources = {}
    with pytest.raises(WorkerLost, match="the cluster has no CPU any more"):
        next(encode_on_ray(PAIRS, tmp_path))
