"""`regard data get`, against a server on this machine."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.end_to_end.helpers import call
from tests.file_server import FileServer, serve_files
from tests.shared_data import SHARED

from regard.config.data_folder import find_data_file
from regard.corpus import datasets as module
from regard.corpus.datasets import Archive, Dataset, RemoteFile, datasets, download, find_dataset, is_complete
from regard.corpus.splits import split_linked
from regard.errors import ConfigError, DataError
from regard.runs.train import read_recipe

ENGLISH = "".join(f"sentence number {number} of the corpus\n" for number in range(2000)).encode()
GERMAN = "".join(f"Satz Nummer {number} des Korpus\n" for number in range(2000)).encode()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_files() as server:
        yield server


def remote(server: FileServer, name: str, text: bytes, url: str | None = None) -> RemoteFile:
    return RemoteFile(name, server.url(url or name), len(text), hashlib.sha256(text).hexdigest())


@pytest.fixture
def dataset(server: FileServer) -> Dataset:
    """Three files: compressed at the source and here, only here, and nowhere."""
    server.pages |= {"train.en.gz": gzip.compress(ENGLISH), "train.de": GERMAN, "words.tsv": b"a\tb\n"}
    files = (
        remote(server, "train.en.gz", ENGLISH),
        remote(server, "tok/train.de.gz", GERMAN, "train.de"),
        remote(server, "words.tsv", b"a\tb\n"),
    )
    return Dataset("toy", "a toy corpus", "public domain", "http://example.org", files)


def test_files_are_stored_by_their_names(dataset: Dataset, tmp_path: Path) -> None:
    sizes: list[int] = []
    assert not is_complete(dataset, tmp_path)
    download(dataset, tmp_path, sizes.append)
    assert gzip.decompress((tmp_path / "train.en.gz").read_bytes()) == ENGLISH
    assert gzip.decompress((tmp_path / "tok" / "train.de.gz").read_bytes()) == GERMAN
    assert (tmp_path / "words.tsv").read_bytes() == b"a\tb\n"
    assert sum(sizes) == dataset.size
    assert is_complete(dataset, tmp_path)


def test_only_what_is_missing_is_downloaded(dataset: Dataset, server: FileServer, tmp_path: Path) -> None:
    server.truncated = {"train.de"}
    with pytest.raises(DataError, match="ended"):
        download(dataset, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["train.en.gz"]
    server.truncated, server.requests = set(), []
    download(dataset, tmp_path)
    assert server.requests == ["train.de", "words.tsv"]
    (tmp_path / "words.tsv").write_text("damaged")
    assert not is_complete(dataset, tmp_path)


@pytest.mark.parametrize("name", ["train.en.gz", "train.de", "words.tsv"])
def test_a_truncated_download_stores_nothing(dataset: Dataset, server: FileServer, tmp_path: Path, name: str) -> None:
    server.truncated = {name}
    with pytest.raises(DataError, match="the download failed"):
        download(dataset, tmp_path)
    assert not list(tmp_path.rglob("*.part*"))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", ["files", "archive"])
def test_a_file_in_the_place_of_a_folder_is_named(
    dataset: Dataset, server: FileServer, tmp_path: Path, kind: str
) -> None:
    corpus = dataset if kind == "files" else archive(server, ENGLISH, GERMAN)
    (file := tmp_path / "data").touch()
    for folder in (file / "toy", file):
        with pytest.raises(DataError, match="this is a file, but must be a folder") as raised:
            download(corpus, folder)
        assert (raised.value.where, raised.value.fix) == (
            str(file),
            "move or delete the file, or choose another folder for corpora",
        )


def test_a_folder_in_the_place_of_a_file_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "words.tsv").mkdir()
    with pytest.raises(DataError, match="this is a folder, but must be a file") as raised:
        download(dataset, tmp_path)
    assert raised.value.where == str(tmp_path / "words.tsv")


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "free disk space"), (errno.EACCES, "choose a folder that you can write to")]
)
def test_the_advice_suits_the_cause(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_write", fail)
    with pytest.raises(DataError, match=os.strerror(number)) as raised:
        download(dataset, tmp_path)
    assert advice in (raised.value.fix or "")


def test_a_wrong_checksum_stores_nothing(dataset: Dataset, server: FileServer, tmp_path: Path) -> None:
    server.pages["words.tsv"] = b"a\tc\n"
    with pytest.raises(DataError, match=r"SHA-256 of the file is [0-9a-f]{64}, but should be"):
        download(dataset, tmp_path)
    assert not (tmp_path / "words.tsv").exists()


def test_a_file_without_end_is_not_read_on(dataset: Dataset, server: FileServer, tmp_path: Path) -> None:
    server.pages["train.en.gz"] = gzip.compress(bytes(100_000_000))
    sizes: list[int] = []
    with pytest.raises(DataError, match="SHA-256"):
        download(dataset, tmp_path, sizes.append)
    assert sum(sizes) <= len(ENGLISH) + 1


def test_no_network_and_no_such_page(dataset: Dataset, server: FileServer, tmp_path: Path) -> None:
    del server.pages["train.en.gz"]
    with pytest.raises(DataError, match="the server answers 404"):
        download(dataset, tmp_path)
    nowhere = Dataset("x", "", "", "", (RemoteFile("a", "http://127.0.0.1:9/a", 1, "0"),))
    with pytest.raises(DataError, match="check the network"):
        download(nowhere, tmp_path)


COMMANDS = b"".join(b"run %d times\tRUN%s\n" % (number, b" RUN" * (number % 9)) for number in range(9000))
PUBLISHED = b"".join(b"IN: %s OUT: %s\n" % tuple(line.split(b"\t")) for line in COMMANDS.splitlines())


@pytest.fixture
def converted(server: FileServer) -> Dataset:
    """Two files, published in another form than that in which they are stored."""
    server.pages |= {"train.txt": PUBLISHED, "test.txt": PUBLISHED}
    files = tuple(
        replace(remote(server, f"{split}.tsv.gz", COMMANDS, f"{split}.txt"), columns="IN: (.+) OUT: (.+)")
        for split in ("train", "test")
    )
    return Dataset("toy", "a toy corpus", "public domain", "http://example.org", files)


def test_lines_are_converted_to_columns(converted: Dataset, server: FileServer, tmp_path: Path) -> None:
    sizes: list[int] = []
    assert len(PUBLISHED) > 4 * module.CHUNK_BYTES  # lines cross the ends of chunks
    download(converted, tmp_path, sizes.append)
    assert gzip.decompress((tmp_path / "train.tsv.gz").read_bytes()) == COMMANDS
    assert sum(sizes) == converted.size == 2 * len(COMMANDS)
    assert is_complete(converted, tmp_path)
    server.requests = []
    download(converted, tmp_path)
    assert server.requests == []


@pytest.mark.parametrize("line", [b"run\tRUN", b"", b"IN: run OUT: ", b"IN: run OUT: RUN\r", b"IN: " + b"run" * 30_000])
def test_a_line_of_another_form_is_named(converted: Dataset, server: FileServer, tmp_path: Path, line: bytes) -> None:
    lines = PUBLISHED.splitlines(keepends=True)
    server.pages["test.txt"] = b"".join([*lines[:7000], line + b"\n", *lines[7000:]])
    expected = "SHA-256 of the file" if line.endswith(b"\r") else "does not have the form IN: (.+) OUT: (.+)"
    with pytest.raises(DataError, match=re.escape(expected)) as raised:
        download(converted, tmp_path)
    assert raised.value.where == server.url("test.txt") + ("" if line.endswith(b"\r") else ":7001")
    assert [path.name for path in tmp_path.iterdir()] == ["train.tsv.gz"]


@pytest.mark.parametrize("size", [-1, len(PUBLISHED) // 2, PUBLISHED.index(b"\n", len(PUBLISHED) // 2) + 1])
def test_a_converted_text_that_ends_early_is_refused(
    converted: Dataset, server: FileServer, tmp_path: Path, size: int
) -> None:
    server.pages["test.txt"] = PUBLISHED[:size]
    with pytest.raises(DataError, match=r"the download failed: it ended (in line|after) "):
        download(converted, tmp_path)
    assert not (tmp_path / "test.tsv.gz").exists()


@pytest.mark.parametrize("endless", [b"IN: a OUT: b\n" * 1_000_000, b"a" * 10_000_000])
def test_a_converted_text_without_end_is_not_read_on(
    converted: Dataset, server: FileServer, tmp_path: Path, endless: bytes
) -> None:
    server.pages["train.txt"] = endless
    sizes: list[int] = []
    with pytest.raises(DataError):
        download(converted, tmp_path, sizes.append)
    assert sum(sizes) <= 4 * len(COMMANDS)
    assert not list(tmp_path.iterdir())


def test_the_commands_of_scan_are_converted(server: FileServer, tmp_path: Path) -> None:
    if not SHARED.exists():
        pytest.skip("the shared corpora are missing")
    scan = find_dataset("scan")
    stored = next(file for file in scan.files if file.name == "length.test.tsv.gz")
    lines = gzip.decompress((SHARED / "scan" / stored.name).read_bytes()).splitlines()
    server.pages["published"] = b"".join(b"IN: %s OUT: %s\n" % tuple(line.split(b"\t")) for line in lines)
    # the SHA-256 of the published file, by the Hugging Face Hub's records of this corpus
    published = hashlib.sha256(server.pages["published"]).hexdigest()
    assert published == "0760752ed34a75116ae11dcc1ee17526b7500060da1366540730fa24894d7db3"
    download(replace(scan, files=(replace(stored, url=server.url("published")),)), tmp_path)
    assert gzip.decompress((tmp_path / stored.name).read_bytes()).splitlines() == lines


def archive(server: FileServer, english: bytes, german: bytes) -> Dataset:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as members:
        members.writestr("toy.en", english)
        members.writestr("toy.de", german)
    server.pages["toy.zip"] = buffer.getvalue()
    parts = Archive(server.url("toy.zip"), ("en", "toy.en"), ("de", "toy.de"), 100)
    return Dataset("toy", "a toy corpus", "CC BY 2.0", "http://example.org", archive=parts)


def test_an_archive_is_split(server: FileServer, tmp_path: Path) -> None:
    dataset = archive(server, ENGLISH, GERMAN)
    download(dataset, tmp_path)
    assert is_complete(dataset, tmp_path)
    english, german = (
        {name: gzip.decompress((tmp_path / f"{name}.{side}.gz").read_bytes()) for name in ("train", "dev", "test")}
        for side in ("en", "de")
    )
    assert [len(english[name].splitlines()) for name in ("dev", "test")] == [100, 100]
    assert sorted(b"".join(english.values()).splitlines()) == sorted(ENGLISH.splitlines())
    for name in english:
        numbers = [[int(line.split()[2]) for line in side[name].splitlines()] for side in (english, german)]
        assert numbers[0] == numbers[1]


def test_an_archive_keeps_the_checksum_of_its_first_download(server: FileServer, tmp_path: Path) -> None:
    dataset = archive(server, ENGLISH, GERMAN)
    download(dataset, tmp_path)
    (tmp_path / "dev.en.gz").unlink()
    archive(server, ENGLISH, GERMAN + b"")
    server.pages["toy.zip"] += b" "
    with pytest.raises(DataError, match="SHA-256"):
        download(dataset, tmp_path)


@pytest.mark.parametrize("page", [b"no zip", None])
def test_a_broken_archive_is_refused(server: FileServer, tmp_path: Path, page: bytes | None) -> None:
    dataset = archive(server, ENGLISH, GERMAN + b"one more\n")
    if page is not None:
        server.pages["toy.zip"] = page
    with pytest.raises(DataError, match=r"not the expected archive|2,000 and 2,001 lines"):
        download(dataset, tmp_path)


def test_linked_pairs_are_in_one_split() -> None:
    pairs = [(f"this is sentence {letter}", f"Satz {letter}") for letter in "abcdefghijklmnopqrstuvwxyz"]
    pairs += [("This is sentence a!", "Satz A anders"), ("something else entirely different", "satz b")]
    splits = split_linked(pairs, 2)
    assert split_linked(pairs[::-1], 2)["dev"] == splits["dev"]
    assert len(splits["dev"]) == len(splits["test"]) == 2
    for name in ("dev", "test"):
        for source, target in splits[name]:
            for other_source, other_target in splits["train"]:
                assert source.lower().strip("!") != other_source.lower().strip("!")
                assert target.lower() != other_target.lower()


def test_the_command_downloads_what_is_missing(
    dataset: Dataset, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "datasets", lambda: {"toy": dataset})
    monkeypatch.setenv("REGARD_DATA", str(tmp_path))
    before = call("data", "list")
    assert "toy (not downloaded)" in before.out.decode()
    first = call("data", "get", "toy")
    assert first.code == 0, first.err
    assert "licence: public domain" in first.err
    assert (tmp_path / "toy" / "train.en.gz").is_file()
    server.requests = []
    again = call("data", "get", "toy")
    assert (again.code, server.requests) == (0, [])
    assert "complete" in again.err
    with monkeypatch.context() as context:  # listing reads no file: hashing large corpora takes long
        context.setattr(module, "_digest", lambda path: pytest.fail(f"{path} is read"))
        assert "toy (in " in call("data", "list").out.decode()
    unknown = call("data", "get", "nonsense")
    assert unknown.code == 1
    assert "choose one of: toy" in unknown.err


def test_published_corpora_are_those_of_the_shared_folder() -> None:
    if not SHARED.exists():
        pytest.skip("the shared corpora are missing")
    for name, dataset in datasets().items():
        if dataset.archive is None:
            assert is_complete(dataset, SHARED / name), name
    with pytest.raises(ConfigError, match="choose one of"):
        find_dataset("nonsense")
    assert datasets()["tatoeba-en-de"].size is None


def test_data_files_are_looked_for_in_several_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGARD_DATA", raising=False)
    for folder in ("data/a", "recipes", "elsewhere/a"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data/a/x").touch()
    assert find_data_file("data/a/x", Path("recipes")).samefile("data/a/x")
    assert find_data_file("data/a/x").samefile("data/a/x")
    assert find_data_file("data/a/y", Path("recipes")) == Path("recipes/data/a/y")
    assert find_data_file("other/x", Path("recipes")) == Path("recipes/other/x")
    with contextlib.chdir(tmp_path / "recipes"):  # a path of the command line is not looked for in the folder above
        assert not find_data_file("data/a/x").exists()
    monkeypatch.setenv("REGARD_DATA", str(tmp_path / "elsewhere"))
    assert find_data_file("data/a/x", Path("recipes")).samefile("data/a/x")
    (tmp_path / "elsewhere/a/x").touch()
    assert find_data_file("data/a/x", Path("recipes")).samefile("elsewhere/a/x")


def test_a_missing_file_of_a_published_corpus_says_how_to_get_it(tmp_path: Path) -> None:
    refused = call("train", "--source", "data/toy/train.en", "--target", "data/toy/train.de", "--out", tmp_path / "run")
    assert refused.code == 1
    assert "regard data get toy" in refused.err


def test_recipes_find_data_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpora" / "toy").mkdir(parents=True)
    (tmp_path / "corpora" / "toy" / "train.tsv").write_text("a\tb\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[data]\nfile = "data/toy/train.tsv"\n[model]\narchitecture = "modern"\n')
    monkeypatch.setenv("REGARD_DATA", str(tmp_path / "corpora"))
    for overrides in ([], ["data.file=data/toy/train.tsv"]):
        config = read_recipe(recipe, overrides)
        assert config.data.file == str((tmp_path / "corpora/toy/train.tsv").resolve())


def test_the_command_line_finds_data_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpora" / "toy").mkdir(parents=True)
    for name in ("train.en", "train.de"):
        (tmp_path / "corpora" / "toy" / name).write_bytes(b"")
    monkeypatch.setenv("REGARD_DATA", str(tmp_path / "corpora"))
    refused = call("train", "--source", "data/toy/train.en", "--target", "data/toy/train.de", "--out", tmp_path / "run")
    assert "no such file" not in refused.err
