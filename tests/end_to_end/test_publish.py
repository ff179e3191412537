"""`regard publish` and `hf:OWNER/NAME`, with a hub on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml
from tests.end_to_end.helpers import Files, Finished, call, refused
from tests.fake_hub import TOKEN, FakeHub, Repository, serve_hub

import regard
from regard.checkpoints.checkpoint import load_checkpoint
from regard.config.overrides import HUB
from regard.errors import CheckpointError
from regard.runs.card.facts import start_name
from regard.runs.training_request import start_config
from regard.runs.warm_start import resolve_start

NAME = "me/digits"
FILES = {
    *("README.md", "SHA256SUMS", "confidence.json", "config.json", "metrics.json", "model.safetensors"),
    *("recipe.toml", "tokenizer.json", "tokenizer.vocabulary.json"),
}
EDITED_ON_HUB = b"---\nlicense: mit\n---\n# Written on the hub\n"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    with serve_hub(tmp_path / "cache") as server:
        yield server


@pytest.fixture
def mine(run: Path, tmp_path: Path) -> Path:
    """A copy of the shared run."""
    folder = tmp_path / "mine"
    shutil.copytree(run, folder, symlinks=True)
    return folder


def publish(run: Path, *options: str, name: str = NAME) -> Finished:
    finished = call("publish", run, "--to", "hub", name, *options)
    assert TOKEN not in finished.err + finished.out.decode()
    return finished


def published(run: Path, *options: str, name: str = NAME) -> str:
    finished = publish(run, *options, name=name)
    assert finished.code == 0, finished.err
    return finished.err


def test_a_dry_run_lists_the_files_and_connects_to_no_one(mine: Path, hub: FakeHub) -> None:
    before = (mine / "README.md").read_bytes()
    finished = publish(mine, "--dry-run")
    assert finished.code == 0, finished.err
    sizes = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in finished.out.decode().splitlines()}
    assert sizes.pop("total") == sum(sizes.values())
    assert f"nothing is uploaded; these files would go to the private repository {NAME}" in finished.err
    assert not hub.requests
    assert (mine / "README.md").read_bytes() == before
    published(mine)
    files = hub.repositories[NAME].files
    assert sizes == {name: len(files[name]) for name in FILES}


def test_a_published_run_translates_as_the_run_does(mine: Path, hub: FakeHub, files: Files, tmp_path: Path) -> None:
    assert f"translate:  regard translate hf:{NAME} <" in published(mine, "--license", "CC-BY-4.0", name="digits")
    repository = hub.repositories[NAME]
    assert repository.private
    assert repository.files.keys() == {*FILES, ".gitattributes"}
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for name, data in repository.files.items():
        (downloaded / name).write_bytes(data)
    lines = "".join(f"{line}\n" for line in files.test[:20]).encode()
    outputs = [call("translate", model, "--confidence", stdin=lines) for model in (mine, downloaded, f"hf:{NAME}")]
    assert [finished.code for finished in outputs] == [0, 0, 0], outputs
    assert len({finished.out for finished in outputs}) == 1
    assert load_checkpoint(downloaded).step == 240
    card = repository.files["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc-by-4.0"
    assert f"regard translate hf:{NAME} < input.txt" in card
    assert (mine / "README.md").read_bytes() == card.encode()  # the next card of the run says so too
    refused(call("train", "--resume", downloaded), "no run to resume", "train --from")
    refused(call("calibrate", f"hf:{NAME}"), "stays as it is")


def test_no_training_text_and_no_folder_leaves_the_machine(mine: Path, hub: FakeHub, files: Files) -> None:
    published(mine)
    for name, data in hub.repositories[NAME].files.items():
        assert str(files.folder).encode() not in data, name
        assert str(mine.parent).encode() not in data, name
        assert TOKEN.encode() not in data
        if not name.endswith(".safetensors"):
            words = set(re.split(r"[^\w.]+", data.decode()))  # digits within a digest or a decimal fraction are no text
            assert not any(words.issuperset(line.split()) for line in files.train if len(line.split()[0]) > 4), name
    recipe = json.loads(hub.repositories[NAME].files["config.json"])["recipe"]
    assert recipe["data"]["source"] == "train.src"


def test_a_second_publication_updates_the_first(mine: Path, hub: FakeHub, files: Files) -> None:
    published(mine)
    assert "nothing has changed since it was published" in published(mine)
    assert len(hub.repositories[NAME].commits) == 1
    call("evaluate", mine, "--source", files / "test.src", "--reference", files / "test.tgt", "--card")
    published(mine)
    repository = hub.repositories[NAME]
    assert len(repository.commits) == 2
    assert b"test set: `test.src`" in repository.files["README.md"]
    repository.files["README.md"] = EDITED_ON_HUB
    assert "edited there, so it stays" in published(mine)
    assert repository.files["README.md"] == EDITED_ON_HUB
    published(mine, "--replace-card")
    assert repository.files["README.md"] == (mine / "README.md").read_bytes()
    (mine / "README.md").write_text("# Mine\n", encoding="utf-8")  # edited here, twice: both versions are uploaded
    assert "has been edited, so it is uploaded as it is" in published(mine)
    (mine / "README.md").write_text("# Mine, again\n", encoding="utf-8")
    published(mine)
    assert repository.files["README.md"] == b"# Mine, again\n"
    refused(publish(mine, "--license", "mit"), "does not have this licence", "license: mit")


@pytest.mark.parametrize(
    ("request_", "status", "messages"),
    [
        ("GET /api/models", 0, ["the hub cannot be reached", "check the network connection"]),
        ("POST /api/repos/create", 401, ["does not accept the token (HTTP 401", "hf auth login"]),
        ("POST /api/repos/create", 403, ["the token does not allow this (HTTP 403", "may write"]),
        ("POST /api/repos/create", 409, ["another change was made at the same time", "try again"]),
        ("POST /api/models/me/digits/preupload", 500, ["an error of its server (HTTP 500)", "try again later"]),
        ("POST /me/digits.git/info/lfs", 429, ["too many requests", "wait some minutes"]),
        ("PUT /lfs", 0, ["the hub cannot be reached", "check the network connection"]),
        ("POST /api/models/me/digits/commit", 404, ["no such repository (HTTP 404", "check the name"]),
        ("POST /api/models/me/digits/commit", 412, ["another change was made at the same time", "try again"]),
        ("POST /api/models/me/digits/commit", 418, ["answers with HTTP 418"]),
    ],
)
def test_errors_of_the_hub_say_what_to_do(
    mine: Path, hub: FakeHub, request_: str, status: int, messages: list[str]
) -> None:
    hub.failures[request_] = status
    before = (mine / "README.md").read_bytes()
    finished = publish(mine)
    refused(finished, NAME)
    output = " ".join(finished.err.replace(", or the token may not see it", "").split())
    assert all(message in output for message in messages), output
    assert (mine / "README.md").read_bytes() == before
    hub.failures.clear()
    if request_ != "POST /api/repos/create" or status != 409:
        published(mine)


def test_without_a_valid_token_the_message_says_how_to_log_in(mine: Path, hub: FakeHub) -> None:
    with mock.patch.dict(os.environ, {"HF_TOKEN": "hf_wrong"}):
        refused(publish(mine), "does not accept the token (HTTP 401", "hf auth login")
    with pytest.raises(CheckpointError, match="no such repository"):
        regard.load(f"{HUB}me/nothing")


def test_a_repository_of_another_visibility_or_with_another_model_is_refused(mine: Path, hub: FakeHub) -> None:
    hub.repositories[NAME] = Repository(private=False)
    refused(publish(mine), "the repository is public: everyone could download the model", "--public")
    assert "(public)" in published(mine, "--public")
    hub.repositories[NAME].private = True
    refused(publish(mine, "--public"), "the repository is private", "leave out --public")
    hub.repositories["me/bert"] = Repository(files={"config.json": b'{"model_type": "bert"}'})
    refused(publish(mine, name="me/bert"), "was not published by regard", "choose another name")
    published(mine, "--public", name="me/new")
    assert not hub.repositories["me/new"].private


@pytest.mark.parametrize("name", ["a/b/c", "../x", "me/a b", "me/a--b", "/x", ""])
def test_wrong_arguments_are_refused_before_anything_is_sent(mine: Path, hub: FakeHub, name: str) -> None:
    refused(publish(mine, name=name), "is not a valid name of a repository")
    assert not hub.requests


def test_a_wrong_licence_a_full_disk_and_a_missing_library(mine: Path, hub: FakeHub) -> None:
    refused(publish(mine, "--license", "as you like"), "is not an identifier of a licence", "apache-2.0")
    refused(publish(mine, "--license", "own-licence"), "the hub does not accept this", '"license" must be one of')
    full = OSError(28, "No space left on device", "/cache/model")
    with mock.patch("huggingface_hub.snapshot_download", side_effect=full):
        refused(call("translate", "hf:me/full"), "/cache/model: No space left on device", "HF_HOME names the folder")
    with mock.patch.dict("sys.modules", {"huggingface_hub": None}):
        refused(publish(mine), "needs the library huggingface_hub", "pip install 'regard[hub]'")


def test_a_checkpoint_and_a_downloaded_model_can_be_published(mine: Path, hub: FakeHub, tmp_path: Path) -> None:
    published(mine / "best")
    repository = hub.repositories[NAME]
    assert b"training pairs: 1,200" in repository.files["README.md"]
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for name, data in repository.files.items():
        (downloaded / name).write_bytes(data)
    published(downloaded, name="me/copy")
    assert b"training pairs: 1,200" in hub.repositories["me/copy"].files["README.md"]


def test_training_can_start_from_a_model_on_the_hub(mine: Path, hub: FakeHub, tmp_path: Path) -> None:
    published(mine)
    start = start_config(f"hf:{NAME}", None)
    assert start is not None
    assert start.checkpoint == f"hf:{NAME}"
    (tmp_path / "tuned.toml").write_text(f'[start]\ncheckpoint = "hf:{NAME}"\n[data]\ncorpus = "numbers"\n')
    config = regard.read_recipe(tmp_path / "tuned.toml")
    assert config.start is not None
    assert config.start.checkpoint == f"hf:{NAME}"
    assert config.model.architecture == "transformer2017"
    cached = resolve_start(config).start
    assert cached is not None
    assert start_name(cached.checkpoint) == f"hf:{NAME}"
