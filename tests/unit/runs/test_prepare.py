from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from regard.checkpoints.run_folder import PREPARED
from regard.config.recipe import parse_config
from regard.config.schema import RunConfig
from regard.corpus import parallel_text
from regard.corpus.corpus import LineOrigin, Pair
from regard.corpus.formats.plain import read_lines
from regard.corpus.tagged import split_tags
from regard.data import encoding, store_writer
from regard.data.loader import Position
from regard.errors import ConfigError, DataError
from regard.models import ARCHITECTURES
from regard.runs import corpus_scan
from regard.runs.holdout import held_out_size, split_corpus
from regard.runs.prepare import prepare
from regard.runs.prepared import Prepared
from regard.runs.recipe_inputs import inspect_corpus


def recipe(folder: Path, pairs: list[tuple[str, str]], kind: str = "character", **data: Any) -> RunConfig:
    for name, lines in zip(("a", "b"), zip(*pairs, strict=True), strict=True):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    table = {
        "data": {"source": str(folder / "a"), "target": str(folder / "b"), **data},
        "tokenizer": {"kind": kind},
        "model": {"architecture": "transformer2017"},
    }
    return parse_config(table, ARCHITECTURES, where="test")


PAIRS = [(f"{number}", f"x{number}") for number in range(100)]


@pytest.mark.parametrize(("pairs", "held_out"), [(1, 1), (19, 1), (100, 5), (10_000, 500), (10**7, 1000)])
def test_held_out_size(pairs: int, held_out: int) -> None:
    assert held_out_size(pairs) == held_out


def test_held_out_pairs_are_not_in_the_training_corpus(tmp_path: Path) -> None:
    config = recipe(tmp_path, [*PAIRS, *PAIRS[:50], ("0", "another")], held_out=20)
    train, dev = split_corpus(config)
    held = [pair.source for pair in dev]
    assert len(set(held)) == 20
    assert not set(held) & {pair.source for pair in train}
    assert {int(source) for source in held} <= set(range(50, 100))  # a source that returns is never held out
    assert len(list(train)) == 131
    assert [pair.source for pair in split_corpus(config)[1]] == held


@pytest.mark.parametrize("kind", ["character", "byte"])
def test_each_pass_over_the_files_serves_all_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    read: list[Path] = []
    monkeypatch.setattr(parallel_text, "read_lines", lambda path: read.append(path) or read_lines(path))  # type: ignore[func-returns-value]
    prepared = prepare(recipe(tmp_path, PAIRS, kind, held_out=20), tmp_path / "prepared", lambda _: None)
    assert (len(prepared.store), len(prepared.dev)) == (80, 20)
    # dev chosen, vocabulary learned or else dev read, encoded
    assert len(read) == 2 * 3


def test_the_automatic_recipe_and_the_choice_of_dev_share_a_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(parallel_text, "read_lines", lambda path: read.append(path) or read_lines(path))  # type: ignore[func-returns-value]
    config = recipe(tmp_path, PAIRS, held_out=20)
    monkeypatch.chdir(tmp_path)
    data = config.data.model_copy(update={"source": "a", "target": "b", "held_out": 0})
    assert inspect_corpus(data, gpu=False).pairs == 95
    assert len(list(split_corpus(config)[1])) == 20
    assert len(read) == 2 * 2  # scanned, then read for the dev set
    (tmp_path / "a").write_text("other\n" + "".join(f"{number}\n" for number in range(99)))
    assert "other" in {pair.source for corpus in split_corpus(config) for pair in corpus}
    corpus_scan.forget_scan()


def test_the_dev_set_is_encoded_once(tmp_path: Path) -> None:
    config = recipe(tmp_path, PAIRS, held_out=20)
    for _ in range(2):  # prepared, then loaded
        prepared = prepare(config, tmp_path / "prepared", lambda _: None)
        encode = prepared.tokenizers.source.encode
        assert [source for source, _ in prepared.dev_ids] == [encode(source) for source, _ in prepared.dev]


def test_a_dev_set_of_the_recipe_is_used_whole(tmp_path: Path) -> None:
    config = recipe(tmp_path, PAIRS, dev_source=str(tmp_path / "b"), dev_target=str(tmp_path / "a"))
    train, dev = split_corpus(config)
    assert len(list(train)) == 100
    assert [(pair.target, pair.source) for pair in dev] == PAIRS


@pytest.mark.parametrize(
    ("pairs", "held_out", "message"),
    [
        (PAIRS[:1], 0, "give more pairs"),
        (PAIRS[:5], 5, "lower data.held_out"),
        ([("a", "b"), ("a", "c")], 0, "every source occurs more than once"),
    ],
)
def test_too_few_pairs_to_hold_any_out(
    tmp_path: Path, pairs: list[tuple[str, str]], held_out: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        split_corpus(recipe(tmp_path, pairs, held_out=held_out))


@pytest.mark.parametrize("kind", ["character", "byte"])
def test_all_skipped_pairs_are_reported(tmp_path: Path, kind: str) -> None:
    pairs = [*PAIRS, ("", "x"), ("y", " "), ("z" * 300, "z"), ("1 2", "q" * 300)]
    dev = [("1", "x1"), ("w" * 300, "w"), ("", "v")]
    for name, lines in zip(("c", "d"), zip(*dev, strict=True), strict=True):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    messages: list[str] = []
    dev_files = {"dev_source": str(tmp_path / "c"), "dev_target": str(tmp_path / "d")}
    prepared = prepare(recipe(tmp_path, pairs, kind, **dev_files), tmp_path / "prepared", messages.append)
    assert prepared.dev == (("1", "x1"),)
    assert len(prepared.store) == 100
    assert [line for line in messages if "skipped" in line] == [
        "dev: 1 pair skipped: the source is blank (line 3)",
        "dev: 1 pair skipped: longer than data.max_length, 256 tokens, (line 2)",
        "train: 1 pair skipped: the source is blank (line 101)",
        "train: 1 pair skipped: the target is blank (line 102)",
        "train: 2 pairs skipped: longer than data.max_length, 256 tokens, (lines 103, 104)",
    ]


def test_prepared_data_is_loaded(tmp_path: Path) -> None:
    config = recipe(tmp_path, PAIRS, held_out=10)
    first = prepare(config, tmp_path / "prepared", lambda _: None)
    (tmp_path / "a").unlink()
    again = prepare(config, tmp_path / "prepared", pytest.fail)
    assert again.dev == first.dev
    assert again.train.fingerprint == first.train.fingerprint
    assert again.tokenizers.source.encode("12") == first.tokenizers.source.encode("12")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"train": "", "dev": [["a", "b"]]}', '{"train": "x", "dev": [1]}'])
def test_damaged_prepared_data_is_an_error(tmp_path: Path, text: str) -> None:
    config = recipe(tmp_path, PAIRS)
    prepare(config, tmp_path / "prepared", lambda _: None)
    (tmp_path / "prepared" / PREPARED).write_text(text)
    with pytest.raises(DataError, match="start a new run"):
        prepare(config, tmp_path / "prepared", lambda _: None)


def test_a_corpus_of_too_long_pairs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"raise data\.max_length"):
        prepare(recipe(tmp_path, PAIRS, max_length=1), tmp_path / "prepared", lambda _: None)


def test_the_vocabulary_size_of_a_recipe_is_never_lowered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="or less"):
        prepare(recipe(tmp_path, PAIRS, "unigram"), tmp_path / "prepared", lambda _: None)


def test_each_pair_keeps_its_line_number(tmp_path: Path) -> None:
    pairs = [("", "x"), *PAIRS[:40], ("z" * 300, "z"), *PAIRS[40:]]
    prepared = prepare(recipe(tmp_path, pairs, held_out=10), tmp_path / "prepared", lambda _: None)
    encode = prepared.tokenizers.source.encode
    line_of = {tuple(encode(source)): number for number, (source, _) in enumerate(pairs, start=1)}
    store = prepared.store
    assert len(store) == 90
    assert [store.line(index) for index in range(90)] == [line_of[tuple(store.source(index))] for index in range(90)]


class Killed(BaseException):
    pass


def test_a_killed_preparation_continues_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "CHUNK_PAIRS", 10)
    monkeypatch.setattr(encoding, "CHUNK_PAIRS", 10)
    monkeypatch.setattr(store_writer, "SAVE_INTERVAL", 0.0)
    pairs = [(f"{number}", "long" * (number % 9 == 0) + f"x{number}" if number % 7 else "") for number in range(100)]
    config = recipe(tmp_path, pairs, max_length=5)

    def prepare_in(folder: str) -> tuple[Prepared, list[str]]:
        messages: list[str] = []
        return prepare(config, tmp_path / folder, messages.append), messages

    uninterrupted, expected = prepare_in("whole")

    def killing(*arguments: Any) -> Iterator[store_writer.Chunk]:
        yield from islice(encode(*arguments), 4)
        raise Killed

    encode = encoding.encode
    monkeypatch.setattr("regard.runs.prepare.encode", killing)
    with pytest.raises(Killed):
        prepare_in("killed")
    seen: list[int] = []

    def watching(pairs: Iterable[Pair], folder: Path) -> Iterator[store_writer.Chunk]:
        return encode((seen.append(pair.line) or pair for pair in pairs), folder)  # type: ignore[func-returns-value]

    monkeypatch.setattr("regard.runs.prepare.encode", watching)
    monkeypatch.setattr("regard.runs.prepare.train_tokenizers", lambda *_: pytest.fail("tokenizers are learned again"))
    continued, messages = prepare_in("killed")
    assert continued.train.fingerprint == uninterrupted.train.fingerprint
    assert messages == expected
    assert any("longer than" in sentence for sentence in messages)
    assert 0 < len(seen) < 50


def test_a_killed_preparation_starts_again_if_the_files_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killing(*_: Any) -> Iterator[store_writer.Chunk]:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("regard.runs.prepare.encode", killing)
        with pytest.raises(Killed):
            prepare(recipe(tmp_path, PAIRS), tmp_path / "data", lambda _: None)
    config = recipe(tmp_path, [(f"ä{source}", target) for source, target in PAIRS])
    prepared = prepare(config, tmp_path / "data", lambda _: None)
    assert "ä" in prepared.tokenizers.source.decode(prepared.store.source(0).tolist())


def several(folder: Path, **data: Any) -> RunConfig:
    for name, size in (("big", 90), ("small", 10)):
        lines = "".join(f"{name}{number}\t{'x' * 30 if number == 3 else number}\n" for number in range(size))
        (folder / f"{name}.tsv").write_text(lines)
    corpora = [{"file": str(folder / "big.tsv")}, {"file": str(folder / "small.tsv"), "weight": 3.0}]
    table = {
        "data": {"corpora": corpora, "dev_file": str(folder / "small.tsv"), "max_length": 20, **data},
        "tokenizer": {"kind": "character"},
        "model": {"architecture": "transformer2017"},
        "train": {"tokens_per_batch": 50},
    }
    return parse_config(table, ARCHITECTURES, where="test")


def seen(config: RunConfig, prepared: Prepared) -> Counter[str]:
    loader, decode = prepared.loader(config), prepared.tokenizers.source.decode
    assert loader.batches_per_epoch is not None
    batches = islice(loader, loader.batches_per_epoch)
    return Counter(decode(row).rstrip("0123456789") for batch in batches for row in batch.source.tolist())


def test_corpora_are_sampled_by_weight(tmp_path: Path) -> None:
    config, messages = several(tmp_path), list[str]()
    prepared = prepare(config, tmp_path / "data", messages.append)
    assert seen(config, prepared) == {"big": 89, "small": 27}
    again = prepare(config, tmp_path / "data", messages.append)
    assert again.origins.starts == prepared.origins.starts == (0, 90)
    assert again.origins == prepared.origins
    assert [again.origins.locate(line) for line in (90, 91)] == [LineOrigin("big.tsv", 90), LineOrigin("small.tsv", 1)]
    skipped = [message for message in messages if "skipped" in message]
    assert skipped == [
        "dev: 1 pair skipped: longer than data.max_length, 20 tokens, (line 4)",
        "train: 1 pair skipped: big.tsv: longer than data.max_length, 20 tokens, (line 4)",
        "train: 1 pair skipped: small.tsv: longer than data.max_length, 20 tokens, (line 4)",
    ]


def test_temperature_flattens_the_sizes_of_corpora(tmp_path: Path) -> None:
    config = several(tmp_path, temperature=1000.0)
    config = config.model_copy(
        update={
            "data": config.data.model_copy(
                update={"corpora": tuple(corpus.model_copy(update={"weight": 1.0}) for corpus in config.data.corpora)}
            )
        }
    )
    counts = seen(config, prepare(config, tmp_path / "data", lambda _: None))
    assert counts["big"] == pytest.approx(49, abs=1)
    assert counts["small"] == pytest.approx(49, abs=1)


def test_a_dev_set_is_held_out_of_all_corpora(tmp_path: Path) -> None:
    config = several(tmp_path, dev_file=None, held_out=30)
    prepared = prepare(config, tmp_path / "data", lambda _: None)
    assert {source.rstrip("0123456789") for source, _ in prepared.dev} == {"big", "small"}
    assert sum(seen(config, prepared).values()) > 60


def test_a_streamed_corpus_reports_skipped_pairs_at_its_end(tmp_path: Path) -> None:
    messages: list[str] = []
    dev = {"dev_source": str(tmp_path / "b"), "dev_target": str(tmp_path / "a")}
    pairs = [*PAIRS, ("z" * 30, "z"), ("", "x")]
    config = recipe(tmp_path, pairs, streaming=True, max_length=20, **dev)
    for _ in range(2):  # prepared, then loaded
        prepared = prepare(config, tmp_path / "data", messages.append)
        messages.clear()
        assert prepared.loader(config).batches_per_epoch is None
        assert streamed(config, prepared) == Counter(source for source, _ in PAIRS)
        assert messages == [
            "train: 1 pair skipped: the source is blank (line 102)",
            "train: 1 pair skipped: longer than data.max_length, 20 tokens, (line 101)",
        ]
    (tmp_path / "a").write_text("other\n" * 102)
    with pytest.raises(DataError, match="not what was prepared"):
        prepare(config, tmp_path / "data", messages.append)


def streamed(config: RunConfig, prepared: Prepared, epoch: int = 0) -> Counter[str]:
    """Return how often each source occurs in an epoch."""
    counts: Counter[str] = Counter()
    loader = prepared.loader(config, Position(epoch, 0))
    for batch in loader:
        if loader.position.epoch > epoch:
            return counts
        counts.update(prepared.tokenizers.source.decode(row) for row in batch.source.tolist())
    return counts


def by_corpus(counts: Counter[str]) -> Counter[str]:
    """Return how often each corpus occurs."""
    totals: Counter[str] = Counter()
    for source, count in counts.items():
        totals[source.rstrip("0123456789")] += count
    return totals


def test_streamed_corpora_are_sampled_by_weight(tmp_path: Path) -> None:
    config, messages = several(tmp_path, streaming=True), list[str]()
    dev = ["dev: 9 pairs from small.tsv", "dev: 1 pair skipped: longer than data.max_length, 20 tokens, (line 4)"]
    for is_loaded in (False, True):
        prepared = prepare(config, tmp_path / "data", messages.append)
        assert prepared.origins.locate(94) == LineOrigin("small.tsv", 4)
        counted = "train: 90 pairs from big.tsv, 10 pairs from small.tsv"
        summary = "train: big.tsv + small.tsv, as it is read; vocabulary 22"
        assert messages == ([] if is_loaded else [*dev, counted, summary])
        messages.clear()
        counts = streamed(config, prepared)
        assert by_corpus(counts) == {"big": 89, "small": 27}
        assert set(counts.values()) == {1, 3}
        assert messages == [
            "train: 1 pair skipped: big.tsv: longer than data.max_length, 20 tokens, (line 4)",
            "train: 1 pair skipped: small.tsv: longer than data.max_length, 20 tokens, (line 4)",
        ]
        messages.clear()


def test_temperature_flattens_the_sizes_of_streamed_corpora(tmp_path: Path) -> None:
    config = several(tmp_path, streaming=True, temperature=1000.0)
    counts = by_corpus(streamed(config, prepare(config, tmp_path / "data", lambda _: None)))
    assert counts["big"] == pytest.approx(50, abs=1)
    assert counts["small"] == pytest.approx(3 * 50 * 9 / 10, abs=1)  # one of its ten pairs is too long


def test_a_weight_below_one_samples_other_pairs_of_a_stream_in_each_epoch(tmp_path: Path) -> None:
    config = several(tmp_path, streaming=True)
    small, big = config.data.corpora[1], config.data.corpora[0].model_copy(update={"weight": 0.5})
    data = config.data.model_copy(update={"corpora": (big, small)})
    config = config.model_copy(update={"data": data})
    prepared = prepare(config, tmp_path / "data", lambda _: None)
    epochs = [streamed(config, prepared, epoch) for epoch in range(3)]
    assert all(by_corpus(counts)["big"] in (44, 45) for counts in epochs)
    assert len({frozenset(counts) for counts in epochs}) == 3


def test_streamed_corpora_have_their_tags(tmp_path: Path) -> None:
    config = several(tmp_path, streaming=True)
    corpora = [corpus.model_copy(update={"tags": (f"t{n}",)}) for n, corpus in enumerate(config.data.corpora)]
    config = config.model_copy(update={"data": config.data.model_copy(update={"corpora": tuple(corpora)})})
    prepared = prepare(config, tmp_path / "data", lambda _: None)
    size, decode = prepared.tokenizers.source.size, prepared.tokenizers.source.decode
    batches = islice(prepared.loader(config), 20)
    tags = {(decode(row)[0], row[0] - size) for batch in batches for row in batch.source.tolist()}
    assert tags == {("b", -2), ("s", -1)}


def test_missing_sizes_of_corpora_are_an_error(tmp_path: Path) -> None:
    config = several(tmp_path, streaming=True)
    prepare(config, tmp_path / "data", lambda _: None)
    table = tmp_path / "data" / PREPARED
    table.write_text(table.read_text().replace("[90, 10]", "[90]"))
    with pytest.raises(DataError, match="start a new run"):
        prepare(config, tmp_path / "data", lambda _: None)


def test_sources_start_with_the_tags_of_their_corpus(tmp_path: Path) -> None:
    several(tmp_path)
    corpora = [{"file": str(tmp_path / f"{name}.tsv"), "tags": [name, "all"]} for name in ("big", "small")]
    dev = [{**corpus, "dev_file": corpus["file"]} for corpus in corpora]
    table = {
        "data": {"corpora": dev, "max_length": 22},
        "tokenizer": {"kind": "character"},
        "model": {"architecture": "transformer2017"},
    }
    config = parse_config(table, ARCHITECTURES, where="test")
    prepared = prepare(config, tmp_path / "data", lambda _: None)
    size = prepared.tokenizers.source.size
    for index, line in ((0, 1), (88, 90), (89, 91), (97, 100)):
        assert prepared.store.line(index) == line
        first, second, *_ = prepared.store.source(index).tolist()
        assert (first, second) == (size - 3 if line <= 90 else size - 1, size - 2)
    assert all(id < size - 3 for index in range(98) for id in prepared.store.target(index).tolist())
    tags = Counter(tuple(split_tags(source)[0]) for source, _ in prepared.dev)
    assert tags == {("big", "all"): 89, ("small", "all"): 9}


def test_the_share_of_sources_with_multi_sentence_share_is_stored(tmp_path: Path) -> None:
    pairs = [(f"Number {number}. And more." if number % 4 == 0 else f"Number {number}.", "x") for number in range(120)]
    config = recipe(tmp_path, pairs, held_out=20)
    first, again = (prepare(config, tmp_path / "prepared", lambda _: None) for _ in range(2))
    train, _ = split_corpus(config)
    assert first.multi_sentence_share == again.multi_sentence_share
    assert first.multi_sentence_share == sum("And" in pair.source for pair in train) / 100


def test_unequal_files_are_reported_before_anything_is_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regard.runs.prepare.STREAM_TOKENIZER_PAIRS", 10)
    (tmp_path / "dev").write_text("1\n2\n")
    config = recipe(tmp_path, PAIRS, streaming=True, dev_source=str(tmp_path / "dev"), dev_target=str(tmp_path / "dev"))
    with (tmp_path / "a").open("a") as file:
        file.write("one more\n")
    with pytest.raises(DataError, match=r"unequal numbers of lines: 101 in .*, 100 in"):
        prepare(config, tmp_path / "prepared", lambda _: None)
