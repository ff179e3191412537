"""A model imported from Hugging Face's transformers computes and translates as it does there."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.unit.interop import opus

from regard.checkpoints.checkpoint import load_checkpoint
from regard.checkpoints.run_folder import resolve_checkpoint
from regard.errors import CheckpointError, ConfigError
from regard.inference.translator import Translator
from regard.interop.marian import export_marian
from regard.interop.marian_import import import_marian
from regard.runs.train import read_recipe
from regard.special_tokens import BOS, EOS, PAD, UNK
from regard.tokenizers.base import Tokenizer, train_tokenizers

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture(scope="module", params=["joint", "separate"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return the folder and the model in it."""
    folder = tmp_path_factory.mktemp("opus") / "model"
    return folder, opus.make(folder, joint=request.param == "joint")


@pytest.fixture(scope="module")
def run(model: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imported") / "run"
    import_marian(model[0], out)
    return out


def their_ids(tokenizer: Tokenizer, vocabulary: dict[str, int]) -> torch.Tensor:
    """Return Marian's id for each id in regard; BOS is Marian's pad token."""
    ids = [vocabulary.get(piece, -1) for piece in tokenizer.pieces(range(tokenizer.size))]
    ids[PAD] = ids[BOS] = vocabulary["<pad>"]
    assert -1 not in ids
    return torch.tensor(ids)


@torch.no_grad()
def test_logits_match(model: tuple[Path, Any], run: Path) -> None:
    folder, theirs = model
    checkpoint = load_checkpoint(resolve_checkpoint(run))
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    separate = folder / "target_vocab.json"
    targets = json.loads(separate.read_text(encoding="utf-8")) if separate.exists() else vocabulary
    source_ids = their_ids(checkpoint.tokenizers.source, vocabulary)
    target_ids = their_ids(checkpoint.tokenizers.target, targets)
    source = torch.tensor([[9, 5, 3, 20, EOS], [7, 30, EOS, PAD, PAD]])
    target = torch.tensor([[BOS, 11, 4, UNK, 25], [BOS, 6, 6, 28, 9]])
    mask = source.ne(PAD).long()
    expected = theirs(input_ids=source_ids[source], attention_mask=mask, decoder_input_ids=target_ids[target]).logits[
        :, :, target_ids
    ]
    logits = checkpoint.model(source, target)
    torch.testing.assert_close(logits[..., BOS:], expected[..., BOS:], rtol=0, atol=5e-5)
    assert logits[..., PAD].softmax(-1).isfinite().all()
    # PAD has no probability, so compare the distribution over the other tokens
    expected = expected[..., BOS:].log_softmax(-1)
    torch.testing.assert_close(logits.log_softmax(-1)[..., BOS:], expected, rtol=0, atol=5e-5)


def test_greedy_output_from_raw_text_matches(model: tuple[Path, Any], run: Path) -> None:
    folder, theirs = model
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    batch = tokenizer(opus.LINES, return_tensors="pt", padding=True)
    generated = theirs.generate(**batch, num_beams=1)
    expected = tokenizer.batch_decode(generated, skip_special_tokens=True, use_source_tokenizer=False)
    results = Translator.load(run, "cpu").translate(opus.LINES, beam_size=1)
    assert len({result.text for result in results}) >= len(results) / 2, "most translations are the same"
    for ours, text in zip(results, expected, strict=True):
        assert ours.finished
        assert ours.text.replace("<unk>", "").replace("⁇", "").split() == text.split()


def test_the_import_is_a_run_with_a_recipe(run: Path) -> None:
    recipe = read_recipe(run / "recipe.toml")
    checkpoint = load_checkpoint(resolve_checkpoint(run))
    assert recipe.model == checkpoint.config.model
    assert (recipe.data.source_language, recipe.data.target_language) == ("eng", "deu")
    assert (recipe.search.beam_size, recipe.tokenizer.kind) == (3, "marian")
    assert checkpoint.step == 0
    with pytest.raises(ConfigError, match="comes with an imported model"):
        train_tokenizers(recipe.tokenizer, [("a", "b")])


def test_the_import_can_be_trained(run: Path) -> None:
    both = load_checkpoint(resolve_checkpoint(run))
    model = both.model.train()
    loss = model(torch.tensor([[4, 5, EOS]]), torch.tensor([[BOS, 6]])).logsumexp(-1).sum()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_export_and_import_again_change_nothing(run: Path, tmp_path: Path) -> None:
    before = load_checkpoint(resolve_checkpoint(run))
    export_marian(before, tmp_path / "out")
    after = import_marian(tmp_path / "out", tmp_path / "run")
    assert after.config.model == before.config.model
    for name, weight in before.model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], weight, rtol=0, atol=0)
    for line in opus.LINES:
        assert after.tokenizers.source.encode(line) == before.tokenizers.source.encode(line)
        assert after.tokenizers.target.encode(line) == before.tokenizers.target.encode(line)


def test_a_pickle_of_weights_is_read_like_the_safe_format(model: tuple[Path, Any], run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model[0], tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    torch.save(model[1].state_dict(), folder / "pytorch_model.bin")  # with copies of tied tables and with positions
    import_marian(folder, tmp_path / "run")
    expected = load_checkpoint(resolve_checkpoint(run)).model.state_dict()
    for name, weight in load_checkpoint(resolve_checkpoint(tmp_path / "run")).model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "it ran")


def hostile_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Evil(folder / "ran")}))


def with_config(**changes: Any) -> Callable[[Path], None]:
    return changed("config.json", lambda table: {**table, **changes})


def changed(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        table = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(change(table)), encoding="utf-8")

    return edit


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def holding(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return edit


def fifo(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


def link_to_device(name: str) -> Callable[[Path], None]:
    def link(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")

    return link


def expanded_pickle(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save({**weights, NORM: torch.ones(1).expand(10**11)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


NORM = "model.encoder.layers.0.final_layer_norm.bias"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "gelu": (with_config(activation_function="gelu"), "`activation_function`"),
    "unscaled": (with_config(scale_embedding=False), "`scale_embedding`"),
    "untied": (with_config(tie_word_embeddings=False), "`tie_word_embeddings`"),
    "bart": (with_config(model_type="bart"), "`model_type`"),
    "a size that is text": (with_config(d_model="16"), "`d_model`"),
    "different numbers of heads": (
        with_config(decoder_attention_heads=2),
        "encoder_attention_heads and decoder_attention_heads differ",
    ),
    "an indivisible width": (with_config(encoder_attention_heads=3, decoder_attention_heads=3), "3 heads"),
    "a wider model": (with_config(d_model=32), "expected [32]"),
    "huge layers": (with_config(encoder_layers=10**9), "`encoder_layers`"),
    "more layers than tensors": (with_config(encoder_layers=900), "the file holds only"),
    "huge width": (with_config(d_model=2**40), "`d_model`"),
    "one layer more": (with_config(decoder_layers=2), "model.decoder.layers.1"),
    "one layer less": (with_config(encoder_layers=1), "is unexpected"),
    "huge tokens": (with_config(vocab_size=10**12), "`vocab_size`"),
    "more tokens than there are": (with_config(vocab_size=10**6), "the values must be the ids 0 to 999,999"),
    "another end token": (with_config(eos_token_id=5), "eos_token_id in config.json is 5"),
    "a start token that does not exist": (with_config(decoder_start_token_id=999), "token id 999 is out of range"),
    "no config": (without("config.json"), "config.json: the file does not exist"),
    "no source.spm": (without("source.spm"), "source.spm: the file cannot be read"),
    "no vocab.json": (without("vocab.json"), "vocab.json: the file does not exist"),
    "no weights": (without("model.safetensors"), "neither model.safetensors nor pytorch_model.bin"),
    "no JSON": (holding("vocab.json", b"{"), "vocab.json: the file cannot be read"),
    "a JSON list": (holding("vocab.json", b"[]"), "vocab.json: the file is not a JSON object"),
    "deep JSON": (holding("config.json", b"[" * 100_000), "config.json: the file cannot be read"),
    "no SentencePiece": (holding("target.spm", b"nonsense"), "target.spm: the file cannot be read"),
    "empty SentencePiece": (holding("target.spm", b""), "target.spm: the file cannot be read"),
    "no safetensors": (holding("model.safetensors", b"nonsense"), "model.safetensors: the file cannot be read"),
    "a repeated id": (changed("vocab.json", lambda table: {**table, "<pad>": 1}), "each exactly once"),
    "an id that is text": (changed("vocab.json", lambda table: {**table, "<pad>": "9"}), "each exactly once"),
    "no unknown token": (
        changed("vocab.json", lambda table: {piece.replace("<unk>", "unk"): id for piece, id in table.items()}),
        "the token <unk> is missing",
    ),
    "a weight missing": (tensors(lambda weights: weights.pop(NORM)), f"{NORM} is missing"),
    "a weight that is not finite": (tensors(lambda weights: weights[NORM].fill_(float("nan"))), "is not finite"),
    "integers": (tensors(lambda weights: weights.update({NORM: torch.ones(16).long()})), "floating-point tensors"),
    "a learned position": (
        tensors(lambda weights: weights.update({"model.encoder.embed_positions.weight": torch.ones(5, 16)})),
        "learned positions are not supported",
    ),
    "a separate output table": (
        tensors(lambda weights: weights.update({"lm_head.weight": torch.ones(3, 16)})),
        "lm_head.weight differs from model.shared.weight",
    ),
    "a huge view of one number": (expanded_pickle, "floating-point tensors"),
    "a FIFO": (fifo("vocab.json"), "vocab.json: the file cannot be read"),
    "a device": (link_to_device("source.spm"), "source.spm: the file cannot be read"),
    "a hostile pickle": (hostile_pickle, "cannot be loaded safely (weights_only=True)"),
}


@pytest.fixture(scope="module")
def valid_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid") / "model"
    opus.make(folder)
    return folder


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_broken_folders_are_rejected_and_nothing_is_written(case: str, valid_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(valid_folder, tmp_path / "model")
    damage, message = BROKEN[case]
    damage(folder)
    with pytest.raises(CheckpointError) as error:
        import_marian(folder, tmp_path / "run")
    assert message in str(error.value)
    assert str(folder) in str(error.value)
    assert "what to do:" in str(error.value)
    assert not (tmp_path / "run").exists()
    assert not (folder / "ran").exists()


def test_a_missing_folder_and_an_existing_output_are_rejected(valid_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such folder"):
        import_marian(tmp_path / "nowhere", tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty"):
        import_marian(valid_folder, tmp_path / "run")


def test_a_separate_start_token_is_preserved(tmp_path: Path) -> None:
    theirs = opus.make(tmp_path / "model", decoder_start_token_id=3)
    imported = import_marian(tmp_path / "model", tmp_path / "run")
    table = imported.model.state_dict()["decoder.embedding.table.weight"]
    order = torch.arange(16).view(2, -1).t().flatten()
    torch.testing.assert_close(table[BOS], theirs.model.shared.weight[3, order])
    assert imported.tokenizers.target.size == theirs.config.vocab_size  # PAD and BOS both have a row in Marian
    bias = imported.model.state_dict()["decoder.bias"]
    torch.testing.assert_close(bias[PAD], theirs.final_logits_bias[0, theirs.config.pad_token_id])
