"""Subword regularization."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Literal

import pytest

from regard.config.schema import TokenizerConfig
from regard.corpus.tagged import add_tags
from regard.data.batch import Batch
from regard.data.loader import BatchSize, Loader, Position
from regard.data.store import PairStore
from regard.data.subword_sampling import SubwordSampler
from regard.tokenizers.base import Tokenizers, train_tokenizers

ROOT = Path(__file__).parents[3]
Rows = list[list[int]]
KINDS: tuple[Literal["unigram", "bpe"], ...] = ("unigram", "bpe")
WORDS = ["unbelievable", "believe", "able", "table", "stable", "unstable", "tables", "believer", "▁odd▁"]


PAIRS = [(f"{first} {second}", f"{second} and {first}") for first in WORDS for second in WORDS]


def trained(kind: Literal["unigram", "bpe"]) -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind=kind, vocabulary_size=284), PAIRS)


@pytest.mark.parametrize(("kind", "amount"), [("unigram", 0.1), ("bpe", 0.3)])
def test_the_subwords_change_but_not_the_text(kind: Literal["unigram", "bpe"], amount: float) -> None:
    tokenizers = trained(kind)
    sampler = SubwordSampler(tokenizers, amount, max_length=100)
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    first, again, different = sampler(pairs, (1, 2, 3)), sampler(pairs, (1, 2, 3)), sampler(pairs, (1, 2, 4))
    assert first == again
    assert sum(old != new for old, new in zip(first, different, strict=True)) > len(pairs) / 2
    assert sum(old != new for old, new in zip(pairs, first, strict=True)) > len(pairs) / 2
    for sampled in (first, different):
        texts = [(tokenizers.source.decode(list(s)), tokenizers.target.decode(list(t))) for s, t in sampled]
        assert texts == PAIRS


def test_a_sequence_that_would_be_too_long_does_not_change() -> None:
    tokenizers = trained("unigram")
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    longest = max(len(ids) for pair in pairs for ids in pair)
    sampler = SubwordSampler(tokenizers, 0.01, longest)
    assert max(len(ids) for pair in sampler(pairs, (1,)) for ids in pair) == longest


def same(a: Batch, b: Batch) -> bool:
    return a.source.tolist() == b.source.tolist() and a.target_out.tolist() == b.target_out.tolist()


def test_epochs_are_sampled_differently_and_a_resumed_one_identically(tmp_path: Path) -> None:
    tokenizers = trained("unigram")
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    store, sampler = PairStore.write(tmp_path, "train", pairs), SubwordSampler(tokenizers, 0.2, 100)
    loader = Loader(store, BatchSize(200), seed=1, resample=sampler)
    count = loader.batches_per_epoch
    batches = list(islice(loader, 2 * count))
    resumed = Loader(store, BatchSize(200), seed=1, position=Position(1, 2), resample=sampler)
    assert all(map(same, islice(resumed, count - 2), batches[count + 2 :]))
    epochs = [
        sorted(tuple(row) for batch in part for row in batch.source.tolist())
        for part in (batches[:count], batches[count:])
    ]
    assert epochs[0] != epochs[1]
    assert all(
        batch.global_target_tokens == batch.target_tokens == int(batch.target_out.ne(0).sum()) for batch in batches
    )


def test_processes_share_the_same_batch(tmp_path: Path) -> None:
    tokenizers = trained("unigram")
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    store, sampler = PairStore.write(tmp_path, "train", pairs), SubwordSampler(tokenizers, 0.2, 100)
    parts = [next(iter(Loader(store, BatchSize(200), seed=1, rank=rank, size=2, resample=sampler))) for rank in (0, 1)]
    full = next(iter(Loader(store, BatchSize(200), seed=1, resample=sampler)))
    assert (
        sum(part.target_tokens for part in parts)
        == full.target_tokens
        == parts[0].global_target_tokens
        == parts[1].global_target_tokens
    )
    rows = sorted(int(row.sum()) for part in parts for row in part.source)
    assert rows == sorted(int(row.sum()) for row in full.source)


def test_tags_stay_in_front() -> None:
    tokenizers = trained("unigram").with_tags(["x", "y"])
    pairs = [
        (tokenizers.source.encode(add_tags(source, ["y", "x"])), tokenizers.target.encode(target))
        for source, target in PAIRS
    ]
    sampled = SubwordSampler(tokenizers, 0.1, 100)(pairs, (1,))
    size = tokenizers.source.size
    assert all(list(source[:2]) == [size - 1, size - 2] for source, _ in sampled)
    assert [tokenizers.source.decode(list(source)) for source, _ in sampled] == [source for source, _ in PAIRS]
    assert sum(list(new[0]) != list(old[0]) for new, old in zip(sampled, pairs, strict=True)) > len(pairs) / 4


IN_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from tests.unit.data.test_subword_sampling import batches_of

print(json.dumps(batches_of(Path(sys.argv[1]), int(sys.argv[2]), 2)))
"""
AMOUNTS = {"unigram": 0.2, "bpe": 0.3}
Batches = list[tuple[Rows, Rows, int]]


def batches_of(folder: Path, rank: int, size: int) -> Batches:
    """Twelve batches of each kind: sources, targets, and the number of target tokens of the full batch."""
    batches: Batches = []
    for kind, amount in AMOUNTS.items():
        sampler = SubwordSampler(Tokenizers.load(folder / kind), amount, 100)
        loader = Loader(
            PairStore.open(folder / kind, "train"), BatchSize(200), seed=1, rank=rank, size=size, resample=sampler
        )
        batches += [
            (batch.source.tolist(), batch.target_out.tolist(), batch.global_target_tokens)
            for batch in islice(loader, 12)
        ]
    return batches


def unpadded(rows: Rows) -> Rows:
    return [[id for id in row if id] for row in rows]


def test_every_process_samples_the_same_subwords(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        tokenizers = trained(kind)
        tokenizers.save(tmp_path / kind)
        pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
        PairStore.write(tmp_path / kind, "train", pairs)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path), "1"]
    second = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    ranks = [batches_of(tmp_path, 0, 2), json.loads(second.stdout)]
    for full, *parts in zip(batches_of(tmp_path, 0, 1), *ranks, strict=True):
        for side in (0, 1):
            rows = unpadded(full[side])
            assert [unpadded(part[side]) for part in parts] == [rows[0::2], rows[1::2]]
        assert {part[2] for part in parts} == {full[2]}
