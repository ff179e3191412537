"""Errors of the input are a message of a line or two: what is wrong, where, and what to do. No traceback."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tests.end_to_end.helpers import Files, call, file_bytes, recipe, refused, start, write_lines

from regard.checkpoints.run_folder import RunFolder
from regard.cli.streams import input_lines, output
from regard.errors import DataError


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of files that are wrong, each in its way."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "latin").write_bytes("1\n2\né\n".encode("latin-1"))
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08 no gzip")
    write_lines(tmp_path / "three", ["1", "2", "3"])
    write_lines(tmp_path / "two", ["1", "2"])
    write_lines(tmp_path / "blank", ["1", "", "3"])
    return tmp_path


CHECKPOINTS = [
    ("nowhere", "there is no such folder"),
    (".", "this is neither a run"),
    ("three", "neither a run"),
]
BAD_FILES = [
    ("missing", ("missing", "there is no such file")),
    ("latin", ("latin:3", "not UTF-8")),
    ("broken.gz", ("broken.gz", "gzip file is corrupt")),
    (".", ("this is a folder",)),
]


@pytest.mark.parametrize(("name", "messages"), CHECKPOINTS)
@pytest.mark.parametrize("command", ["translate", "evaluate", "score"])
def test_no_checkpoint(bad: Path, command: str, name: str, messages: str) -> None:
    files: dict[str, list[str | Path]] = {"evaluate": ["--source", bad / "two", "--reference", bad / "two"]}
    files["score"] = ["--source", bad / "two", "--target", bad / "two"]
    refused(call(command, bad / name, *files.get(command, []), stdin=b"1\n"), messages, str(bad / name))


@pytest.mark.parametrize(("name", "messages"), BAD_FILES)
def test_input_that_cannot_be_read(run: Path, bad: Path, name: str, messages: tuple[str, ...]) -> None:
    path, good = bad / name, bad / "three"
    refused(call("translate", run, "--input", path, "--output", bad / "out"), *messages)
    refused(call("evaluate", run, "--source", path, "--reference", good), *messages)
    refused(call("evaluate", run, "--source", good, "--reference", path), *messages)
    refused(call("score", run, "--source", path, "--target", good), *messages)
    refused(call("score", run, "--source", good, "--target", path), *messages)


def test_an_output_is_left_alone_where_the_input_is_missing(run: Path, bad: Path) -> None:
    refused(call("translate", run, "--input", bad / "missing", "--output", bad / "three"), "missing")
    options = ("--top-beams", "5", "--beam-size", "2")
    refused(call("translate", run, "--input", bad / "two", "--output", bad / "three", *options), "top_beams is 5")
    assert (bad / "three").read_text() == "1\n2\n3\n"


def test_no_file_is_written_over_while_it_is_read(run: Path, bad: Path) -> None:
    three, two, out = bad / "three", bad / "two", bad / "out"
    (bad / "link").symlink_to(three)
    refused(call("translate", run, "--input", three, "--output", three), str(three), "overwritten")
    refused(call("translate", run, "--input", three, "--output", bad / "link"), "overwritten")
    refused(call("translate", run, "--input", three, "--output", out, "--alignments", three), "overwritten")
    refused(call("translate", run, "--input", three, "--output", out, "--alignments", out), "overwritten")
    refused(call("score", run, "--source", two, "--target", two, "--output", two), "overwritten")
    assert three.read_text() == "1\n2\n3\n"
    nowhere = ("--output", os.devnull, "--alignments", os.devnull)
    assert call("translate", run, "--input", os.devnull, *nowhere).code == 0


def test_empty_files(run: Path, bad: Path) -> None:
    empty = bad / "empty"
    assert call("translate", run, "--input", empty).out == b""
    assert call("score", run, "--source", empty, "--target", empty).out == b""
    refused(call("evaluate", run, "--source", empty, "--reference", empty), "no lines", str(empty))


def test_sides_of_unequal_length(run: Path, bad: Path) -> None:
    sides = ("--source", bad / "three", "--reference", bad / "two")
    refused(call("evaluate", run, *sides), "3 and 2 lines", "three", "two")
    refused(call("score", run, "--source", bad / "two", "--target", bad / "three"), "2 and 3 lines")


def test_one_side_blank(run: Path, bad: Path) -> None:
    three, blank = bad / "three", bad / "blank"
    scored = call("score", run, "--source", three, "--target", blank)  # an empty target has a probability too
    assert (scored.code, scored.out.count(b"\n")) == (0, 3)
    refused(call("score", run, "--source", blank, "--target", three), f"{blank}:2", "no source")
    assert call("evaluate", run, "--source", blank, "--reference", three).code == 0


def test_outputs_that_cannot_be_written(run: Path, bad: Path) -> None:
    out = "cannot be written"
    refused(call("translate", run, "--output", bad, stdin=b"1\n"), out, str(bad))
    refused(call("translate", run, "--output", bad / "three" / "x", stdin=b"1\n"), out)
    refused(call("translate", run, "--output", "/dev/full", stdin=b"1\n"), out, "/dev/full")
    refused(call("translate", run, "--alignments", "/dev/full", stdin=b"1\n"), out, "/dev/full")
    refused(call("score", run, "--source", bad / "two", "--target", bad / "two", "--output", "/dev/full"), out)


def test_standard_output_that_is_full(run: Path, bad: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("translate", run, "--input", bad / "two", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert b"standard output" in err and b"cannot be written" in err and b"what to do" in err
    assert b"Traceback" not in err and b"Exception" not in err


def test_standard_streams_that_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    with pytest.raises(DataError, match="standard input"):
        input_lines(None)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(DataError, match="standard output"), output(None):
        pass


def test_values_that_do_not_go_together(run: Path) -> None:
    refused(call("translate", run, "--top-beams", "5", "--beam-size", "2", stdin=b"1\n"), "top_beams is 5", "finds 2")
    for options in (["--beam-size", "0"], ["--batch-size", "no"], ["--nonsense"], ["--length-penalty", "-1"]):
        refused(call("translate", run, *options, stdin=b"1\n"), options[0], code=2)
    refused(call("translate"), "RUN", code=2)
    refused(call("nonsense"), "nonsense", code=2)
    refused(call("evaluate", run), "no test set is given", "--reference")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(run: Path, bad: Path, files: Files, tmp_path: Path) -> None:
    two = bad / "two"
    refused(call("translate", run, "--device", "cuda", stdin=b"1\n"), "'cuda'")
    refused(call("evaluate", run, "--source", two, "--reference", two, "--device", "cuda"), "'cuda'")
    refused(call("score", run, "--source", two, "--target", two, "--device", "no"), "'no'", code=2)
    recipe(files)
    refused(
        call("train", files / "tiny.toml", "--set", "train.device=cuda", "--out", tmp_path / "run"),
        "'cuda'",
    )
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_a_later_format_or_damaged(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    shutil.copytree(run / "last", folder)
    text = (folder / "config.json").read_text()
    header = json.loads(text)
    (folder / "config.json").write_text(json.dumps({**header, "format": 99, "regard": "9.1"}))
    refused(call("translate", folder, stdin=b"1\n"), "format 99", "9.1", "upgrade")
    (folder / "config.json").write_text(json.dumps(header)[:-9])
    refused(call("translate", folder, stdin=b"1\n"), "config.json", "damaged")
    (folder / "config.json").write_text(text.replace('"beam_size": 4', '"beam_size": 3'))
    refused(call("translate", folder, stdin=b"1\n"), "config.json", "damaged", "on purpose, delete SHA256SUMS")
    (folder / "config.json").write_text(text)
    os.truncate(folder / "model.safetensors", 1000)
    refused(call("translate", folder, stdin=b"1\n"), "model.safetensors", "damaged")


def test_a_recipe_that_is_wrong(files: Files, tmp_path: Path) -> None:
    recipe(files)
    text = (files / "tiny.toml").read_text()

    def refuse(*messages: str, changed: str = text, options: tuple[str, ...] = ()) -> None:
        (files / "wrong.toml").write_text(changed)
        refused(call("train", files / "wrong.toml", "--out", tmp_path / "run", *options), *messages)

    refuse("unknown key `train.max_stepz`", "max_steps", changed=text.replace("max_steps", "max_stepz"))
    refuse("unknown key `tran`", "train", changed=text.replace("[train]", "[tran]"))
    refuse("cannot be read", "TOML", "--data", changed=text.replace("[train]", "[train"))
    refuse("model", "transformer2017", changed=text.replace("transformer2017", "transformer2018"))
    refuse("train.nonsense", options=("--set", "train.nonsense=1"))
    refuse("train.max_steps", "'many'", options=("--set", "train.max_steps=many"))
    refuse("train.max_steps", options=("--set", "train.max_steps=0"))
    refuse("model.num_heads", options=("--set", "model.num_heads=2.5"))
    refuse("section.key=value", options=("--set", "nonsense"))
    refused(call("train", files / "nowhere.toml"), "there is no such recipe", "nowhere.toml")
    refused(call("train"), "nothing to train on", "--source")
    refused(call("train", "--source", files / "train.src"), "--target")
    sides = ("--source", files / "train.src", "--target", files / "train.tgt")
    refused(call("train", *sides, "--dev-source", files / "dev.src"), "--dev-target")
    refused(call("train", *sides, "--set", "train.max_stepz=1"), "max_stepz", "max_steps")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "messages"), [*BAD_FILES, ("empty", ("empty", "the file is empty"))])
@pytest.mark.parametrize("side", ["source", "target", "dev-source", "dev-target"])
def test_training_files_that_cannot_be_read(
    files: Files, bad: Path, side: str, name: str, messages: tuple[str, ...]
) -> None:
    recipe(files)
    refused(call("train", files / "tiny.toml", f"--{side}", bad / name, "--out", bad / "run"), *messages)
    if not side.startswith("dev"):
        other_side = {"source": "--target", "target": "--source"}[side]
        refused(call("train", f"--{side}", bad / name, other_side, bad / "three", "--out", bad / "own"), *messages)
        assert not (bad / "own").exists()


def test_training_sides_of_unequal_length(files: Files, bad: Path) -> None:
    sides = ("--source", bad / "three", "--target", bad / "two")
    refused(call("train", *sides, "--out", bad / "run"), "3 in", "2 in", "three", "two")
    refused(call("train", files / "tiny.toml", *sides, "--out", bad / "run"), "3 in", "2 in")


def test_blank_and_long_lines_are_left_aside_and_counted(files: Files, tmp_path: Path) -> None:
    recipe(files)
    source = write_lines(tmp_path / "s", ["1", "", "3", "123456789", "5", "6 7"])
    target = write_lines(tmp_path / "t", ["1", "2", " ", "987654321", "5", "7 6"])
    sides = ("--source", source, "--target", target)
    options = ("--set", "data.max_length=8", "--set", "train.max_steps=1", "--out", tmp_path / "run")
    finished = call("train", files / "tiny.toml", *sides, *options)
    assert finished.code == 0, finished.err
    assert "train: 3 pairs" in finished.err
    assert "train: 1 pair skipped: the source is blank (line 2)" in finished.err
    assert "train: 1 pair skipped: the target is blank (line 3)" in finished.err
    assert "train: 1 pair skipped: longer than data.max_length, 8 tokens, (line 4)" in finished.err
    assert call("translate", tmp_path / "run", stdin=b"12345678901234567890\n").out.count(b"\n") == 1
    sides = ("--dev-source", source, "--dev-target", target)
    options = ("--set", "data.max_length=8", "--set", "train.max_steps=1", "--out", tmp_path / "dev")
    finished = call("train", files / "tiny.toml", *sides, *options)
    assert "dev: 3 pairs" in finished.err
    assert "dev: 1 pair skipped: longer than data.max_length, 8 tokens, (line 4)" in finished.err


def test_a_vocabulary_that_the_corpus_does_not_allow(files: Files, tmp_path: Path) -> None:
    recipe(files)
    options = ("--set", "tokenizer.kind=unigram", "--set", "tokenizer.vocabulary_size=5000")
    finished = call("train", files / "tiny.toml", *options, "--out", tmp_path / "run")
    refused(finished, "a vocabulary of 5000", "tokenizer.vocabulary_size", "or less")


def test_no_run_goes_into_the_folder_of_another(run: Path, files: Files, tmp_path: Path) -> None:
    before = file_bytes(run)
    refused(call("train", files / "tiny.toml", "--out", run), "the folder already contains a run", f"--resume {run}")
    (tmp_path / "note").write_text("mine")
    refused(call("train", files / "tiny.toml", "--out", tmp_path), "not empty")
    assert (tmp_path / "note").read_text() == "mine"
    with RunFolder(run).lock():
        refused(call("train", files / "tiny.toml", "--out", run), str(run))
        refused(call("train", "--resume", run), "another process is using this run", str(os.getpid()))
    after = file_bytes(run)
    assert {name: after[name] for name in after if name != "lock"} == {
        name: before[name] for name in before if name != "lock"
    }


def test_resuming_what_is_no_run(run: Path, files: Files, tmp_path: Path) -> None:
    refused(call("train", "--resume", tmp_path), "no run to resume", str(tmp_path))
    refused(call("train", "--resume", tmp_path / "nowhere"), "no run to resume")
    refused(call("train", files / "tiny.toml", "--resume", run), "--resume", "no other argument")
    refused(call("train", "--resume", run, "--dry-run"), "--resume", "no other argument")
    refused(call("train", "--resume", run, "--set", "train.seed=2"), "`train.seed` cannot change", "order of the batch")


def test_a_run_that_cannot_be_put_there(files: Files, bad: Path) -> None:
    recipe(files)
    finished = call("train", files / "tiny.toml", "--out", bad / "three" / "run")
    assert finished.code == 1
    assert "Traceback" not in finished.err
    assert str(bad / "three") in finished.err
    finished = call("train", files / "tiny.toml", "--out", bad / "three")
    assert (finished.code, "Traceback" in finished.err) == (1, False)


def test_the_demo_leaves_other_folders_alone(bad: Path) -> None:
    refused(call("demo", "--out", bad), "not from an earlier demo", str(bad))
    finished = call("demo", "--out", bad / "three")
    assert (finished.code, "Traceback" in finished.err) == (1, False)


def test_version_and_help() -> None:
    import regard

    assert call("version").out.decode() == f"{regard.__version__}\n"
    for command in ("train", "translate", "evaluate", "score", "demo"):
        shown = call(command, "--help")
        assert shown.code == 0
        assert b"Usage" in shown.out
