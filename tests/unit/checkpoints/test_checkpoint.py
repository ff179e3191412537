import errno
import hashlib
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from regard import __version__
from regard.checkpoints.checkpoint import FORMAT, Checkpoint, load_checkpoint, load_training_state, save_checkpoint
from regard.checkpoints.untrusted_files import SUMS
from regard.config.schema import DataConfig, ModelConfig, RunConfig, TokenizerConfig
from regard.contract import VocabularySizes
from regard.errors import CheckpointError
from regard.models import bahdanau2014, build_model, transformer2017
from regard.tokenizers.base import train_tokenizers
from regard.training.state import TrainingState

PAIRS = [("abc", "cba"), ("abd", "dba"), ("some more", "words")]
TRANSFORMER = transformer2017.Config(hidden_size=8, num_heads=2, ffn_size=8, encoder_layers=1, decoder_layers=1)
RNNSEARCH = bahdanau2014.Config(hidden_size=6, embedding_size=5, attention_size=4, maxout_size=4)

SOURCE, TARGET = torch.tensor([[5, 6, 7, 2], [6, 2, 0, 0]]), torch.tensor([[1, 5, 6], [1, 7, 0]])


def checkpoint(model: ModelConfig = TRANSFORMER, *, joint: bool = True, step: int = 500) -> Checkpoint:
    tokenizer = TokenizerConfig(kind="character", joint=joint)
    tokenizers = train_tokenizers(tokenizer, PAIRS)
    vocabularies = VocabularySizes(tokenizers.source.size, tokenizers.target.size, joint)
    return Checkpoint(
        config=RunConfig(data=DataConfig(corpus="dates"), tokenizer=tokenizer, model=model),
        tokenizers=tokenizers,
        model=build_model(model, vocabularies).eval(),
        step=step,
        data="fingerprint",
        metrics={"chrf": 41.5},
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "step-000500"
    save_checkpoint(folder, checkpoint())
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("model", [TRANSFORMER, RNNSEARCH], ids=lambda config: config.architecture)
def test_saved_and_loaded_is_the_same(tmp_path: Path, model: ModelConfig, joint: bool) -> None:
    contents = checkpoint(model, joint=joint)
    contents.model.train()
    save_checkpoint(tmp_path / "deep" / "er", contents)
    loaded = load_checkpoint(tmp_path / "deep" / "er")
    assert loaded.config == contents.config
    assert (loaded.step, loaded.data, loaded.metrics) == (500, "fingerprint", {"chrf": 41.5})
    assert loaded.tokenizers.source.encode("abd") == contents.tokenizers.source.encode("abd")
    assert contents.model.training
    assert not loaded.model.training
    with torch.no_grad():
        assert torch.equal(loaded.model(SOURCE, TARGET), contents.model.eval()(SOURCE, TARGET))


def test_a_shared_weight_is_saved_once_and_shared_again(saved: Path) -> None:
    loaded = load_checkpoint(saved).model
    parameters = dict(loaded.named_parameters())
    assert len(loaded.state_dict()) > len(parameters)  # it does share some
    assert load_file(saved / "model.safetensors").keys() == parameters.keys()


def test_loading_does_not_change_the_callers_random_state(saved: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_checkpoint(saved)
    assert torch.equal(torch.rand(3), expected)


def test_the_files_of_a_checkpoint_and_no_pickle(saved: Path) -> None:
    header = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert header["format"] == FORMAT
    assert header["regard"] == __version__
    assert header["recipe"]["model"]["hidden_size"] == 8
    assert header["data"] == "fingerprint"
    assert header["step"] == 500
    assert json.loads((saved / "metrics.json").read_text(encoding="utf-8")) == {"chrf": 41.5}
    assert all(path.suffix in (".json", ".safetensors") or path.name == SUMS for path in saved.iterdir())
    assert {path.stat().st_mode & 0o777 for path in saved.iterdir()} == {0o666 & ~_umask()}
    assert names(saved.parent) == ["step-000500"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_training_state_is_restored(tmp_path: Path) -> None:
    moments = torch.randn(4, 3).t()  # not contiguous
    state = TrainingState(
        {"adam/moment": moments, "random/cpu": torch.get_rng_state(), "adam/step": torch.tensor(3.0)},
        {"epoch": 2, "batch": 17, "best": None, "history": [1.5, 2.5]},
    )
    save_checkpoint(tmp_path / "a", checkpoint(), state)
    loaded = load_training_state(tmp_path / "a")
    assert loaded.values == state.values
    assert loaded.tensors.keys() == state.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in state.tensors.items())


def test_resuming_without_a_training_state_is_an_error(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="no training state"):
        load_training_state(saved)


def test_a_checkpoint_is_replaced_whole(saved: Path) -> None:
    save_checkpoint(saved, replace(checkpoint(), metrics={"chrf": 50}), TrainingState({}, {}))
    save_checkpoint(saved, replace(checkpoint(), metrics={"chrf": 60}))
    assert load_checkpoint(saved).metrics == {"chrf": 60}
    assert not (saved / "training").exists()
    assert names(saved.parent) == ["step-000500"]


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """Make writing beyond a size fail, as on a full disk, in every library that writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 300, 4000], ids=["nothing", "part of the JSON", "part of the weights"])
def test_a_disk_that_is_full_leaves_the_previous_checkpoint(saved: Path, size: int) -> None:
    with limit_file_size(size), pytest.raises(CheckpointError, match="could not be written") as caught:
        save_checkpoint(saved.with_name("step-001000"), checkpoint(step=1000))
    assert "earlier checkpoints are complete" in str(caught.value)
    with limit_file_size(size), pytest.raises(CheckpointError):
        save_checkpoint(saved, checkpoint(step=1000))
    assert load_checkpoint(saved).step == 500
    assert names(saved.parent) == ["step-000500"]


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_a_failing_call_leaves_the_previous_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    real = getattr(os, call)

    def full(path: Any, *rest: Any) -> Any:
        if call != "rename" or str(path).endswith(f".tmp-{os.getpid()}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *rest)

    monkeypatch.setattr(os, call, full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(saved, checkpoint(step=1000))
    monkeypatch.undo()
    assert load_checkpoint(saved).step == 500
    assert names(saved.parent) == ["step-000500"]


def test_an_interruption_leaves_no_temporary_files(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(saved.with_name("step-001000"), checkpoint())
    assert names(saved.parent) == ["step-000500"]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    (path.parent / SUMS).unlink(missing_ok=True)  # as in a checkpoint from before checksums were written
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_a_later_format_is_an_error_that_names_its_version(saved: Path) -> None:
    edit(saved / "config.json", lambda header: header.update(format=FORMAT + 1, regard="0.9.1"))
    expected = rf"written by regard 0\.9\.1 in format {FORMAT + 1}(.|\n)*upgrade regard to 0\.9\.1"
    with pytest.raises(CheckpointError, match=expected):
        load_checkpoint(saved)


def test_a_folder_that_is_not_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"contains no config\.json"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no such folder"):
        load_checkpoint(tmp_path / "none")
    (tmp_path / "config.json").write_text('{"model_type": "marian"}')
    with pytest.raises(CheckpointError, match="not written by regard"):
        load_checkpoint(tmp_path)


HEADERS: list[Callable[[dict[str, Any]], object]] = [
    lambda header: header.pop("step"),
    lambda header: header.pop("vocabularies"),
    lambda header: header.update(vocabularies={"source": 9}),
    lambda header: header.update(vocabularies={"source": 9, "target": 9, "joint": True}),
    lambda header: header.update(vocabularies=7),
    lambda header: header.update(recipe=7),
    lambda header: header.update(recipe=None),
    lambda header: header.update(step="many"),
    lambda header: header["recipe"]["model"].update(architecture="rnnsearch1989"),
    lambda header: header["recipe"]["model"].update(num_heads="two"),
    lambda header: header["recipe"].update(nonsense={}),
]


@pytest.mark.parametrize("change", HEADERS)
def test_an_inconsistent_header_is_an_error(saved: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(saved / "config.json", change)
    with pytest.raises(CheckpointError):
        load_checkpoint(saved)


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("name", ["config.json", "metrics.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_truncated_or_overwritten_file_is_an_error(saved: Path, name: str, sums: bool) -> None:
    if not sums:
        (saved / SUMS).unlink()
    path = saved / name
    original = path.read_bytes()
    for damaged in (b"", original[: len(original) // 2], b"\xff" * len(original), b"[]"):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load_checkpoint(saved)
    path.unlink()
    with pytest.raises(CheckpointError):
        load_checkpoint(saved)


def test_a_truncated_training_state_is_an_error(saved: Path) -> None:
    save_checkpoint(saved, checkpoint(), TrainingState({"a": torch.ones(3)}, {"b": 1}))
    for path in (saved / "training").iterdir():
        original = path.read_bytes()
        path.write_bytes(original[:-2])
        with pytest.raises(CheckpointError, match=path.name):
            load_training_state(saved)
        path.write_bytes(original)


def test_weights_that_do_not_fit_are_named(saved: Path) -> None:
    path = saved / "model.safetensors"
    (saved / SUMS).unlink()
    weights = load_file(path)
    first, second, *_ = sorted(weights)
    damages = {
        f"{first} is missing": {name: tensor for name, tensor in weights.items() if name != first},
        "decoder.none is not part of this model": {**weights, "decoder.none": torch.ones(1)},
        rf"{second} is \[1\] but should be": {**weights, second: torch.ones(1)},
    }
    for message, damaged in damages.items():
        save_file(damaged, path)
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(saved)
    save_file({}, path)
    with pytest.raises(CheckpointError, match=r"and \d+ more"):
        load_checkpoint(saved)


def with_state(folder: Path) -> list[Path]:
    """Save a checkpoint with a training state and return its files."""
    save_checkpoint(folder, checkpoint(), TrainingState({"a": torch.ones(3)}, {"b": 1}))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_there_is_a_checksum_of_every_file(saved: Path) -> None:
    files = with_state(saved)
    sums = dict(line.split("  ")[::-1] for line in (saved / SUMS).read_text().splitlines())
    assert sums.keys() == {str(path.relative_to(saved)) for path in files} - {SUMS}
    assert "training/state.safetensors" in sums
    for name, digest in sums.items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == digest


def test_a_flipped_bit_in_any_file_is_an_error(saved: Path) -> None:
    for path in with_state(saved):
        original = path.read_bytes()
        for place in (0, len(original) // 2, len(original) - 1):
            path.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
            with pytest.raises(CheckpointError) as caught:
                load_training_state(saved)
            if path.name not in ("config.json", SUMS):  # which are read first, or name another file
                assert caught.value.where == str(path)
                assert "has changed since it was written" in caught.value.message
            if path.parent == saved:
                with pytest.raises(CheckpointError):
                    load_checkpoint(saved)
            else:
                load_checkpoint(saved)  # which does not read it
        path.write_bytes(original)
    load_training_state(saved)


def test_a_truncated_list_of_checksums_is_an_error(saved: Path) -> None:
    path = saved / SUMS
    original = path.read_text()
    for size in (0, 30, len(original) - 1):
        path.write_text(original[:size])
        with pytest.raises(CheckpointError, match=f"{SUMS}: the file is not a list"):
            load_checkpoint(saved)
    path.write_text(f"{'0' * 64}  none\n")
    with pytest.raises(CheckpointError, match="none: the file cannot be read"):
        load_checkpoint(saved)


def test_a_checkpoint_without_its_training_state_can_be_loaded(saved: Path) -> None:
    with_state(saved)
    shutil.rmtree(saved / "training")
    assert load_checkpoint(saved).step == 500
