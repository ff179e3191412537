"""Fine-tuning: what comes from the other run, what is an error, and that the other run is not needed afterwards."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tests.end_to_end.helpers import Files, call, file_bytes, recipe, refused, write_lines
from tests.laws.cases import CASES
from tests.unit.interop.models import trained

import regard
from regard.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from regard.config.schema import StartConfig
from regard.errors import CheckpointError, ConfigError
from regard.models import ARCHITECTURES
from regard.runs.train import read_recipe

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a corpus (new.src, new.tgt) with letters that the other run lacks, and a dev set."""
    folder = tmp_path_factory.mktemp("letters")
    rng = random.Random(7)
    lines = ["".join(rng.choices("0123456789abc", k=rng.randint(2, 5))) for _ in range(700)]
    for name, part in (("new", lines[:600]), ("dev", lines[600:])):
        write_lines(folder / f"{name}.src", part)
        write_lines(folder / f"{name}.tgt", [line[::-1] for line in part])
    return folder


def corpus_options(folder: Path) -> list[str | Path]:
    return [
        *("--source", folder / "new.src", "--target", folder / "new.tgt"),
        *("--dev-source", folder / "dev.src", "--dev-target", folder / "dev.tgt"),
    ]


def limits(*, steps: int = 4, every: int = 2, metric: str = "loss") -> list[str | Path]:
    settings = (f"max_steps={steps}", f"checkpoint_every={every}", f"metric={metric}")
    return [word for setting in settings for word in ("--set", f"train.{setting}")]


def exact(folder: Path) -> float:
    return float(json.loads((folder / "best" / "metrics.json").read_text())["exact"])


def test_the_vocabulary_is_kept_or_extended(run: Path, letters: Path, tmp_path: Path) -> None:
    finetuned = call(
        "train", "--from", run, *corpus_options(letters), "--out", tmp_path / "kept", *limits(metric="exact")
    )
    assert finetuned.code == 0, finetuned.err
    messages = " ".join(finetuned.err.split())
    assert "its vocabulary is kept" in messages
    assert "it fits this text poorly" in messages
    assert "start.new_tokens" in messages
    assert "rate: 0.005, 0.01 / 2" in messages

    extended = call(
        *("train", "--from", run, "--extend-vocabulary", "9", *corpus_options(letters), "--out", tmp_path / "extended"),
        *(*limits(steps=100, every=50, metric="exact"), "--set", "train.learning_rate=0.01"),
    )
    assert extended.code == 0, extended.err
    assert "extended by 3 tokens (" in extended.err
    assert "poorly" not in extended.err
    assert exact(tmp_path / "extended") > exact(tmp_path / "kept") + 20
    old, new = load_checkpoint(run / "best"), load_checkpoint(tmp_path / "extended" / "data" / "start")
    size = old.tokenizers.source.size
    assert sorted(new.tokenizers.source.pieces(range(size, size + 3))) == ["a", "b", "c"]
    assert new.tokenizers.source.encode("0 19") == old.tokenizers.source.encode("0 19")
    for (name, before), after in zip(old.model.named_parameters(), new.model.parameters(), strict=True):
        assert torch.equal(after[: len(before)], before), name


def test_a_fine_tuned_run_is_resumed_without_the_other_run(run: Path, letters: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "from", symlinks=True)
    more = ("--extend-vocabulary", "2", *corpus_options(letters), *limits())
    uninterrupted = call(
        "train", "--from", tmp_path / "from", *more, "--out", tmp_path / "whole", "--set", "train.average_decay=0.9"
    )
    assert uninterrupted.code == 0, uninterrupted.err
    written = read_recipe(tmp_path / "whole" / "recipe.toml")
    assert written.start is not None
    assert Path(written.start.checkpoint) == (tmp_path / "from" / "best").resolve()
    assert written.start.new_tokens == 2

    shutil.copytree(tmp_path / "whole", tmp_path / "stopped", symlinks=True)
    for name in ("last", "best", "finished.json", "log.jsonl"):
        (tmp_path / "stopped" / name).unlink()
    shutil.rmtree(tmp_path / "stopped" / "checkpoints")
    (tmp_path / "stopped" / "checkpoints").mkdir()
    shutil.rmtree(tmp_path / "from")
    again = call("train", "--resume", tmp_path / "stopped")
    assert again.code == 0, again.err
    first, second = (file_bytes(tmp_path / name / "last") for name in ("whole", "stopped"))
    assert first.keys() == second.keys()
    timed = ("state.json", "SHA256SUMS")  # one contains times, the other its checksum
    assert all(first[name] == second[name] for name in first if not name.endswith(timed))


@pytest.mark.parametrize(
    ("name", "joint"),
    [
        ("bahdanau2014", "true"),
        ("convs2s2017", "false"),
        ("luong2015", "true"),
        ("modern/ssru", "false"),
        ("transformer2017/marian", "true"),
    ],
)
def test_architectures_with_one_vocabulary_and_two(
    name: str, joint: str, files: Files, letters: Path, tmp_path: Path
) -> None:
    architecture = name.split("/")[0]
    sizes = {**ARCHITECTURES[architecture].presets["small"]().model_dump(), **CASES[name].sizes, "dropout": 0.1}
    config = recipe(files, max_steps=2, checkpoint_every=2, metric="'loss'")
    tokenizer = config.tokenizer.model_copy(update={"joint": joint == "true"})
    model = ARCHITECTURES[architecture].config(**sizes)
    regard.train(config.model_copy(update={"model": model, "tokenizer": tokenizer}), tmp_path / "old", console=QUIET)
    (tmp_path / "new.toml").write_text(
        f'[data]\nsource = "{letters}/new.src"\ntarget = "{letters}/new.tgt"\n'
        f'[start]\ncheckpoint = "old"\nnew_tokens = 2\n'
        f'[train]\nmax_steps = 2\ncheckpoint_every = 2\nmetric = "loss"\ndevice = "cpu"\n'
    )
    new = regard.read_recipe(tmp_path / "new.toml")
    assert (new.model, new.tokenizer) == (model, tokenizer)
    result = regard.train(new, tmp_path / "new", console=QUIET)
    assert result.step == 2
    old, tuned = load_checkpoint(tmp_path / "old" / "last"), load_checkpoint(tmp_path / "new" / "last")
    for side in ("source", "target"):
        assert getattr(tuned.tokenizers, side).size == getattr(old.tokenizers, side).size + 2
    start = load_checkpoint(tmp_path / "new" / "data" / "start").model.state_dict()
    larger = 0
    for path, before in old.model.state_dict().items():
        larger += start[path].shape != before.shape
        assert torch.equal(start[path][: len(before)] if before.dim() else start[path], before), path
        assert start[path].isfinite().all()
    assert larger >= 1 if joint == "true" else larger >= 2
    assert regard.Translator.load(result.folder, "cpu").translate(["12a"])


def test_a_recipe_that_does_not_match_the_checkpoint_is_an_error(run: Path, files: Files, tmp_path: Path) -> None:
    recipe(files)
    tiny = files / "tiny.toml"
    out = ("--out", tmp_path / "new", *limits())
    wider = call("train", tiny, "--from", run, *out, "--set", "model.hidden_size=64", "--set", "tokenizer.kind=byte")
    refused(
        wider,
        "model.hidden_size is 64 in the recipe and 32 in the checkpoint",
        "tokenizer.kind is 'byte'",
        "leave these keys out",
    )
    finished = call("train", tiny, "--from", run, *out, "--set", "model.dropout=0.3")
    assert finished.code == 0, finished.err
    assert read_recipe(tmp_path / "new" / "recipe.toml").model.model_dump()["dropout"] == 0.3


def test_languages_are_those_of_the_other_run_by_default(files: Files, letters: Path, tmp_path: Path) -> None:
    config = recipe(files, max_steps=1, metric="'loss'")
    data = config.data.model_copy(update={"source_language": "en", "target_language": "de"})
    regard.train(config.model_copy(update={"data": data}), tmp_path / "old", console=QUIET)
    more = (*corpus_options(letters), *limits(steps=1))
    for name, options, expected in (("a", (), ("en", "de")), ("b", ("--target-language", "fr"), ("en", "fr"))):
        finished = call("train", "--from", tmp_path / "old", *more, *options, "--out", tmp_path / name)
        assert finished.code == 0, finished.err
        written = read_recipe(tmp_path / name / "recipe.toml")
        assert (written.data.source_language, written.data.target_language) == expected
        assert (written.search, written.model) == (config.search, config.model)


def test_a_model_from_marian(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint", trained("transformer2017"))
    for arguments in (
        ("export", tmp_path / "checkpoint", "--to", "marian", tmp_path / "marian"),
        ("import", "marian", tmp_path / "marian", "--out", tmp_path / "old"),
    ):
        assert call(*arguments).code == 0
    write_lines(tmp_path / "a", ["the small fox"] * 9 + ["a lazy dog", "dog and fox"])
    write_lines(tmp_path / "b", ["XOF LLAMS EHT"] * 9 + ["GOD YZAL A", "XOF DNA GOD"])
    more = ("--from", tmp_path / "old", "--source", tmp_path / "a", "--target", tmp_path / "b", *limits())
    finished = call("train", *more, "--out", tmp_path / "new")
    assert finished.code == 0, finished.err
    assert load_checkpoint(tmp_path / "new" / "last").tokenizers.source.kind == "marian"
    assert call("translate", tmp_path / "new", stdin=b"the small fox\n").code == 0
    refused(call("train", *more, "--out", tmp_path / "other", "--extend-vocabulary", "5"), "of the kind marian", "kept")


def test_incompatible_options(run: Path, letters: Path, tmp_path: Path) -> None:
    refused(call("train", "--extend-vocabulary", "5", *corpus_options(letters)), "no vocabulary to extend", "--from")
    refused(call("train", "--resume", run, "--from", run), "--resume continues a run as it is")
    refused(call("train", "--from", run), "nothing to train on")
    refused(call("train", "--from", tmp_path / "none", *corpus_options(letters)), "there is no such folder")


@pytest.mark.parametrize(
    ("freeze", "error"), [("encodr", "did you mean encoder"), ("*", "nothing is left to train"), ("encoder", "")]
)
def test_frozen_parts(freeze: str, error: str, run: Path, files: Files, tmp_path: Path) -> None:
    config = recipe(files, max_steps=2, checkpoint_every=1, average_checkpoints=2, metric="'loss'")
    train = config.train.model_copy(update={"freeze": (freeze,)})
    config = config.model_copy(update={"train": train, "start": StartConfig(checkpoint=str(run))})
    if error:
        with pytest.raises(ConfigError, match=error):
            regard.train(config, tmp_path / "new", console=QUIET)
        train = config.train.model_copy(update={"freeze": ("encoder",)})
        config = config.model_copy(update={"train": train})  # the folder is free for the corrected recipe
    regard.train(config, tmp_path / "new", console=QUIET)
    old, new = (load_checkpoint(folder / "best").model for folder in (run, tmp_path / "new"))
    for path, before in old.named_parameters():
        same = torch.equal(before, new.get_parameter(path))
        assert same is path.startswith("encoder."), path


def test_a_missing_start(tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text('[data]\nsource = "a"\ntarget = "b"\n[start]\ncheckpoint = "gone"\n')
    with pytest.raises(CheckpointError, match="there is no such folder"):
        regard.read_recipe(tmp_path / "new.toml")
