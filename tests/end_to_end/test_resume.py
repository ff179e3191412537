"""A run that is stopped and resumed is, bit for bit, the same as one that was not stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.end_to_end.helpers import ONE_THREAD, Files, call, file_bytes, recipe, refused, start, write_lines

import regard
from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import RunFolder
from regard.config.data import CorpusConfig
from regard.config.recipe import to_toml
from regard.config.schema import ModelConfig, RunConfig
from regard.data import streaming
from regard.errors import TrainingError
from regard.models import ARCHITECTURES
from regard.runs import stream
from regard.training.step import StepResult, TrainStep

TENSORS = ("model.safetensors", "training/state.safetensors")

# Everything that could go wrong: random numbers of dropout, averaged weights, several batches per step, and an end
# between two checkpoints.
SENSITIVE = {"max_steps": 46, "checkpoint_every": 8, "average_checkpoints": 3, "accumulate": 2, "tokens_per_batch": 256}


def assert_same_end(first: Path, second: Path) -> None:
    """Compare weights and state of the last checkpoint, and the checkpoints in the log."""
    assert (first / "last").resolve().name == (second / "last").resolve().name
    for name in TENSORS:
        assert (first / "last" / name).read_bytes() == (second / "last" / name).read_bytes(), name
    states = [json.loads((run / "last/training/state.json").read_text()) for run in (first, second)]
    assert states[0] | {"seconds": 0} == states[1] | {"seconds": 0}
    assert checkpoints_logged(first) == checkpoints_logged(second)


def checkpoints_logged(run: Path) -> list[dict[str, Any]]:
    entries = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    return [entry for entry in entries if entry["kind"] == "checkpoint"]


def kill_and_compare(config: RunConfig, folder: Path, *, kills: int, seed: int) -> None:
    path = folder / "recipe.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    script = Path(__file__).with_name("killed_in_training.py")
    process = subprocess.run(
        [sys.executable, script, folder, path, str(kills), str(seed)],
        capture_output=True,
        text=True,
        env=ONE_THREAD,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) >= min(kills, 6)
    assert_same_end(folder / "straight", folder / "killed")
    assert not list((folder / "killed" / "checkpoints").glob("*.tmp-*"))


def tiny(name: str) -> ModelConfig:
    sizes: dict[str, dict[str, Any]] = {
        "bahdanau2014": {"hidden_size": 16, "embedding_size": 16, "attention_size": 16, "maxout_size": 16},
        "transformer2017": {
            "hidden_size": 16,
            "ffn_size": 32,
            "num_heads": 2,
            "encoder_layers": 1,
            "decoder_layers": 1,
        },
    }
    return ARCHITECTURES[name].presets["small"]().model_copy(update={**sizes[name], "dropout": 0.1})


def sensitive(files: Files, name: str, **train: Any) -> RunConfig:
    return recipe(files, **SENSITIVE | train).model_copy(update={"model": tiny(name)})


def sampled(config: RunConfig) -> RunConfig:
    """Return the recipe with subword sampling."""
    tokenizer = config.tokenizer.model_copy(update={"kind": "unigram", "vocabulary_size": 290})
    train = config.train.model_copy(update={"subword_sampling": 0.3})
    return config.model_copy(update={"tokenizer": tokenizer, "train": train})


def test_a_killed_run_ends_like_an_uninterrupted_one(files: Files, tmp_path: Path) -> None:
    kill_and_compare(sampled(sensitive(files, "transformer2017")), tmp_path, kills=8, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adam", "adadelta"])
@pytest.mark.parametrize("name", ["bahdanau2014", "transformer2017"])
def test_runs_killed_many_times_end_like_others(files: Files, tmp_path: Path, name: str, optimizer: str) -> None:
    kill_and_compare(sensitive(files, name, optimizer=f'"{optimizer}"', max_steps=204), tmp_path, kills=60, seed=2)


def streamed(config: RunConfig, folder: Path, several: bool) -> RunConfig:
    """Return the recipe with a streamed corpus, or with several of different sizes and weights."""
    data = config.data.model_copy(update={"streaming": True})
    if several:
        sides = [Path(side or "").read_text().splitlines() for side in (data.source, data.target)]
        corpora = []
        for name, part, weight in (("a", slice(900), 0.7), ("b", slice(900, None), 2.5), ("c", slice(20, 23), 1.0)):
            paths = [write_lines(folder / f"{name}{side}", lines[part]) for side, lines in enumerate(sides)]
            corpora.append(CorpusConfig(source=str(paths[0]), target=str(paths[1]), weight=weight))
        data = data.model_copy(update={"source": None, "target": None, "corpora": tuple(corpora)})
    return config.model_copy(update={"data": data})


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True])
def test_killed_streamed_runs_end_like_uninterrupted_ones(files: Files, tmp_path: Path, several: bool) -> None:
    config = sensitive(files, "transformer2017", max_steps=204)
    kill_and_compare(streamed(config, tmp_path, several), tmp_path, kills=12, seed=3)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("several", [False, True])
def test_a_streamed_run_resumes_in_any_pool_and_epoch(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    for module in (streaming, stream):
        monkeypatch.setattr(module, "CHUNK_PAIRS", 50)
    monkeypatch.setattr(streaming, "POOL", 250)
    config = streamed(sensitive(files, "transformer2017", max_steps=28, metric='"loss"'), tmp_path, several)
    quiet = Console(quiet=True)
    regard.train(config, tmp_path / "straight", console=quiet)
    step, positions = TrainStep.run, set[tuple[int, int]]()

    def killing(train_step: TrainStep, *arguments: Any) -> StepResult:
        calls.append(None)
        if len(calls) % 11 == 0:  # after the checkpoints at steps 8, 16 and 24
            raise Killed
        return step(train_step, *arguments)

    calls: list[None] = []
    monkeypatch.setattr(TrainStep, "run", killing)
    with pytest.raises(Killed):
        regard.train(config, tmp_path / "killed", console=quiet)
    while True:
        state = json.loads((tmp_path / "killed/last/training/state.json").read_text())
        positions.add((state["epoch"], state["pool"]))
        with suppress(Killed):
            regard.resume(tmp_path / "killed", console=quiet)
            break
    assert len(positions) == 3 and {epoch for epoch, _ in positions} == {0, 1}
    assert_same_end(tmp_path / "straight", tmp_path / "killed")


def test_a_full_disk_leaves_the_previous_checkpoint_unchanged(run: Path, files: Files, tmp_path: Path) -> None:
    import resource

    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    recipe_path = folder / "recipe.toml"
    recipe_path.write_text(recipe_path.read_text().replace("max_steps = 240", "max_steps = 245"))
    limit = (folder / "last" / "model.safetensors").stat().st_size // 2
    process = start(
        "train",
        "--resume",
        folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert b"Traceback" not in err
    assert b"could not be written" in err
    assert b"what to do:" in err
    last = RunFolder(folder).last
    assert last is not None
    assert load_checkpoint(last).step == 240
    assert not list((folder / "checkpoints").glob("*.tmp-*"))
    finished = call("train", "--resume", folder)  # with free disk space again
    assert finished.code == 0, finished.err
    assert (folder / "last").resolve().name == "step-000245"


def in_a_namespace(script: str, folder: Path) -> str:
    """Return the output of a shell script that may mount file systems."""
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*shell, f"mount -t tmpfs none '{folder}'"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mounts here: {error}")
    process = subprocess.run([*shell, script], capture_output=True, text=True, env=ONE_THREAD, check=False, cwd=folder)
    return f"{process.stdout}\n{process.stderr}"


def test_a_folder_that_became_read_only_is_an_error(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    resume = f"{sys.executable} -m regard train --resume {folder} --set train.max_steps=300; echo status $?"
    output = in_a_namespace(
        f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && {resume}", tmp_path
    )
    assert "status 1" in output
    assert "Read-only file system" in output
    assert "what to do" in output
    assert "Traceback" not in output
    assert file_bytes(folder) == file_bytes(run)


def test_a_finished_run_says_so_and_can_be_extended(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    over = call("train", "--resume", folder)
    assert over.code == 0
    assert f"regard train --resume {folder} --set train.max_steps=480" in over.err
    before = (folder / "recipe.toml").read_text()
    refused(
        call("train", "--resume", folder, "--set", "train.max_steps=300", "--set", "model.ffn_size=8"), "model.ffn_size"
    )
    refused(call("train", "--resume", folder, "--set", "train.max_steps=-3"), "max_steps")
    assert (folder / "recipe.toml").read_text() == before
    further = call("train", "--resume", folder, "--set", "train.max_steps=250", "--set", "train.checkpoint_every=5")
    assert further.code == 0, further.err
    assert (folder / "last").resolve().name == "step-000250"
    assert {"step-000245", "step-000250"} <= {entry.name for entry in (folder / "checkpoints").iterdir()}
    assert (folder / "recipe.toml").read_text() == before.replace("max_steps = 240", "max_steps = 250").replace(
        "checkpoint_every = 60", "checkpoint_every = 5"
    )
    assert [entry["step"] for entry in checkpoints_logged(folder)][-3:] == [240, 245, 250]


def test_a_damaged_run_can_be_resumed_from_an_older_checkpoint(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder, symlinks=True)
    state = folder / "last" / "training" / "state.safetensors"
    original = state.read_bytes()
    state.write_bytes(original[:-9] + bytes([original[-9] ^ 16]) + original[-8:])
    older = folder / "checkpoints" / "step-000180"
    refused(call("train", "--resume", folder), "step-000240/training/state.safetensors", f"--resume {older}")
    again = call("train", "--resume", older)
    assert again.code == 0, again.err
    assert_same_end(run, folder)
    assert (folder / "best").resolve().name == (run / "best").resolve().name


def test_a_run_whose_weights_become_nan_can_be_resumed_from_its_checkpoints(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sensitive(files, "transformer2017", max_steps=8, checkpoint_every=2, metric='"loss"')
    regard.train(config, tmp_path / "straight", console=Console(quiet=True))
    step, calls = TrainStep.run, list[None]()

    def breaking(train_step: TrainStep, *arguments: Any) -> StepResult:
        result = step(train_step, *arguments)
        calls.append(None)
        if len(calls) == 6:
            next(train_step.model.parameters()).data.fill_(float("nan"))
        return result

    run = tmp_path / "broken"
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="NaN or infinite") as caught:
        patch.setattr(TrainStep, "run", breaking)
        regard.train(config, run, console=Console(quiet=True))
    assert "learning_rate" in str(caught.value.fix)
    assert [path.name for path in RunFolder(run).steps][-1] == (run / "last").resolve().name == "step-000004"
    for link in ("best", "last"):
        assert all(weight.isfinite().all() for weight in load_checkpoint(run / link).model.parameters())
    regard.resume(run, console=Console(quiet=True))
    assert_same_end(tmp_path / "straight", run)
