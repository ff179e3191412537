"""Hugging Face's transformers encodes, scores and translates with an exported folder as the run does."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.interop.models import LINES, SIZES, checkpoint, sources, targets, tokenizers, trained, translations

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import TokenizerConfig
from regard.errors import CheckpointError
from regard.interop.marian import export_marian
from regard.models import bahdanau2014, modern, transformer2017
from regard.special_tokens import PAD
from regard.tokenizers.base import train_tokenizers

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture(scope="module", params=["transformer2017", "transformer2017/marian"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path, str]:
    """Return a run, the exported folder, and the code that uses it."""
    contents = trained(str(request.param))
    folder = tmp_path_factory.mktemp("exported") / "marian"
    return contents, folder, export_marian(contents, folder)


def loaded(folder: Path) -> tuple[Any, Any]:
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    return transformers.MarianMTModel.from_pretrained(folder).eval(), tokenizer


@torch.no_grad()
def test_token_ids_logits_and_greedy_output_match(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, folder, _ = exported
    model, tokenizer = loaded(folder)
    batch = tokenizer(LINES, return_tensors="pt", padding=True)
    assert batch["input_ids"].tolist() == sources(contents).tolist()
    assert batch["attention_mask"].tolist() == sources(contents).ne(PAD).long().tolist()
    expected = contents.model(sources(contents), targets(contents))
    logits = model(**batch, decoder_input_ids=targets(contents)).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=5e-5)
    generated = model.generate(**batch)
    for ours, theirs in zip(
        translations(contents), tokenizer.batch_decode(generated, skip_special_tokens=True), strict=True
    ):
        assert theirs.startswith(ours.text)  # unfinished translations have a lower length limit in regard
        assert theirs == ours.text or not ours.finished


def test_the_example_code_runs(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, _, usage = exported
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[0]), {})
    assert out.getvalue() == f"{[translations(contents)[0].text]}\n"


def test_token_ids_of_target_texts_match(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, folder, _ = exported
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    texts = ["THE FOX", "STRASSE\u3000UND"]
    encoded = tokenizer(text_target=texts)["input_ids"]
    assert [ids[:-1] for ids in encoded] == [contents.tokenizers.target.encode(text) for text in texts]


def test_bpe_is_supported(tmp_path: Path) -> None:
    contents = checkpoint(transformer2017.Config(**SIZES), tokenizers(kind="bpe"))
    export_marian(contents, tmp_path / "out")
    tokenizer = transformers.MarianTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer(LINES, padding=True)["input_ids"] == sources(contents).tolist()


def refused(contents: Checkpoint, out: Path, *messages: str) -> None:
    before = sorted(out.parent.iterdir())
    with pytest.raises(CheckpointError) as error:
        export_marian(contents, out)
    for part in (*messages, "what to do:"):
        assert part in str(error.value)
    assert sorted(out.parent.iterdir()) == before  # no partial output


def test_other_architectures_are_rejected(tmp_path: Path) -> None:
    both = tokenizers()
    for config in (
        modern.Config(**SIZES),
        bahdanau2014.Config(hidden_size=8, embedding_size=8, attention_size=8, maxout_size=8),
    ):
        refused(checkpoint(config, both), tmp_path / "out", config.architecture, "transformer2017")


def test_copying_is_rejected(tmp_path: Path) -> None:
    config = transformer2017.Config(**SIZES, copy_attention=True)
    refused(checkpoint(config, tokenizers()), tmp_path / "out", "copies source tokens", "export to ONNX")


def test_other_tokenizers_are_rejected(tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig(kind="character"), [("abc", "cba")])
    refused(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out", "character", "unigram")


@pytest.mark.parametrize("joint", [True, False])
def test_tags_are_rejected(tmp_path: Path, joint: bool) -> None:
    both = tokenizers(joint=joint).with_tags(["de", "fr"])
    messages = ("begin with tags, which Marian's tokenizer does not support", "train without data.tags")
    refused(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out", *messages)


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(checkpoint(transformer2017.Config(**SIZES), tokenizers()), tmp_path, "already")
    refused(checkpoint(transformer2017.Config(**SIZES), tokenizers()), tmp_path / "file", "already")
    with pytest.raises(CheckpointError, match=r"cannot be written.*\n.*what to do"):
        export_marian(checkpoint(transformer2017.Config(**SIZES), tokenizers()), tmp_path / "file" / "out")


def test_an_empty_folder_is_accepted_and_there_are_positions_for_long_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = checkpoint(transformer2017.Config(**SIZES), tokenizers())
    data = contents.config.data.model_copy(update={"max_length": 1000})
    longer = Checkpoint(
        contents.config.model_copy(update={"data": data}), contents.tokenizers, contents.model, 0, "", {}
    )
    monkeypatch.chdir(tmp_path)
    export_marian(longer, Path())
    table = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert table["max_position_embeddings"] > 2 * 1000 + 50
