"""`regard shortlist`, and translating with what it makes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from tests.end_to_end.helpers import Files, call, recipe, refused

import regard
from regard.config.recipe import override_config
from regard.inference.translator import Translator
from regard.models import ARCHITECTURES
from regard.special_tokens import PAD
from regard.tokenizers.base import Tokenizers

SHORT = ("--search", "shortlist=true")


def copied(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def short(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with a shortlist by which a digit becomes itself, but 7 is never said."""
    folder = copied(run, tmp_path_factory.mktemp("short") / "run")
    finished = call("shortlist", folder, "--candidates", "1", "--frequent", "0")
    assert finished.code == 0, finished.err
    assert "1,200 pairs" in finished.err
    assert "iteration 5 of 5" in finished.err
    path = folder / "shortlist.safetensors"
    assert str(path) in finished.err
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    source = Tokenizers.load(folder / "data").source
    for digit in source.encode("0123456789 "):
        assert tensors["candidates"][digit].tolist() == [digit]
    assert tensors["frequent"].tolist() == []
    tensors["candidates"][source.encode("7")] = PAD
    save_file(tensors, path, metadata)
    return folder


def translate_lines(run: Path, lines: list[str], *options: str | Path) -> list[str]:
    finished = call("translate", run, *options, stdin="".join(f"{line}\n" for line in lines).encode())
    assert finished.code == 0, finished.err
    return finished.out.decode().split("\n")[:-1]


def test_a_line_is_said_by_its_own_digits_whatever_its_company(run: Path, short: Path, files: Files) -> None:
    lines = [*files.test, "", "55555 66666 77777"]
    results = translate_lines(short, lines, *SHORT)
    for line, translation in zip(lines, results, strict=True):
        assert {*translation} <= {*line} - {"7"}
    free = translate_lines(short, lines)
    assert free == translate_lines(run, lines)
    assert "7" in "".join(free)
    # Most lines without a 7 keep their translation. Not all: a beam over fewer tokens may keep another hypothesis.
    unconcerned = [place for place, line in enumerate(lines) if "7" not in line]
    assert sum(results[place] == free[place] for place in unconcerned) >= 0.9 * len(unconcerned)
    assert translate_lines(short, lines, *SHORT, "--batch-size", "1") == results
    assert translate_lines(short, lines, *SHORT, "--workers", "2") == results
    assert translate_lines(short, lines, *SHORT, "--ensemble", run) == results


def test_python_the_fallback_and_evaluate_take_it_too(short: Path, files: Files) -> None:
    lines = files.test[:20]
    translator = regard.Translator.load(short, "cpu")
    results = [best.text for best in translator.translate(lines, shortlist=True)]
    assert results == translate_lines(short, lines, *SHORT)
    silent = (*SHORT, "--search", "allow_empty=true")
    assert translate_lines(short, ["7"], *silent) == [""]
    fallback = ("--fallback", "shortlist=false", "--fallback", "allow_empty=false")
    assert translate_lines(short, ["7"], *silent, *fallback) == translate_lines(short, ["7"]) != [""]
    test = ("--source", files / "test.src", "--reference", files / "test.tgt")
    with_it, without = (call("evaluate", short, *test, *options) for options in (SHORT, ()))
    assert with_it.code == without.code == 0
    assert with_it.out != without.out


def test_constraints_reach_beyond_it(short: Path, tmp_path: Path) -> None:
    path = tmp_path / "wishes"
    path.write_text('{"require": ["7"]}\n{"prefix": "87"}\n\n')
    lines = ["123", "45", "67"]
    first, second, third = translate_lines(short, lines, *SHORT, "--constraints", path)
    assert "7" in first
    assert second.startswith("87")
    assert third == translate_lines(short, lines, *SHORT)[2]


def test_without_one_it_says_how_to_make_one(run: Path, short: Path) -> None:
    refused(call("translate", run, *SHORT, stdin=b"12\n"), "the model has no shortlist", "regard shortlist RUN")
    refused(call("translate", short / "best", *SHORT, stdin=b"12\n"), "no shortlist", "instead of a checkpoint's")
    refused(call("translate", run, "--ensemble", short, *SHORT, stdin=b"12\n"), "the model has no shortlist")


def test_one_that_is_damaged_is_told(short: Path, tmp_path: Path) -> None:
    folder = copied(short, tmp_path / "run")
    (folder / "shortlist.safetensors").write_bytes(b"123")
    refused(call("translate", folder, stdin=b"12\n"), "shortlist.safetensors", "make it again")


def test_without_training_data_there_is_nothing_to_learn_from(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path / "run")
    shutil.rmtree(folder / "data")
    refused(call("shortlist", folder), "no training data", str(folder / "data"))
    refused(call("shortlist", tmp_path / "nowhere"), "no training data")
    assert call("shortlist", run, "--candidates", "0").code == 2


def test_a_recipe_that_asks_for_it_is_trained_without(files: Files, tmp_path: Path) -> None:
    config = override_config(recipe(files, max_steps=2, checkpoint_every=1), ["search.shortlist=true"], ARCHITECTURES)
    regard.train(config, tmp_path / "run")
    refused(call("translate", tmp_path / "run", stdin=b"12\n"), "the model has no shortlist")
    assert call("shortlist", tmp_path / "run").code == 0
    translator = Translator.load(tmp_path / "run", "cpu")
    expected = [best.text for best in translator.translate(["12", "3"], shortlist=True)]
    assert translate_lines(tmp_path / "run", ["12", "3"]) == expected
