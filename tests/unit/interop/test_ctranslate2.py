"""CTranslate2 translates and scores with an exported folder as the run does."""

from __future__ import annotations

import builtins
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from tests.unit.interop.models import (
    CASES,
    LINES,
    SIZES,
    checkpoint,
    sources,
    tagged,
    targets,
    tokenizers,
    trained,
    translations,
)

from regard.checkpoints.checkpoint import Checkpoint
from regard.config.schema import ModelConfig, TokenizerConfig
from regard.decoding.shortlist import Shortlist
from regard.decoding.strategies import length_limit
from regard.errors import CheckpointError, ConfigError
from regard.inference.translator import Translator
from regard.interop.ctranslate2 import export_ctranslate2
from regard.models import bahdanau2014, modern, transformer2017
from regard.special_tokens import EOS, PAD
from regard.tokenizers.base import Tokenizer, train_tokenizers

ctranslate2 = pytest.importorskip("ctranslate2")


@pytest.fixture(scope="module", params=sorted(CASES))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path, str]:
    """Return a run, the exported folder, and the code that uses it."""
    contents = trained(str(request.param))
    folder = tmp_path_factory.mktemp("exported") / "ctranslate2"
    return contents, folder, export_ctranslate2(contents, folder)


def translator(folder: Path) -> Any:
    return ctranslate2.Translator(str(folder), inter_threads=1, intra_threads=1)


def encode_pieces(tokenizer: Tokenizer, lines: list[str]) -> list[list[str]]:
    return [tokenizer.pieces(tokenizer.encode(line)) for line in lines]


def test_scores_of_forced_targets_match(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, folder, _ = exported
    forced = targets(contents)
    pieces = [contents.tokenizers.target.pieces(row) for row in forced[:, 1:].tolist()]
    results = translator(folder).score_batch(encode_pieces(contents.tokenizers.source, LINES), pieces)
    logits = contents.model(sources(contents), forced)
    expected = logits[:, :, EOS:].log_softmax(-1)  # PAD and BOS have no probability in CTranslate2
    for row, result in enumerate(results):
        expected_ids = [*forced[row, 1:].tolist(), EOS]
        ours = [float(expected[row, position, token - EOS]) for position, token in enumerate(expected_ids)]
        np.testing.assert_allclose(result.log_probs, ours, rtol=0, atol=2e-5)


def test_greedy_output_matches(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, folder, _ = exported
    lines = encode_pieces(contents.tokenizers.source, LINES)
    for line, pieces, ours in zip(LINES, lines, translations(contents), strict=True):
        limit = length_limit(len(pieces), contents.config.search)
        [result] = translator(folder).translate_batch(
            [pieces], beam_size=1, min_decoding_length=0, max_decoding_length=limit
        )
        assert tuple(result.hypotheses[0]) == ours.tokens, line
    batched = translator(folder).translate_batch(lines, beam_size=1, min_decoding_length=0, max_decoding_length=52)
    for result, ours in zip(batched, translations(contents), strict=True):
        assert tuple(result.hypotheses[0]) == ours.tokens[:52]


def test_the_example_code_runs(exported: tuple[Checkpoint, Path, str]) -> None:
    contents, _, usage = exported
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[1]), {})
    assert out.getvalue().strip() == translations(contents)[1].text


def test_the_example_code_of_a_run_with_tags_uses_the_first_tag(tmp_path: Path) -> None:
    contents = tagged()
    usage = export_ctranslate2(contents, tmp_path / "out")
    assert ".prepend_tags(['de'])  # tags: de, fr" in usage
    ours = Translator(contents.model, contents.tokenizers, contents.config.search)
    with_tag, with_other = (ours.with_tags([tag]).translate(LINES[4]) for tag in ("de", "fr"))
    assert with_tag.finished and with_tag.text != with_other.text
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[4]), {})
    assert out.getvalue().strip() == with_tag.text


def test_translations_with_a_shortlist_match(tmp_path: Path) -> None:
    contents = trained("transformer2017/marian")  # has two vocabularies
    source, target = contents.tokenizers.source, contents.tokenizers.target
    generator = torch.Generator().manual_seed(2)
    candidates = torch.randint(EOS + 1, target.size, (source.size, 6), generator=generator, dtype=torch.int32)
    candidates[7:, 4:] = PAD
    shortlist = Shortlist(candidates, torch.tensor(target.encode("THE FOX"), dtype=torch.int32))
    usage = export_ctranslate2(contents, tmp_path / "out", shortlist)
    ours = Translator(contents.model, contents.tokenizers, contents.config.search, shortlist=shortlist)
    expected_tokens = [best.tokens for best in ours.translate(LINES, shortlist=True)]
    for line, pieces, expected in zip(LINES, encode_pieces(source, LINES), expected_tokens, strict=True):
        [result] = translator(tmp_path / "out").translate_batch(
            [pieces],
            beam_size=1,
            min_decoding_length=0,
            max_decoding_length=length_limit(len(pieces), contents.config.search),
            use_vmap=True,
        )
        assert tuple(result.hypotheses[0]) == expected, line
    assert [best.tokens for best in translations(contents)] != expected_tokens
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", LINES[1]), {})
    assert out.getvalue().strip() == target.decode(_ids(target, expected_tokens[1]))


def _ids(tokenizer: Tokenizer, pieces: tuple[str, ...]) -> list[int]:
    all_pieces = tokenizer.pieces(range(tokenizer.size))
    return [all_pieces.index(piece) for piece in pieces]


def test_a_vocabulary_map_omits_pieces_with_separators(tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig(kind="character"), [("a\tb", "b a\t")])
    tab, letter = both.target.encode("\ta")
    rows = torch.tensor([[id, letter] if id > EOS else [PAD, PAD] for id in range(both.source.size)], dtype=torch.int32)
    shortlist = Shortlist(rows, torch.tensor([letter, tab], dtype=torch.int32))
    export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out", shortlist)
    written = (tmp_path / "out" / "vmap.txt").read_text()
    assert sorted(written.splitlines()) == ["\ta", "<unk>\t<unk> a", "a\ta a", "b\tb a", "▁\t▁ a"]


@pytest.mark.parametrize("kind", ["character", "word", "byte"])
def test_other_tokenizers_are_exported_in_files_of_regard(kind: str, tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig.model_validate({"kind": kind}), [("ab ab", "ba")])
    usage = export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(usage.replace("a line", "ab ab").replace("min_d", "max_decoding_length=5, min_d"), {})
    assert out.getvalue()


def refused(config: ModelConfig, out: Path, *messages: str) -> None:
    with pytest.raises(CheckpointError) as error:
        export_ctranslate2(checkpoint(config, tokenizers()), out)
    for part in (*messages, "what to do:"):
        assert part in str(error.value)


def test_unsupported_models_are_rejected(tmp_path: Path) -> None:
    refused(modern.Config(**SIZES, decoder="ssru"), tmp_path / "out", "ssru", "decoder = attention")
    refused(
        bahdanau2014.Config(hidden_size=8, embedding_size=8, attention_size=8, maxout_size=8),
        tmp_path / "out",
        "bahdanau2014",
    )
    for kind in (transformer2017, modern):
        refused(kind.Config(**SIZES, copy_attention=True), tmp_path / "out", "copies source tokens", "export to ONNX")
    (tmp_path / "mine").write_text("mine")
    refused(transformer2017.Config(**SIZES), tmp_path, "already")


def test_tokens_with_the_same_form_are_rejected(tmp_path: Path) -> None:
    both = train_tokenizers(TokenizerConfig(kind="character"), [("a ▁", "b")])
    with pytest.raises(CheckpointError, match="2 tokens of the source vocabulary have the form '▁'"):
        export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), both), tmp_path / "out")


def test_the_error_without_ctranslate2_names_the_install_command(tmp_path: Path) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("ctranslate2"):
            raise ImportError(name)
        return real(name, *rest, **options)

    with mock.patch.object(builtins, "__import__", missing), pytest.raises(ConfigError, match="pip install"):
        export_ctranslate2(checkpoint(transformer2017.Config(**SIZES), tokenizers()), tmp_path / "out")
