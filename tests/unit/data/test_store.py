import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.data import store as store_module
from regard.data import store_writer
from regard.data.store import PairStore, verify_store
from regard.errors import DataError

PAIRS = [([4, 5, 6], [7]), ([], [8, 9]), ([10], [])]

sequences = st.lists(st.integers(0, 2**31 - 1), max_size=6)


def contents(store: PairStore) -> list[tuple[list[int], list[int]]]:
    return [(store.source(i).tolist(), store.target(i).tolist()) for i in range(len(store))]


@given(pairs=st.lists(st.tuples(sequences, sequences), max_size=8))
def test_stored_pairs_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[list[int], list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    PairStore.write(folder, "train", pairs)
    store = PairStore.open(folder, "train")
    assert contents(store) == pairs
    assert store.source_lengths.tolist() == [len(source) for source, _ in pairs]
    assert store.target_lengths.tolist() == [len(target) for _, target in pairs]


def test_a_store_larger_than_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = PairStore.write(tmp_path, "full", PAIRS * 50)
    monkeypatch.setattr(store_writer, "CHUNK_PAIRS", 7)
    streamed = PairStore.write(tmp_path, "streamed", iter(PAIRS * 50))
    assert contents(streamed) == PAIRS * 50
    assert streamed.fingerprint == full.fingerprint


@pytest.mark.parametrize(("largest", "dtype"), [(65_535, np.uint16), (65_536, np.int32)])
def test_small_ids_take_two_bytes(tmp_path: Path, largest: int, dtype: type) -> None:
    store = PairStore.write(tmp_path, "train", [([largest], [1])])
    assert store.source(0).dtype == dtype
    assert store.source(0).tolist() == [largest]
    assert store.target(0).dtype == np.uint16


@pytest.mark.parametrize(
    "pairs",
    [
        [([4, 5], [6, 7]), *PAIRS[1:]],
        [([4, 5, 6], [7]), ([10], [8, 9]), ([], [])],
        [(target, source) for source, target in PAIRS],
        PAIRS[:2],
    ],
    ids=["other ids", "other bounds", "swapped sides", "one pair less"],
)
def test_the_fingerprint_depends_on_the_contents_only(tmp_path: Path, pairs: list[tuple[list[int], list[int]]]) -> None:
    first = PairStore.write(tmp_path, "a", PAIRS).fingerprint
    assert PairStore.write(tmp_path, "b", PAIRS).fingerprint == first
    assert PairStore.open(tmp_path, "a").fingerprint == first
    assert PairStore.write(tmp_path, "c", pairs).fingerprint != first


def test_an_index_out_of_range_is_an_error(tmp_path: Path) -> None:
    store = PairStore.write(tmp_path, "train", PAIRS)
    assert store.source(-1).tolist() == [10]
    with pytest.raises(IndexError):
        store.source(3)


def test_a_store_is_replaced_while_another_reads_it(tmp_path: Path) -> None:
    old = PairStore.write(tmp_path, "train", PAIRS)
    new = PairStore.write(tmp_path, "train", PAIRS[1:])
    assert contents(old) == PAIRS
    assert contents(new) == PAIRS[1:]


def test_after_an_error_the_old_store_is_unchanged(tmp_path: Path) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    before = sorted(path.name for path in tmp_path.iterdir())

    def broken() -> Iterator[tuple[list[int], list[int]]]:
        yield PAIRS[0]
        raise DataError("not UTF-8", where="train.en:2")

    with pytest.raises(DataError, match="not UTF-8"):
        PairStore.write(tmp_path, "train", broken())
    assert contents(PairStore.open(tmp_path, "train")) == PAIRS
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        PairStore.write(tmp_path / "file" / "below", "train", PAIRS)


def test_a_missing_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store of pairs"):
        PairStore.open(tmp_path, "train")


@pytest.mark.parametrize("suffix", store_writer.SUFFIXES)
def test_any_truncation_is_an_error(tmp_path: Path, suffix: str) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    path = tmp_path / f"train.{suffix}"
    original = path.read_bytes()
    for size in range(len(original)):
        path.write_bytes(original[:size])
        with pytest.raises(DataError):
            PairStore.open(tmp_path, "train")
    path.unlink()
    if suffix == "lines.npy":  # a store of an earlier version
        assert PairStore.open(tmp_path, "train").line(2) is None
        return
    with pytest.raises(DataError, match=suffix):
        PairStore.open(tmp_path, "train")


def test_each_pair_has_its_line_or_its_number(tmp_path: Path) -> None:
    store = PairStore.write(
        tmp_path, "train", [(*pair, line) for pair, line in zip(PAIRS, (2, 70_000, 9), strict=True)]
    )
    assert [store.line(index) for index in range(3)] == [2, 70_000, 9]
    assert contents(store) == PAIRS
    plain = PairStore.write(tmp_path, "plain", PAIRS)
    assert [plain.line(index) for index in range(3)] == [1, 2, 3]
    assert plain.fingerprint == store.fingerprint


def test_leftovers_of_a_killed_process_are_deleted(tmp_path: Path) -> None:
    (tmp_path / ".train-x").mkdir()
    (tmp_path / ".train-x" / "source.raw").touch()
    PairStore.write(tmp_path, "train", PAIRS)
    assert not list(tmp_path.glob(".train-*"))


@pytest.mark.parametrize(
    ("suffix", "array"),
    [
        ("source.npy", np.arange(4.0)),
        ("source.npy", np.ones((2, 2), np.uint16)),
        ("source.npy", np.array([{}, 1, 2], dtype=object)),
        ("source.offsets.npy", np.array([0, 3, 2, 4])),
        ("source.offsets.npy", np.array([1, 3, 3, 4])),
        ("source.offsets.npy", np.array([0, 3, 4])),
        ("lines.npy", np.array([1, 2], np.uint16)),
    ],
)
def test_arrays_of_the_wrong_kind_are_errors(tmp_path: Path, suffix: str, array: np.ndarray) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    np.save(tmp_path / f"train.{suffix}", array, allow_pickle=True)
    with pytest.raises(DataError, match=suffix):
        PairStore.open(tmp_path, "train")


@pytest.mark.parametrize(
    "header",
    ["[]", "{}", '{"format": 1, "pairs": "x", "fingerprint": ""}', '{"format": 1, "pairs": -1, "fingerprint": ""}'],
)
def test_an_invalid_header_is_an_error(tmp_path: Path, header: str) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    (tmp_path / "train.json").write_text(header)
    with pytest.raises(DataError):
        PairStore.open(tmp_path, "train")


def test_a_later_format_is_an_error(tmp_path: Path) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    path = tmp_path / "train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(DataError, match="format 2"):
        PairStore.open(tmp_path, "train")


SIZES = (100, 100)  # of vocabularies


@pytest.mark.parametrize("suffix", store_writer.SUFFIXES[:-1])
def test_any_changed_number_is_an_error_that_names_the_file(tmp_path: Path, suffix: str) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    verify_store(tmp_path, "train", SIZES)
    path = tmp_path / f"train.{suffix}"
    original = path.read_bytes()
    for place in range(128, len(original)):  # after the header of the .npy
        path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
        with pytest.raises(DataError, match="has changed since it was written") as caught:
            verify_store(tmp_path, "train", SIZES)
        assert caught.value.where == str(path)


def test_stores_of_earlier_versions_have_a_single_checksum(tmp_path: Path) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    header = json.loads((tmp_path / "train.json").read_text())
    del header["digests"]
    (tmp_path / "train.json").write_text(json.dumps(header))
    (tmp_path / "train.lines.npy").unlink()
    verify_store(tmp_path, "train", SIZES)
    path = tmp_path / "train.target.npy"
    original = path.read_bytes()
    path.write_bytes(original[:-2] + b"\1\0")
    with pytest.raises(DataError, match=r"train\.\*\.npy: .* has changed since it was written"):
        verify_store(tmp_path, "train", SIZES)


@pytest.mark.parametrize(("sizes", "side"), [((10, 100), "source"), ((100, 9), "target")])
def test_ids_beyond_the_vocabulary_are_an_error(tmp_path: Path, sizes: tuple[int, int], side: str) -> None:
    PairStore.write(tmp_path, "train", PAIRS)
    verify_store(tmp_path, "train", (11, 10))
    with pytest.raises(DataError, match=rf"{side}\.npy: it contains the token"):
        verify_store(tmp_path, "train", sizes)


def test_a_store_is_verified_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PairStore.write(tmp_path, "train", PAIRS * 50)
    PairStore.write(tmp_path, "empty", [])
    monkeypatch.setattr(store_module, "BLOCK", 7)
    verify_store(tmp_path, "train", SIZES)
    verify_store(tmp_path, "empty", SIZES)
