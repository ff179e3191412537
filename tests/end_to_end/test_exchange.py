"""`regard export` and `regard import` on the command line; tests/unit/interop compares the files that they write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.end_to_end.helpers import call, refused, write_lines
from tests.unit.interop.models import LINES, trained

from regard.checkpoints.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def subwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of a Transformer with SentencePiece tokenizers."""
    folder = tmp_path_factory.mktemp("subwords") / "checkpoint"
    save_checkpoint(folder, trained("transformer2017"))
    return folder


def test_export_to_marian_and_import_keep_the_translations(subwords: Path, tmp_path: Path) -> None:
    out = call("export", subwords, "--to", "marian", tmp_path / "marian")
    assert out.code == 0, out.err
    assert f"MarianMTModel.from_pretrained('{tmp_path / 'marian'}')" in out.out.decode()
    assert "MarianMTModel" not in out.err  # so that `> use.py` holds the code, and only the code
    back = call("import", "marian", tmp_path / "marian", "--out", tmp_path / "run")
    assert back.code == 0, back.err
    assert f"regard translate {tmp_path / 'run'}" in back.err
    text = "\n".join(LINES).encode()
    before = call("translate", subwords, "--beam-size", "1", stdin=text)
    after = call("translate", tmp_path / "run", "--beam-size", "1", stdin=text)
    assert after.out == before.out
    assert len(set(before.out.splitlines())) > len(LINES) / 2


def test_export_to_ctranslate2_with_a_character_tokenizer(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    out = call("export", run, "--to", "ctranslate2", tmp_path / "fast")
    assert out.code == 0, out.err
    assert "ctranslate2.Translator(" in out.out.decode()
    assert "beam_size=4," in out.out.decode()  # as in the recipe: CTranslate2's own default is 2
    assert {path.name for path in (tmp_path / "fast").iterdir()} >= {"model.bin", "config.json", "tokenizer.json"}


def test_an_export_says_what_it_leaves_out(subwords: Path, tmp_path: Path) -> None:
    assert "not exported" not in call("export", subwords, "--to", "marian", tmp_path / "all").err
    shutil.copytree(subwords, tmp_path / "run")
    (tmp_path / "run" / "shortlist.safetensors").touch()
    assert "not exported: the shortlist\n" in call("export", tmp_path / "run", "--to", "marian", tmp_path / "most").err
    write_lines(tmp_path / "run" / "glossary.tsv", ["fox\tFuchs"])
    out = call("export", tmp_path / "run", "--to", "marian", tmp_path / "some")
    assert out.code == 0, out.err
    assert "not exported: the shortlist and the glossary\n" in out.err


def test_errors_are_reported(run: Path, tmp_path: Path) -> None:
    refused(call("export", run, "--to", "marian", tmp_path / "out"), "tokenizer.kind = character", "unigram")
    refused(call("export", tmp_path / "none", "--to", "marian", tmp_path / "out"), "there is no such folder")
    refused(call("export", run, "--to", "ctranslate2", run), "exists already")
    refused(call("export", run, "--to", "tensorrt", tmp_path / "out"), "marian", "ctranslate2", code=2)
    refused(call("import", "marian", tmp_path, "--out", tmp_path / "run"), "config.json: the file does not exist")
    refused(call("import", "marian", tmp_path / "none", "--out", tmp_path / "run"), "there is no such folder")
