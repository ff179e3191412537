"""Subword regularisation."""

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
from regard.data.loader import Loader, Position
from regard.data.store import PairStore
from regard.data.subword_sampling import SubwordSampler
from regard.tokenizers.base import Tokenizers, train_tokenizers

ROOT = Path(__file__).parents[3]
Rows = list[list[int]]
KINDS: tuple[Literal["unigram", "bpe"], ...] = ("unigram", "bpe")
WORDS = ["unbelievable", "believe", "able", "table", "stable", "unstable", "tables", "believer", "▁odd▁"]


PAIRS = [(f"{one} {two}", f"{two} and {one}") for one in WORDS for two in WORDS]


def learned(kind: Literal["unigram", "bpe"]) -> Tokenizers:
    return train_tokenizers(TokenizerConfig(kind=kind, vocabulary_size=284), PAIRS)


@pytest.mark.parametrize(("kind", "amount"), [("unigram", 0.1), ("bpe", 0.3)])
def test_the_text_stays_and_its_pieces_change(kind: Literal["unigram", "bpe"], amount: float) -> None:
    tokenizers = learned(kind)
    sampler = SubwordSampler(tokenizers, amount, longest=100)
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    first, again, other = sampler(pairs, (1, 2, 3)), sampler(pairs, (1, 2, 3)), sampler(pairs, (1, 2, 4))
    assert first == again
    assert sum(one != two for one, two in zip(first, other, strict=True)) > len(pairs) / 2
    assert sum(one != two for one, two in zip(first, pairs, strict=True)) > len(pairs) / 2
    for found in (first, other):
        told = [(tokenizers.source.decode(list(one)), tokenizers.target.decode(list(two))) for one, two in found]
        assert told == PAIRS


def test_what_would_be_too_long_stays_as_it_is() -> None:
    tokenizers = learned("unigram")
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    longest = max(len(ids) for pair in pairs for ids in pair)
    sampler = SubwordSampler(tokenizers, 0.01, longest)
    assert max(len(ids) for pair in sampler(pairs, (1,)) for ids in pair) == longest


def same(one: Batch, other: Batch) -> bool:
    return one.source.tolist() == other.source.tolist() and one.target_out.tolist() == other.target_out.tolist()


def test_batches_are_cut_anew_each_epoch_and_the_same_after_a_resume(tmp_path: Path) -> None:
    tokenizers = learned("unigram")
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    store, sampler = PairStore.write(tmp_path, "train", pairs), SubwordSampler(tokenizers, 0.2, 100)
    loader = Loader(store, 200, seed=1, resample=sampler)
    count = loader.batches_per_epoch
    batches = list(islice(loader, 2 * count))
    resumed = Loader(store, 200, seed=1, position=Position(1, 2), resample=sampler)
    assert all(map(same, islice(resumed, count - 2), batches[count + 2 :]))
    epochs = [
        sorted(tuple(row) for batch in part for row in batch.source.tolist())
        for part in (batches[:count], batches[count:])
    ]
    assert epochs[0] != epochs[1]
    assert all(
        batch.global_target_tokens == batch.target_tokens == int(batch.target_out.ne(0).sum()) for batch in batches
    )


def test_processes_share_one_and_the_same_batch(tmp_path: Path) -> None:
    tokenizers = learned("unigram")
    pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
    store, sampler = PairStore.write(tmp_path, "train", pairs), SubwordSampler(tokenizers, 0.2, 100)
    parts = [next(iter(Loader(store, 200, seed=1, rank=rank, size=2, resample=sampler))) for rank in (0, 1)]
    whole = next(iter(Loader(store, 200, seed=1, resample=sampler)))
    assert (
        sum(part.target_tokens for part in parts)
        == whole.target_tokens
        == parts[0].global_target_tokens
        == parts[1].global_target_tokens
    )
    rows = sorted(int(row.sum()) for part in parts for row in part.source)
    assert rows == sorted(int(row.sum()) for row in whole.source)


def test_tags_stay_before_what_is_cut_anew() -> None:
    tokenizers = learned("unigram").with_tags(["x", "y"])
    pairs = [
        (tokenizers.source.encode(add_tags(source, ["y", "x"])), tokenizers.target.encode(target))
        for source, target in PAIRS
    ]
    found = SubwordSampler(tokenizers, 0.1, 100)(pairs, (1,))
    size = tokenizers.source.size
    assert all(list(source[:2]) == [size - 1, size - 2] for source, _ in found)
    assert [tokenizers.source.decode(list(source)) for source, _ in found] == [source for source, _ in PAIRS]
    assert sum(list(one[0]) != list(two[0]) for one, two in zip(found, pairs, strict=True)) > len(pairs) / 4


IN_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from tests.unit.data.test_subword_sampling import batches_of

print(json.dumps(batches_of(Path(sys.argv[1]), int(sys.argv[2]), 2)))
"""
AMOUNTS = {"unigram": 0.2, "bpe": 0.3}
Found = list[tuple[Rows, Rows, int]]


def batches_of(folder: Path, rank: int, size: int) -> Found:
    """Twelve batches of each kind: their sources, their targets, and the target tokens of all ranks together."""
    found = []
    for kind, amount in AMOUNTS.items():
        sampler = SubwordSampler(Tokenizers.load(folder / kind), amount, 100)
        loader = Loader(PairStore.open(folder / kind, "train"), 200, seed=1, rank=rank, size=size, resample=sampler)
        found += [
            (batch.source.tolist(), batch.target_out.tolist(), batch.global_target_tokens)
            for batch in islice(loader, 12)
        ]
    return found


def unpadded(rows: Rows) -> Rows:
    return [[id for id in row if id] for row in rows]


def test_every_process_cuts_a_batch_alike(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        tokenizers = learned(kind)
        tokenizers.save(tmp_path / kind)
        pairs = [(tokenizers.source.encode(source), tokenizers.target.encode(target)) for source, target in PAIRS]
        PairStore.write(tmp_path / kind, "train", pairs)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path)]
    started = [subprocess.Popen([*command, rank], env=environment, stdout=subprocess.PIPE) for rank in "01"]
    ranks = [json.loads(process.communicate()[0]) for process in started]
    for whole, *parts in zip(batches_of(tmp_path, 0, 1), *ranks, strict=True):
        for side in (0, 1):
            rows = unpadded(whole[side])
            assert [unpadded(part[side]) for part in parts] == [rows[0::2], rows[1::2]]
        assert {part[2] for part in parts} == {whole[2]}
